#include "mesh/node/node.h"

#include <array>

#include "mesh/base/id.h"
#include "mesh/flow/queue.h"

// A comment may say std::mutex, steady_clock, double and throw; so may a string.
const char* const kText = "std::cout << std::mutex";
const char* const kRaw = R"(std::random_device
double)";
constexpr long kDigits = 1'000'000;
constexpr char kQuote = '"';
// lint:allow(hash): pure look-up, never iterated
std::unordered_map<int, int> table;
std::unordered_map<int, int> other;  // lint:allow(hash): pure look-up, never iterated
