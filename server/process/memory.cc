#include "server/process/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <memory>

namespace peermesh {

void TuneAllocator() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 128 << 20);
  ::mallopt(M_TOP_PAD, 1 << 20);
  ::mallopt(M_ARENA_MAX, 2);
}

void ReleaseStartUpCode() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> maps(std::fopen("/proc/self/maps", "re"),
                                                             &std::fclose);
  if (maps == nullptr) return;  // no /proc: nothing gained, nothing lost
  char line[512];
  while (std::fgets(line, sizeof(line), maps.get()) != nullptr) {
    std::uintptr_t begin = 0, end = 0;
    unsigned long inode = 0;
    char mode[5] = {};
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu", &begin, &end, mode,
                    &inode) != 4)
      continue;
    const bool code = mode[0] == 'r' && mode[1] == '-' && mode[2] == 'x' && inode != 0;
    if (code) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

}  // namespace peermesh
