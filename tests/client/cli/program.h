// One run of a program, as users run it.
#ifndef PEERMESH_TESTS_CLIENT_CLI_PROGRAM_H_
#define PEERMESH_TESTS_CLIENT_CLI_PROGRAM_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/scripted_peer.h"

namespace peermesh::client {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

inline std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// `arguments` begins with the program's path. Output goes to files, so that no pipe can fill up.
class Program {
 public:
  Program(std::vector<std::string> arguments, const std::string& input = "",
          std::vector<std::string> environment = {}) {
    std::ofstream(dir_.path() + "/in") << input;
    environment.push_back("PATH=/usr/bin:/bin");
    environment.push_back("HOME=" + dir_.path());
    for (const char* options : {"ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
      if (const char* set = std::getenv(options)) {
        environment.push_back(std::string(options) + "=" + set);
      }
    }
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, (dir_.path() + "/in").c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, (dir_.path() + "/out").c_str(), O_WRONLY | O_CREAT,
                                     0600);
    posix_spawn_file_actions_addopen(&files, 2, (dir_.path() + "/err").c_str(), O_WRONLY | O_CREAT,
                                     0600);
    EXPECT_EQ(posix_spawn(&pid_, arguments[0].c_str(), &files, nullptr, Pointers(arguments).data(),
                          Pointers(environment).data()),
              0);
    posix_spawn_file_actions_destroy(&files);
  }
  ~Program() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    Wait();
  }

  void Signal(int number) { kill(pid_, number); }
  Outcome Wait() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            Slurp(dir_.path() + "/out"), Slurp(dir_.path() + "/err")};
  }
  void AwaitOutput(const std::string& text) { Await("/out", text); }
  void AwaitError(const std::string& text) { Await("/err", text); }

 private:
  // Until the file holds `text`, or the process is hopelessly late.
  void Await(const std::string& file, const std::string& text) {
    for (int i = 0; i < 2000; ++i) {
      if (Slurp(dir_.path() + file).find(text) != std::string::npos) return;
      // lint:allow(sleep): between two looks at a condition
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "never said " << text << ": " << Slurp(dir_.path() + file);
  }
  static std::vector<char*> Pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
  }
  TempDir dir_;
  pid_t pid_ = 0;
};

}  // namespace peermesh::client

#endif  // PEERMESH_TESTS_CLIENT_CLI_PROGRAM_H_
