#include "client/session.h"
#include "peermesh/v1/peers.grpc.pb.h"
#include "server/tls/factory.h"
