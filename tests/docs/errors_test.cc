// docs/errors.md is generated from the table of reasons. After a change there:
//
//   PEERMESH_REWRITE=1 build/tests/docs/docs_test
#include "server/wire/errors.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace peermesh::wire {
namespace {

constexpr const char kPage[] = PEERMESH_SOURCE_DIR "/docs/errors.md";

constexpr const char kHead[] =
    R"(# Errors

Every error of a peer or of the CA is a gRPC status with `google.rpc` details. Programs act on the `reason` of its `ErrorInfo`
(domain `peermesh`), people read the message: what is wrong, and what to do. An error that time heals carries
`RetryInfo`, and one that names a limit `QuotaFailure`; one about a field of the request carries `BadRequest`.

Generated from `server/wire/reasons.cc`; `tests/docs` compares.

| reason | code | what happened | what to do |
|---|---|---|---|
)";

std::string Render() {
  std::string page = kHead;
  for (const Reason& row : Reasons()) {
    page += fmt::format("| `{}` | {} | {} | {} |\n", row.name, ToString(row.code), row.meaning,
                        row.action);
  }
  return page;
}

TEST(ErrorsPage, SaysWhatTheTableOfReasonsSays) {
  const std::string wanted = Render();
  if (std::getenv("PEERMESH_REWRITE") != nullptr) std::ofstream(kPage) << wanted;
  std::ifstream file(kPage);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(page, wanted) << "run this test with PEERMESH_REWRITE=1 to write the page anew";
}

}  // namespace
}  // namespace peermesh::wire
