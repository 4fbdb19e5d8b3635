#include "client/paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/client/scripted_peer.h"

namespace peermesh::client {
namespace {

Hints User() {
  Hints hints;
  hints.home = "/home/u";
  hints.xdg_runtime_dir = "/run/user/1000";
  hints.system_run_dir = "/nonexistent/peermesh";
  return hints;
}

TEST(Paths, RootUsesTheSystemDirectories) {
  Hints hints = User();
  hints.root = true;
  hints.system_run_dir = "/run/peermesh";
  const Paths paths = FindPaths(hints);
  EXPECT_EQ(paths.data_dir, "/var/lib/peermesh");
  EXPECT_EQ(paths.app_socket, "/run/peermesh/app.sock");
  EXPECT_EQ(paths.admin_socket, "/run/peermesh/admin.sock");
  EXPECT_EQ(paths.ca_socket, "/var/lib/peermesh/ca/ca.sock");
}

TEST(Paths, AUserHasDirectoriesOfItsOwn) {
  EXPECT_EQ(FindPaths(User()).data_dir, "/home/u/.local/state/peermesh");
  EXPECT_EQ(FindPaths(User()).app_socket, "/run/user/1000/peermesh/app.sock");
  Hints hints = User();
  hints.xdg_state_home = "/state";
  hints.xdg_runtime_dir.clear();
  EXPECT_EQ(FindPaths(hints).app_socket, "/state/peermesh/run/app.sock");
}

TEST(Paths, ADataDirectoryHoldsItsSockets) {
  Hints hints = User();
  hints.data_dir = "/data";
  EXPECT_EQ(FindPaths(hints).app_socket, "/data/run/app.sock");
  EXPECT_EQ(FindPaths(hints).ca_socket, "/data/ca/ca.sock");
  hints.run_dir = "/elsewhere";
  EXPECT_EQ(FindPaths(hints).app_socket, "/elsewhere/app.sock");
}

TEST(Paths, AUserWithoutAPeerFindsTheOneOfTheHost) {
  const TempDir dir;
  Hints hints = User();
  hints.system_run_dir = dir.path() + "/system";
  hints.xdg_runtime_dir = dir.path() + "/user";
  std::filesystem::create_directories(hints.system_run_dir);
  std::filesystem::create_directories(hints.xdg_runtime_dir + "/peermesh");
  std::ofstream(hints.system_run_dir + "/app.sock") << "";
  EXPECT_EQ(FindPaths(hints).run_dir, hints.system_run_dir);
  std::ofstream(hints.xdg_runtime_dir + "/peermesh/app.sock") << "";
  EXPECT_EQ(FindPaths(hints).run_dir, hints.xdg_runtime_dir + "/peermesh");
}

}  // namespace
}  // namespace peermesh::client
