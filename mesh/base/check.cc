#include "mesh/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace peermesh::internal {

void CheckFailed(const char* condition, const char* file, int line) {
  // lint:allow(io): the last words of a process that aborts
  std::fprintf(stderr, "peermesh: broken invariant %s at %s:%d; this is a bug, please report it\n",
               condition, file, line);
  std::abort();
}

}  // namespace peermesh::internal
