#include <gtest/gtest.h>

#include "server/tls/process.h"

int main(int argc, char** argv) {
  const absl::Status ready = peermesh::tls::InitProcess(peermesh::tls::Signals::kLeave);
  if (!ready.ok()) return 1;
  // What gRPC has to say about connections that these tests break.
  peermesh::tls::SetGrpcLogSink([](auto, auto, auto, auto) {});
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
