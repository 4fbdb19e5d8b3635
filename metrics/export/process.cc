#include "metrics/export/process.h"

#include <malloc.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace peermesh::metrics {
namespace {

// Places in /proc/self/stat, counted from the field behind the program's name (man 5 proc: field
// 3).
constexpr std::size_t kThreadsField = 20 - 3;
constexpr std::size_t kStartField = 22 - 3;
constexpr std::size_t kVirtualBytesField = 23 - 3;
constexpr std::size_t kResidentPagesField = 24 - 3;

std::string Contents(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The fields of /proc/self/stat from the third on; the second, the program's name, may hold
// anything.
std::vector<double> StatFields() {
  const std::string stat = Contents("/proc/self/stat");
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(stat.substr(name_end + 1));
  std::string state;
  rest >> state;
  std::vector<double> fields = {0};
  for (double number = 0; rest >> number;) fields.push_back(number);
  return fields;
}

std::optional<double> BootTime() {
  const std::string stat = Contents("/proc/stat");
  const std::size_t at = stat.find("\nbtime ");
  if (at == std::string::npos) return std::nullopt;
  return std::strtod(stat.c_str() + at + 7, nullptr);
}

std::optional<double> OpenFiles() {
  std::error_code error;
  auto entries = std::filesystem::directory_iterator("/proc/self/fd", error);
  if (error) return std::nullopt;
  // Less the one that reads the directory.
  return static_cast<double>(std::distance(begin(entries), end(entries))) - 1;
}

void CollectStat(Page& page) {
  const std::vector<double> stat = StatFields();
  if (stat.size() <= kResidentPagesField) return;
  page.Gauge("process_threads", "Threads of the process.").Add(stat[kThreadsField]);
  page.Gauge("process_virtual_memory_bytes", "Virtual memory in bytes.")
      .Add(stat[kVirtualBytesField]);
  page.Gauge("process_resident_memory_bytes", "Resident memory in bytes.")
      .Add(stat[kResidentPagesField] * static_cast<double>(sysconf(_SC_PAGESIZE)));
  if (const auto boot = BootTime()) {
    page.Gauge("process_start_time_seconds", "Start of the process in seconds since 1970.")
        .Add(*boot + stat[kStartField] / static_cast<double>(sysconf(_SC_CLK_TCK)));
  }
}

}  // namespace

void CollectProcess(Page& page) {
  timespec cpu{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0) {
    page.Counter("process_cpu_seconds_total", "User and system CPU time in seconds.")
        .Add(static_cast<double>(cpu.tv_sec) + static_cast<double>(cpu.tv_nsec) / 1e9);
  }
  if (const auto open = OpenFiles()) {
    page.Gauge("process_open_fds", "Open file descriptors.").Add(*open);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    page.Gauge("process_max_fds", "Most file descriptors that may be open.")
        .Add(static_cast<double>(limit.rlim_cur));
  }
  CollectStat(page);
}

void CollectHeap(Page& page) {
  const struct mallinfo2 heap = mallinfo2();
  page.Gauge("peermesh_heap_bytes",
             "What the allocator has from the kernel: given out in small pieces (in_use), in large "
             "ones with a mapping each (mapped), and kept for later (free).")
      .Add({{"state", "in_use"}}, static_cast<double>(heap.uordblks))
      .Add({{"state", "mapped"}}, static_cast<double>(heap.hblkhd))
      .Add({{"state", "free"}}, static_cast<double>(heap.fordblks));
}

void CollectBuild(const Build& build, Page& page) {
#ifdef __clang__
  constexpr std::string_view kCompiler = "clang " __clang_version__;
#else
  constexpr std::string_view kCompiler = "gcc " __VERSION__;
#endif
  page.Gauge("peermesh_build_info", "What this program was built from; always 1.")
      .Add({{"version", build.version},
            {"compiler", kCompiler},
            {"grpc_version", build.grpc_version}},
           1);
}

}  // namespace peermesh::metrics
