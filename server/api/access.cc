#include "server/api/access.h"

#include <initializer_list>

namespace peermesh::api {
namespace {

constexpr std::uint8_t Only(std::initializer_list<Caller> callers) {
  std::uint8_t bits = 0;
  for (const Caller caller : callers)
    bits = static_cast<std::uint8_t>(bits | (1u << static_cast<int>(caller)));
  return bits;
}

constexpr std::uint8_t kApplications = Only({Caller::kAppSocket, Caller::kClient, Caller::kAdmin});
constexpr std::uint8_t kOperators = Only({Caller::kAdminSocket, Caller::kAdmin});
constexpr std::uint8_t kApplicationsAndOperators = kApplications | kOperators;
constexpr std::uint8_t kPeersOnly = Only({Caller::kPeer});

constexpr Method kMethods[] = {
    {"/peermesh.v1.MessagingService/Publish", Service::kMessaging, kApplications, Shape::kUnary},
    {"/peermesh.v1.MessagingService/Subscribe", Service::kMessaging, kApplications, Shape::kStream},
    {"/peermesh.v1.MessagingService/Exchange", Service::kMessaging, kApplications, Shape::kStream},
    {"/peermesh.v1.PeersService/ListPeers", Service::kPeers, kApplicationsAndOperators,
     Shape::kUnary},
    {"/peermesh.v1.PeersService/WatchPeers", Service::kPeers, kApplicationsAndOperators,
     Shape::kStream},
    {"/peermesh.v1.PeersService/GetPeer", Service::kPeers, kApplicationsAndOperators,
     Shape::kUnary},
    {"/peermesh.v1.PeersService/PingPeer", Service::kPeers, kApplicationsAndOperators,
     Shape::kUnary},
    {"/peermesh.v1.AdminService/GetStatus", Service::kAdmin, kOperators, Shape::kUnary},
    {"/peermesh.v1.AdminService/Drain", Service::kAdmin, kOperators, Shape::kUnary},
    {"/peermesh.v1.AdminService/Reload", Service::kAdmin, kOperators, Shape::kUnary},
    {"/peermesh.v1.AdminService/GetLeakReport", Service::kAdmin, kOperators, Shape::kUnary},
    {"/peermesh.v1.AdminService/ListResources", Service::kAdmin, kOperators, Shape::kUnary},
    {"/peermesh.v1.AdminService/SetLedgerLevel", Service::kAdmin, kOperators, Shape::kUnary},
    {"/peermesh.link.v1.LinkService/Control", Service::kLink, kPeersOnly, Shape::kStream},
    {"/peermesh.link.v1.LinkService/Data", Service::kLink, kPeersOnly, Shape::kStream},
};

}  // namespace

const char* ToString(Caller caller) {
  switch (caller) {
    case Caller::kAppSocket: return "application on this host";
    case Caller::kAdminSocket: return "operator on this host";
    case Caller::kPeer: return "peer";
    case Caller::kClient: return "client";
    case Caller::kAdmin: return "admin";
    case Caller::kNobody: return "unknown";
  }
  return "unknown";
}

Caller CallerOf(identity::Role role) {
  switch (role) {
    case identity::Role::kPeer: return Caller::kPeer;
    case identity::Role::kClient: return Caller::kClient;
    case identity::Role::kAdmin: return Caller::kAdmin;
    case identity::Role::kCa: return Caller::kNobody;
  }
  return Caller::kNobody;
}

std::span<const Method> Methods() { return kMethods; }

const Method* FindMethod(std::string_view path) {
  for (const Method& method : kMethods) {
    if (method.path == path) return &method;
  }
  return nullptr;
}

}  // namespace peermesh::api
