// What a failed call says about why a dial failed. Internal to this folder.
#ifndef PEERMESH_SERVER_LINK_DIAL_FAILURE_H_
#define PEERMESH_SERVER_LINK_DIAL_FAILURE_H_

#include <optional>
#include <string>
#include <string_view>

#include "mesh/node/input.h"

namespace peermesh::link {

// gRPC has one code for everything that can go wrong below it, UNAVAILABLE, and tells the cause in
// words only.
node::DialFailure DialFailureOf(int code, std::string_view message);

// "host:port" as a gRPC target; nothing if it is not an address. Literals are not looked up.
std::optional<std::string> TargetOf(const std::string& address);

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_DIAL_FAILURE_H_
