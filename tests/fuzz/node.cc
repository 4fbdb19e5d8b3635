// A node among hostile peers and careless applications: see node_driver.h.
#include "tests/fuzz/node_driver.h"

namespace peermesh::fuzz {

void Try(std::string_view input) {
  constexpr int kMostSteps = 200;  // every one of them checks the whole node
  Parts parts(input);
  const bool large = !input.empty() && input.front() == 'L';
  if (large) parts.Byte();
  NodeDriver driver(large);
  for (int step = 0; step < kMostSteps && !parts.empty(); ++step) driver.Step(parts);
  driver.End();
}

}  // namespace peermesh::fuzz
