#include <openssl/evp.h>

#include "mesh/base/id.h"
