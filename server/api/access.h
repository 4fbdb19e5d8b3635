// Who may call what: one table over every method, default deny.
//
// What somebody is comes from where the call arrived (a socket's mode decides who can open it) or
// from the certificate, never from metadata. "Has a certificate" is not a right: a peer may speak
// the link protocol and nothing else, an application may not administer. Only
// grpc.health.v1, which tells nothing of anybody, is served beside the table.
//
// tests/server/api walks every method and every caller.
//
// Immutable; thread-safe.
#ifndef PEERMESH_SERVER_API_ACCESS_H_
#define PEERMESH_SERVER_API_ACCESS_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "mesh/identity/identity.h"

namespace peermesh::api {

enum class Caller : std::uint8_t {
  kAppSocket,    // somebody who may open app.sock
  kAdminSocket,  // somebody who may open admin.sock
  kPeer,         // a peer of this mesh, by certificate
  kClient,       // an application, by certificate
  kAdmin,        // an operator, by certificate
  kNobody,       // a certificate of no use here
};
inline constexpr int kCallerCount = 6;
const char* ToString(Caller caller);
Caller CallerOf(identity::Role role);

// What answers a method.
enum class Service : std::uint8_t { kMessaging, kPeers, kAdmin, kLink };

enum class Shape : std::uint8_t { kUnary, kStream };

struct Method {
  std::string_view path;  // "/peermesh.v1.MessagingService/Publish"
  Service service;
  std::uint8_t callers;  // bit per Caller
  Shape shape;
  bool Allows(Caller caller) const { return (callers >> static_cast<int>(caller)) & 1; }
};

std::span<const Method> Methods();
const Method* FindMethod(std::string_view path);

}  // namespace peermesh::api

#endif  // PEERMESH_SERVER_API_ACCESS_H_
