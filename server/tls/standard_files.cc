// Standard files that are closed, for every program of ours: linked into each as an object, because
// nothing calls what is here.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

// A standard file that is closed would be opened again as something else: gRPC takes descriptors
// before main is reached, and what we print would end in them. /dev/null holds their places, opened
// so that reading from what was closed, and writing to it, fails as before.
void OccupyStandardFiles() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (syscall(SYS_fcntl, fd, F_GETFD) >= 0) continue;
    syscall(SYS_openat, AT_FDCWD, "/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
  }
}

// Before the initializers of any library, and so by system calls alone.
[[gnu::used,
  gnu::section(".preinit_array")]] void (*const kBeforeLibraries)() = OccupyStandardFiles;

}  // namespace
