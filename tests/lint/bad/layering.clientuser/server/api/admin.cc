#include "client/session.h"
