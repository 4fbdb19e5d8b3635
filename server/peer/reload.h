// Reading the configuration and the certificate again, while the peer runs.
//
// Rules:
//  * All or nothing: file, environment, flags and identity are read and checked first, exactly as
//    a start would. What a start would refuse changes nothing, and is told in one sentence.
//  * What can change without a restart does: the log level, limits, seeds, the time of a drain, and
//    the certificate (of the same key, under the same roots). What cannot is named, with the value
//    in force and the one on file, at every reload until there is a restart or the file says what
//    is in force.
//  * The environment and the flags are those of the start, and stay stronger than the file.
//
// From main's thread: files are read.
#ifndef PEERMESH_SERVER_PEER_RELOAD_H_
#define PEERMESH_SERVER_PEER_RELOAD_H_

#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mesh/identity/certificate.h"
#include "peermesh/v1/admin.pb.h"
#include "server/config/config.h"
#include "server/tls/material.h"

namespace peermesh {

// Whether a change of the setting counts without a restart.
bool IsReloaded(std::string_view path);

// The configuration with the seeds that came with the token: kept in the data directory.
config::v1::Config WithStoredSeeds(config::v1::Config config);

class Reloader {
 public:
  // What a reload acts on.
  struct Target {
    // Uses a certificate of the same key, or says why not.
    std::function<absl::Status(const identity::Certificate&)> adopt;
    // Takes limits and seeds. Cannot fail: they are valid.
    std::function<void(const config::v1::Config&)> reconfigure;
  };
  // `running` is what `sources` came to at the start, complete, and `material` the identity then.
  Reloader(config::Sources sources, config::v1::Config running, const tls::Material& material,
           std::function<identity::Certificate()> certificate, Target target);

  // Writes what came of it to the log, too.
  absl::StatusOr<v1::ReloadResponse> Reload();

  // What is in force.
  const config::v1::Config& running() const { return running_; }

 private:
  absl::Status ReloadIdentity(v1::ReloadResponse& report);
  config::v1::Config Merge(const config::v1::Config& fresh, v1::ReloadResponse& report) const;

  const config::Sources sources_;
  config::v1::Config running_;
  const PeerId id_;
  const std::string roots_;
  const std::function<identity::Certificate()> certificate_;  // in use now
  const Target target_;
};

}  // namespace peermesh

#endif  // PEERMESH_SERVER_PEER_RELOAD_H_
