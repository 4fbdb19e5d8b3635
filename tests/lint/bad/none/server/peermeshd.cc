#include "metrics/export/exporter.h"
#include "server/api/admin.h"
#include "peermesh/v1/peers.pb.h"
