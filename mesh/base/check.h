// PM_CHECK: our own bugs stop the process, in every build.
//
// A peer that misbehaves is a verdict and a counter; a caller that is wrong gets an absl::Status;
// only a broken invariant of ours ends here.
#ifndef PEERMESH_MESH_BASE_CHECK_H_
#define PEERMESH_MESH_BASE_CHECK_H_

namespace peermesh::internal {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace peermesh::internal

#define PM_CHECK(condition)                          \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::peermesh::internal::CheckFailed(#condition, __FILE__, __LINE__))

#endif  // PEERMESH_MESH_BASE_CHECK_H_
