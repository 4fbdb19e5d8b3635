#include "mesh/node/node.h"
