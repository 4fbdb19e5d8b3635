// A peer at work: announced, fed with signals, drained, and what main waits for meanwhile.
//
// SIGTERM and SIGINT, or an operator's Drain, end it in good order; a second signal means now.
// SIGUSR1 writes the leaks to the log, SIGHUP reads the configuration again.
//
// From main's thread, which blocks here.
#ifndef PEERMESH_SERVER_PEER_SERVING_H_
#define PEERMESH_SERVER_PEER_SERVING_H_

#include <string>
#include <vector>

#include "server/config/config.h"
#include "server/tls/material.h"

namespace peermesh {

class ChildCa;
class Notifier;

struct ServeOptions {
  config::v1::Config config;       // complete and valid
  config::Sources sources;         // what it came from, to be read again
  int ready_fd = -1;               // told, in a line of JSON, when it is up
  std::vector<std::string> hosts;  // names and addresses for its certificate
};

// Until it is to end. Returns the exit code; what went wrong is said.
int Serve(const ServeOptions& options, const tls::Material& material, const ChildCa* ca,
          Notifier& manager);

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_SERVING_H_
