#include "server/link/stream.h"
