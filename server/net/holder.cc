#include "server/net/holder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <vector>

namespace peermesh::net {
namespace {

namespace fs = std::filesystem;

using Inodes = std::set<std::string>;  // as text: never reckoned with

std::vector<std::string> Words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// "0100007F:1D13" in hexadecimal, the port behind the last colon.
bool HasPort(std::string_view address, std::uint16_t port) {
  const std::string_view digits = address.substr(address.rfind(':') + 1);
  unsigned number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return number == port;
}

Inodes ListeningOn(std::uint16_t port) {
  constexpr const char* kListen = "0A";
  Inodes inodes;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the heading
    while (std::getline(file, line)) {
      const std::vector<std::string> words = Words(line);
      if (words.size() > 9 && words[3] == kListen && HasPort(words[1], port))
        inodes.insert(words[9]);
    }
  }
  return inodes;
}

Inodes BoundTo(const std::string& path) {
  Inodes inodes;
  std::ifstream file("/proc/net/unix");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = Words(line);
    if (words.size() > 7 && line.ends_with(" " + path)) inodes.insert(words[6]);
  }
  return inodes;
}

bool Holds(const fs::path& process, const Inodes& inodes) {
  std::error_code error;
  fs::directory_iterator descriptors(process / "fd", error);
  for (; !error && descriptors != fs::directory_iterator(); descriptors.increment(error)) {
    std::error_code gone;
    const std::string target = fs::read_symlink(descriptors->path(), gone).string();
    constexpr std::string_view kSocket = "socket:[";
    if (gone || !target.starts_with(kSocket)) continue;
    if (inodes.contains(target.substr(kSocket.size(), target.size() - kSocket.size() - 1)))
      return true;
  }
  return false;
}

std::string HolderOf(const Inodes& inodes) {
  if (inodes.empty()) return "";
  std::error_code error;
  fs::directory_iterator processes("/proc", error);
  for (; !error && processes != fs::directory_iterator(); processes.increment(error)) {
    const std::string pid = processes->path().filename().string();
    const bool process =
        std::all_of(pid.begin(), pid.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!process || !Holds(processes->path(), inodes)) continue;
    std::ifstream comm(processes->path() / "comm");
    std::string name;
    std::getline(comm, name);
    return fmt::format("{}, pid {}", name.empty() ? "a program" : name, pid);
  }
  return "";
}

}  // namespace

std::string HolderOfPort(std::uint16_t port) { return HolderOf(ListeningOn(port)); }
std::string HolderOfSocket(const std::string& path) { return HolderOf(BoundTo(path)); }

}  // namespace peermesh::net
