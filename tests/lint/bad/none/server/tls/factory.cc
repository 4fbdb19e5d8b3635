#include "mesh/identity/token.h"

auto channel = grpc::CreateChannel("x", credentials);
