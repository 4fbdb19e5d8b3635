#include "peermesh/link/v1/link.pb.h"
