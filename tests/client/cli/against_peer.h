// The program against a scripted peer: the fixture, and the scripts that several tests use.
#ifndef PEERMESH_TESTS_CLIENT_CLI_AGAINST_PEER_H_
#define PEERMESH_TESTS_CLIENT_CLI_AGAINST_PEER_H_

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/client/cli/program.h"
#include "tests/client/scripted_peer.h"

namespace peermesh::client {

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() : peer_(dir_.path() + "/app.sock") {}

  // Against the scripted peer.
  Outcome Run(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {PEERMESH_PROGRAM, "--socket", peer_.socket()});
    return Program(std::move(arguments), input).Wait();
  }
  // Without any.
  static Outcome Alone(std::vector<std::string> arguments,
                       std::vector<std::string> environment = {}) {
    arguments.insert(arguments.begin(), PEERMESH_PROGRAM);
    return Program(std::move(arguments), "", std::move(environment)).Wait();
  }
  // The same as a line of bash, in the directory of the test; its exit code.
  int Shell(const std::string& line) {
    std::ofstream(dir_.path() + "/script") << "cd " << dir_.path() << "\n" PEERMESH_PROGRAM
                                           << " --socket " << peer_.socket() << " " << line << "\n";
    return WEXITSTATUS(std::system(("bash " + dir_.path() + "/script").c_str()));
  }
  // Takes lines published through Exchange and answers them.
  void ScriptTaking(Log<std::string>& payloads) {
    peer_.on_exchange = [&payloads](ScriptedPeer::ExchangeStream& stream) {
      ScriptedPeer::Welcome(stream);
      v1::ExchangeRequest request;
      while (stream.Read(&request)) {
        for (const auto& message : request.messages()) payloads.Add(message.payload());
        if (request.publish_id() != 0) ScriptedPeer::Answer(stream, request.publish_id());
      }
      return grpc::Status::OK;
    };
  }
  // Delivers payloads 1, 2, ... to one subscription, then waits.
  void ScriptDelivering(std::uint64_t count, bool gap = false) {
    peer_.on_exchange = [count, gap](ScriptedPeer::ExchangeStream& stream) {
      ScriptedPeer::Welcome(stream);
      ScriptedPeer::Confirm(stream);
      if (gap) {
        v1::ExchangeResponse response;
        auto& lost = *response.add_gaps();
        lost.set_origin(std::string(32, 'o'));
        lost.set_from(1);
        lost.set_to(3);
        lost.set_reason(v1::LOSS_REASON_SLOW_SUBSCRIBER);
        stream.Write(response);
      }
      for (std::uint64_t i = 1; i <= count; ++i)
        ScriptedPeer::Deliver(stream, "a.b", std::to_string(i), i);
      ScriptedPeer::WaitForEnd(stream);
      return grpc::Status::OK;
    };
  }

  TempDir dir_;
  ScriptedPeer peer_;
};

}  // namespace peermesh::client

#endif  // PEERMESH_TESTS_CLIENT_CLI_AGAINST_PEER_H_
