#include "metrics/export/exporter.h"
#include "server/api/admin.h"
#include "peermesh/v1/peers.pb.h"

std::thread::id owner;
ledger::UniqueFd fd(
    accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), kConnectionFd, scope);
const std::string path = ca.socket();
