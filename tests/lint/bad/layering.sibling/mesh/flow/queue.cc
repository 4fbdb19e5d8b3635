#include "mesh/routing/interest.h"
