#include "server/tls/keys.h"
