#include "metrics/ledger/ledger.h"
