// One unary call to a peer, with the label and deadline of every call of the command line.
#ifndef PEERMESH_CLIENT_CLI_ASK_H_
#define PEERMESH_CLIENT_CLI_ASK_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/statusor.h"
#include "client/channel.h"
#include "client/cli/context.h"
#include "client/errors.h"

namespace peermesh::cli {

template <class Service, class Request, class Response>
using Method = grpc::Status (Service::Stub::*)(grpc::ClientContext*, const Request&, Response*);

template <class Service, class Request, class Response>
absl::StatusOr<Response> Ask(const absl::StatusOr<std::shared_ptr<grpc::Channel>>& channel,
                             Method<Service, Request, Response> method, const Request& request,
                             Duration timeout = kCallTimeout) {
  if (!channel.ok()) return channel.status();
  Response response;
  grpc::ClientContext call;
  client::PrepareCall(call, "peermesh/" PEERMESH_VERSION, timeout);
  const auto stub = Service::NewStub(*channel);
  const grpc::Status status = ((*stub).*method)(&call, request, &response);
  if (!status.ok()) return client::FromGrpc(status);
  return response;
}

}  // namespace peermesh::cli

#endif  // PEERMESH_CLIENT_CLI_ASK_H_
