#include <gtest/gtest.h>

#include "server/tls/key.h"
#include "tests/mesh/identity/forge.h"

namespace peermesh::identity {
namespace {

class SignatureTest : public testing::Test {
 protected:
  ForgedMesh mesh_;
  tls::PrivateKey key_ = tls::PrivateKey::Make();
  Certificate certificate_ = *Certificate::Parse(Forge(mesh_.Leaf(key_.native())));
  std::string signature_ = key_.Sign("peermesh/test/v1", "bytes");
};

TEST_F(SignatureTest, OfTheKeysHolderIsGood) {
  EXPECT_TRUE(certificate_.VerifySignature("peermesh/test/v1", "bytes", signature_));
  EXPECT_TRUE(certificate_.VerifySignature("", "", key_.Sign("", "")));
}

TEST_F(SignatureTest, ServesNoOtherDomainBytesOrKey) {
  EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v2", "bytes", signature_));
  EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v1", "byte", signature_));
  EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v1b", "ytes", signature_))
      << "the zero byte keeps the domain apart";
  const auto other = tls::PrivateKey::Make();
  EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v1", "bytes",
                                            other.Sign("peermesh/test/v1", "bytes")));
}

TEST_F(SignatureTest, DamagedIsRefused) {
  for (std::size_t i = 0; i < signature_.size(); ++i) {
    std::string damaged = signature_;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v1", "bytes", damaged)) << i;
  }
  EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v1", "bytes", ""));
  EXPECT_FALSE(certificate_.VerifySignature("peermesh/test/v1", "bytes", std::string(1000, 'x')));
}

}  // namespace
}  // namespace peermesh::identity
