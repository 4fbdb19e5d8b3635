#include "server/link/signatures.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "server/tls/key.h"

namespace peermesh::link {
namespace {

using Outcome = Signatures::Outcome;

constexpr std::string_view kDomain = "peermesh/test/v1";
const WallTime kNow{std::chrono::seconds(1'800'000'000)};
const WallTime kLater = kNow + std::chrono::hours(1);

SignedHash::Value HashOf(std::string_view bytes) {
  SignedHash hash(kDomain);
  hash.Add(bytes);
  return hash.Finish();
}

PeerId Peer(std::uint32_t number) {
  PeerId id;
  for (int at = 0; at < 4; ++at) id.bytes[at] = static_cast<std::uint8_t>(number >> 8 * at);
  return id;
}

membership::RecordRef RecordOf(const PeerId& peer, std::uint64_t incarnation,
                               const std::string& encoded, WallTime expiry = kLater) {
  membership::Record record;
  record.id = peer;
  record.incarnation = incarnation;
  record.encoded = encoded;
  record.certificate_expiry = expiry;
  return record;
}

class SignaturesTest : public testing::Test {
 protected:
  Outcome Verify(std::string_view bytes, std::string_view signature, WallTime now = kNow) {
    return signatures_.Verify(key_.id(), HashOf(bytes), signature, now).outcome;
  }
  const tls::PrivateKey key_ = tls::PrivateKey::Make();
  Signatures signatures_;
};

TEST_F(SignaturesTest, WhatAKnownPeerSignedHolds) {
  const std::string signature = key_.Sign(kDomain, "one two");
  EXPECT_EQ(Verify("one two", signature), Outcome::kUnverifiable) << "its key is not known yet";
  signatures_.Learn(key_.id(), key_.spki(), kLater);
  EXPECT_EQ(Verify("one two", signature), Outcome::kHolds);
  EXPECT_EQ(Verify("one twO", signature), Outcome::kForged);
  EXPECT_EQ(Verify("one two", key_.Sign("another domain", "one two")), Outcome::kForged);
  EXPECT_EQ(Verify("one two", tls::PrivateKey::Make().Sign(kDomain, "one two")), Outcome::kForged);
  EXPECT_EQ(Verify("one two", ""), Outcome::kForged);
  EXPECT_EQ(Verify("one two", "nonsense"), Outcome::kForged);
}

TEST_F(SignaturesTest, AHashIsTheSameHoweverItIsCut) {
  SignedHash hash(kDomain);
  for (const char* stretch : {"one", "", " ", "two"}) hash.Add(stretch);
  EXPECT_EQ(hash.Finish(), HashOf("one two"));
  EXPECT_NE(HashOf("one"), HashOf("two"));
}

TEST_F(SignaturesTest, ACertificateThatRanOutIsBelievedNoMoreUntilANewerOneComes) {
  const std::string signature = key_.Sign(kDomain, "x");
  signatures_.Learn(key_.id(), key_.spki(), kLater);
  EXPECT_EQ(Verify("x", signature), Outcome::kHolds);
  EXPECT_EQ(Verify("x", signature, kLater), Outcome::kUnverifiable) << "though it is remembered";
  signatures_.Learn(key_.id(), key_.spki(), kNow);
  EXPECT_EQ(Verify("x", signature), Outcome::kHolds) << "an older certificate takes nothing away";
  signatures_.Learn(key_.id(), key_.spki(), kLater + std::chrono::hours(1));
  EXPECT_EQ(Verify("x", signature, kLater), Outcome::kHolds);
}

TEST_F(SignaturesTest, OnlyWhatHeldIsRemembered) {
  signatures_.Learn(key_.id(), key_.spki(), kLater);
  const std::string signature = key_.Sign(kDomain, "x");
  const auto verify = [&](std::string_view bytes, std::string_view sign) {
    return signatures_.Verify(key_.id(), HashOf(bytes), sign, kNow);
  };
  EXPECT_TRUE(verify("x", signature).computed);
  EXPECT_FALSE(verify("x", signature).computed);
  EXPECT_TRUE(verify("x", key_.Sign(kDomain, "x")).computed) << "another signature";
  EXPECT_TRUE(verify("y", signature).computed);
  EXPECT_TRUE(verify("y", signature).computed);
  EXPECT_EQ(verify("y", signature).outcome, Outcome::kForged);
  // The latest are kept, the oldest go.
  for (std::size_t i = 0; i < kMaxRemembered; ++i) {
    const std::string bytes = std::to_string(i);
    ASSERT_EQ(verify(bytes, key_.Sign(kDomain, bytes)).outcome, Outcome::kHolds);
  }
  EXPECT_TRUE(verify("x", signature).computed);
}

TEST_F(SignaturesTest, ASignatureOfOnePeerIsNoneOfAnother) {
  const tls::PrivateKey other = tls::PrivateKey::Make();
  signatures_.Learn(key_.id(), key_.spki(), kLater);
  signatures_.Learn(other.id(), other.spki(), kLater);
  const std::string signature = key_.Sign(kDomain, "x");
  EXPECT_EQ(Verify("x", signature), Outcome::kHolds);
  EXPECT_EQ(signatures_.Verify(other.id(), HashOf("x"), signature, kNow).outcome, Outcome::kForged);
}

TEST_F(SignaturesTest, KeysAreBoundedAndThoseInUseStay) {
  const std::string signature = key_.Sign(kDomain, "x");
  signatures_.Learn(key_.id(), key_.spki(), kLater);
  for (std::uint32_t i = 0; i < kMaxPeers - 1; ++i) signatures_.Learn(Peer(i), "key", kLater);
  EXPECT_EQ(signatures_.known_keys(), kMaxPeers);
  EXPECT_EQ(Verify("x", signature), Outcome::kHolds) << "used: the latest now";
  signatures_.Learn(Peer(kMaxPeers), "key", kLater);
  EXPECT_EQ(signatures_.known_keys(), kMaxPeers);
  EXPECT_EQ(Verify("x", signature), Outcome::kHolds);
  for (std::uint32_t i = 0; i < kMaxPeers; ++i) signatures_.Learn(Peer(i + 9'000), "key", kLater);
  EXPECT_EQ(Verify("x", signature), Outcome::kUnverifiable);
}

TEST_F(SignaturesTest, MoreKeysThanAreKeptParsedWorkAllTheSame) {
  const std::string signature = key_.Sign(kDomain, "x");
  signatures_.Learn(key_.id(), key_.spki(), kLater);
  // One key under many ids: whoever learns one has checked that they belong together.
  for (std::uint32_t i = 0; i < kMaxParsedKeys + 10; ++i) {
    signatures_.Learn(Peer(i), key_.spki(), kLater);
    ASSERT_EQ(signatures_.Verify(Peer(i), HashOf("x"), signature, kNow).outcome, Outcome::kHolds);
  }
  EXPECT_EQ(Verify("x", signature), Outcome::kHolds);
}

TEST_F(SignaturesTest, TheLatestRecordOfAPeerIsKnownByItsBytes) {
  const auto find = [&](std::string_view bytes, WallTime now = kNow) {
    const auto found = signatures_.FindRecord(bytes, now);
    return found ? (*found)->incarnation : 0;
  };
  EXPECT_EQ(find("first"), 0u);
  signatures_.Learn(RecordOf(key_.id(), 5, "first"), key_.spki());
  EXPECT_EQ(find("first"), 5u);
  EXPECT_EQ(find("first", kLater), 0u) << "its certificate has run out";
  EXPECT_EQ(Verify("x", key_.Sign(kDomain, "x")), Outcome::kHolds) << "its key is known, too";
  signatures_.Learn(RecordOf(key_.id(), 6, "second"), key_.spki());
  EXPECT_EQ(find("second"), 6u);
  EXPECT_EQ(find("first"), 0u);
  signatures_.Learn(RecordOf(key_.id(), 5, "first"), key_.spki());
  EXPECT_EQ(find("second"), 6u) << "an older one does not replace it";
  EXPECT_EQ(find("first"), 0u);
  membership::Record quiet = *RecordOf(key_.id(), 8, "observers changed");
  quiet.published = 6;
  signatures_.Learn(quiet, key_.spki());
  EXPECT_EQ(find("observers changed"), 8u);
  EXPECT_EQ(find("second"), 6u) << "everybody else still passes this one on";
  signatures_.Learn(RecordOf(Peer(1), 7, "third"), "key");
  for (std::uint32_t i = 2; i < kMaxPeers + 2; ++i) signatures_.Learn(Peer(i), "key", kLater);
  EXPECT_EQ(find("second"), 0u) << "forgotten with its peer";
  EXPECT_EQ(find("third"), 0u);
}

}  // namespace
}  // namespace peermesh::link
