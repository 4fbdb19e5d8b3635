// What the kernel says this process holds: descriptors by class, threads by name.
//
// The second pair of books: what is not in the ledger (a raw socket, a thread of a library) shows
// here. Linux, /proc.
#ifndef PEERMESH_METRICS_LEDGER_KERNEL_H_
#define PEERMESH_METRICS_LEDGER_KERNEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peermesh::ledger {

struct Descriptor {
  int number = -1;
  std::string target;       // "socket:[123]", "/var/lib/x", "anon_inode:[eventpoll]"
  std::uint64_t claim = 0;  // id of the entry that holds it; 0: none of ours
};
inline constexpr std::string_view kDescriptorClasses[] = {
    "socket", "eventpoll", "eventfd", "timerfd", "signalfd", "pidfd",
    "pipe",   "device",    "proc",    "file",    "other"};
// One of them.
std::string_view ClassOf(std::string_view target);
// Who is at the other end of a socket of ours: "10.0.0.7:5432", "[::1]:443", "/run/x.sock"; what it
// listens to, or "nobody". It may have been closed meanwhile, or be another one's: a hint for
// people.
std::string OtherEndOf(int socket);

struct Task {
  int id = 0;
  std::string name;  // at most 15 characters
  bool claimed = false;
};

struct KernelReading {
  std::vector<Descriptor> descriptors;
  std::vector<Task> threads;
  std::uint64_t descriptor_limit = 0;  // soft; 0: none

  // Descriptors and threads nobody claims, by class: "fd_socket", "thread". Every class, always:
  // they are series.
  std::map<std::string, std::uint64_t> unclaimed() const;
};

// nullopt where there is no /proc. Without the descriptor it reads with.
std::optional<KernelReading> ReadKernel();

}  // namespace peermesh::ledger

#endif  // PEERMESH_METRICS_LEDGER_KERNEL_H_
