#include "mesh/identity/token.h"
