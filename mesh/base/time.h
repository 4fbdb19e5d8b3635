// Instants and durations of the mesh: a clock nobody can read.
//
// `MeshClock` has chrono arithmetic but deliberately no now(): inside mesh/ the only time that
// exists is the `now` argument of the current call, so the same code runs under a simulator's clock
// and a real one. Integer microseconds; nothing in mesh/ is decided by floating point.
#ifndef PEERMESH_MESH_BASE_TIME_H_
#define PEERMESH_MESH_BASE_TIME_H_

#include <chrono>
#include <cstdint>

namespace peermesh {

struct MeshClock {
  using rep = std::int64_t;
  using period = std::micro;
  using duration = std::chrono::duration<rep, period>;
  using time_point = std::chrono::time_point<MeshClock>;
  static constexpr bool is_steady = true;
};

// Microseconds.
using Duration = MeshClock::duration;
// Microseconds since an arbitrary start; monotonic.
using Instant = MeshClock::time_point;

inline constexpr Instant kNever = Instant::max();

// Microseconds since 1970 by the wall clock. Data only: carried, compared with other wall times,
// shown; never used to schedule. lint:allow(clock): the type alone; nothing here can read the clock
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

}  // namespace peermesh

#endif  // PEERMESH_MESH_BASE_TIME_H_
