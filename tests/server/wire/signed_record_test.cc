#include "server/wire/signed_record.h"

#include <google/protobuf/stubs/logging.h>

#include "peermesh/link/v1/link.pb.h"
#include "server/tls/issue.h"
#include "server/tls/key.h"
#include "server/wire/control.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

class SignedRecordTest : public ::testing::Test {
 protected:
  SignedRecordTest() : bundle_(*identity::TrustBundle::Create({root_.der()}, mesh_id_)) {
    record_.id = key_.id();
    record_.incarnation = 1'700'000'000'000;
    record_.addresses = {"192.0.2.1:7443", "[2001:db8::1]:7443"};
    record_.metrics_address = "192.0.2.1:9464";
    record_.software = "1.2.3";
    record_.epoch = 77;
    record_.channels = 0x8000'0000'0000'0001;
    record_.observers = {1, 5, ~std::uint64_t{0}};
    record_.published = record_.incarnation - 1;
  }
  std::string Certificate(const tls::PrivateKey& key, identity::Role role = identity::Role::kPeer) {
    tls::CertificateSpec spec;
    spec.role = role;
    spec.name = "alpha";
    spec.mesh_id = mesh_id_;
    spec.lifetime = hours(1);
    return tls::IssueCertificate(root_key_, root_, key.spki(), spec, now_)->der();
  }
  std::string Sign(const tls::PrivateKey& key, const std::string& certificate,
                   std::string_view domain = kRecordDomain) {
    const std::string body = EncodeRecordBody(record_);
    return EncodeSignedRecord(body, key.Sign(domain, body), certificate);
  }
  RecordVerdict Decode(const std::string& encoded) {
    return DecodeSignedRecord(encoded, bundle_, now_);
  }
  RecordRefusal RefusalOf(const std::string& encoded) {
    const RecordVerdict verdict = Decode(encoded);
    EXPECT_FALSE(verdict.ok());
    return verdict.refusal();
  }

  const WallTime now_ = WallTime(seconds(1'800'000'000));
  const tls::PrivateKey root_key_ = tls::PrivateKey::Make();
  const identity::Certificate root_ = tls::MakeRoot(root_key_, now_);
  const std::string mesh_id_ = identity::MeshIdOf(root_key_.spki());
  const identity::TrustBundle bundle_;
  const tls::PrivateKey key_ = tls::PrivateKey::Make();
  node::PeerRecord record_;
};

TEST_F(SignedRecordTest, ASignedRecordIsBelieved) {
  const std::string encoded = Sign(key_, Certificate(key_));
  const RecordVerdict verdict = Decode(encoded);
  ASSERT_TRUE(verdict.ok()) << ToString(verdict.refusal());
  const node::PeerRecord& got = verdict.record();
  EXPECT_EQ(got.id, key_.id());
  EXPECT_EQ(got.incarnation, record_.incarnation);
  EXPECT_EQ(got.addresses, record_.addresses);
  EXPECT_EQ(got.metrics_address, record_.metrics_address);
  EXPECT_EQ(got.software, "1.2.3");
  EXPECT_EQ(got.epoch, 77u);
  EXPECT_EQ(got.channels, 0x8000'0000'0000'0001);
  EXPECT_EQ(got.observers, record_.observers);
  EXPECT_EQ(got.published, record_.published);
  EXPECT_EQ(verdict.spki(), key_.spki());
  EXPECT_EQ(got.name, "alpha") << "from the certificate";
  EXPECT_EQ(got.certificate_expiry, now_ + hours(1));
  EXPECT_EQ(got.encoded, encoded);
}

TEST_F(SignedRecordTest, ItSurvivesTheJourneyThroughAFrame) {
  const std::string encoded = Sign(key_, Certificate(key_));
  node::PeerRecords records;
  records.records.push_back(Decode(encoded).record());
  const auto decoded = DecodeControl(EncodeControl(records));
  ASSERT_TRUE(decoded.ok());
  const auto& got = std::get<EncodedRecords>(*decoded);
  ASSERT_EQ(got.records.size(), 1u);
  EXPECT_EQ(got.records[0], encoded);
  EXPECT_TRUE(Decode(got.records[0]).ok());
  EXPECT_FALSE(got.news);
  records.news = true;
  EXPECT_TRUE(std::get<EncodedRecords>(*DecodeControl(EncodeControl(records))).news);
}

TEST_F(SignedRecordTest, ARecordNobodySignedIsRefused) {
  const tls::PrivateKey other = tls::PrivateKey::Make();
  const std::string certificate = Certificate(key_);
  const std::string body = EncodeRecordBody(record_);
  EXPECT_EQ(RefusalOf(Sign(other, certificate)), RecordRefusal::kSignature);
  EXPECT_EQ(RefusalOf(Sign(key_, certificate, "another domain")), RecordRefusal::kSignature);
  EXPECT_EQ(RefusalOf(EncodeSignedRecord(body, "", certificate)), RecordRefusal::kSignature);
  const std::string signature = key_.Sign(kRecordDomain, body);
  record_.incarnation += 1;
  EXPECT_EQ(RefusalOf(EncodeSignedRecord(EncodeRecordBody(record_), signature, certificate)),
            RecordRefusal::kSignature);
}

TEST_F(SignedRecordTest, NobodySpeaksForAnother) {
  const tls::PrivateKey other = tls::PrivateKey::Make();
  EXPECT_EQ(RefusalOf(Sign(other, Certificate(other))), RecordRefusal::kWrongPeer);
}

TEST_F(SignedRecordTest, OnlyACurrentPeerCertificateOfThisMeshCounts) {
  EXPECT_EQ(RefusalOf(Sign(key_, Certificate(key_, identity::Role::kClient))),
            RecordRefusal::kCertificate);
  EXPECT_EQ(RefusalOf(Sign(key_, "not a certificate")), RecordRefusal::kCertificate);
  const std::string encoded = Sign(key_, Certificate(key_));
  const RecordVerdict late = DecodeSignedRecord(encoded, bundle_, now_ + hours(2));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.refusal(), RecordRefusal::kCertificate);
  const tls::PrivateKey stranger = tls::PrivateKey::Make();
  const auto foreign = *identity::TrustBundle::Create({tls::MakeRoot(stranger, now_).der()},
                                                      identity::MeshIdOf(stranger.spki()));
  const RecordVerdict verdict = DecodeSignedRecord(encoded, foreign, now_);
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.refusal(), RecordRefusal::kCertificate);
}

TEST_F(SignedRecordTest, FieldsOutOfRangeAreRefused) {
  const std::string certificate = Certificate(key_);
  const node::PeerRecord good = record_;
  record_.software = std::string(kMaxSoftwareBytes + 1, 'x');
  EXPECT_EQ(RefusalOf(Sign(key_, certificate)), RecordRefusal::kMalformed);
  record_ = good;
  record_.addresses.assign(kMaxAddressesPerPeer + 1, "a:1");
  EXPECT_EQ(RefusalOf(Sign(key_, certificate)), RecordRefusal::kMalformed);
  EXPECT_EQ(RefusalOf(std::string(kMaxSignedRecordBytes + 1, '\0')), RecordRefusal::kMalformed);
  EXPECT_EQ(RefusalOf("\xff"), RecordRefusal::kMalformed);
  EXPECT_EQ(RefusalOf(""), RecordRefusal::kMalformed);
}

TEST_F(SignedRecordTest, ObserversStandInOrderAndOnce) {
  const std::string certificate = Certificate(key_);
  for (const std::vector<std::uint64_t>& observers :
       {std::vector<std::uint64_t>{5, 1}, {5, 5}, std::vector<std::uint64_t>{1, 3, 2}}) {
    record_.observers = observers;
    EXPECT_EQ(RefusalOf(Sign(key_, certificate)), RecordRefusal::kMalformed);
  }
  record_.observers.clear();
  for (std::uint64_t key = 0; key < kMaxObservers; ++key) record_.observers.push_back(key);
  EXPECT_TRUE(Decode(Sign(key_, certificate)).ok());
  link::v1::PeerRecord body;
  ASSERT_TRUE(body.ParseFromString(EncodeRecordBody(record_)));
  body.add_observers(kMaxObservers);
  const std::string more = body.SerializeAsString();
  EXPECT_EQ(RefusalOf(EncodeSignedRecord(more, key_.Sign(kRecordDomain, more), certificate)),
            RecordRefusal::kMalformed);
}

TEST_F(SignedRecordTest, NothingIsPublishedBeforeItWasMade) {
  record_.published = record_.incarnation;
  EXPECT_TRUE(Decode(Sign(key_, Certificate(key_))).ok());
  ++record_.published;
  EXPECT_EQ(RefusalOf(Sign(key_, Certificate(key_))), RecordRefusal::kMalformed);
}

TEST_F(SignedRecordTest, TheLargestRecordFits) {
  record_.addresses.assign(kMaxAddressesPerPeer, std::string(kMaxAddressBytes - 2, 'a') + ":1");
  record_.metrics_address = record_.addresses.front();
  record_.software = std::string(kMaxSoftwareBytes, 's');
  record_.observers.clear();
  for (std::uint64_t key = 0; key < kMaxObservers; ++key) record_.observers.push_back(key);
  EXPECT_LE(EncodeRecordBody(record_).size(), kMaxRecordBytes);
}

TEST_F(SignedRecordTest, AddressesNobodyCanDialAreLeftOut) {
  record_.addresses = {"", "relay:somewhere:1:2", "192.0.2.1:7443", "no-port",
                       std::string(kMaxAddressBytes, 'a') + ":1"};
  record_.metrics_address = "nowhere";
  const RecordVerdict verdict = Decode(Sign(key_, Certificate(key_)));
  ASSERT_TRUE(verdict.ok());
  EXPECT_THAT(verdict.record().addresses, ::testing::ElementsAre("192.0.2.1:7443"));
  EXPECT_EQ(verdict.record().metrics_address, "");
}

TEST_F(SignedRecordTest, NoMutationIsBelieved) {
  const std::string good = Sign(key_, Certificate(key_));
  const google::protobuf::LogSilencer silence;
  Rng rng = TestRng(4);
  for (int round = 0; round < 2'000; ++round) {
    const std::string bytes = Mutate(good, rng);
    const RecordVerdict verdict = Decode(bytes);
    if (!verdict.ok()) continue;
    // Only what is outside the signed bytes can have changed.
    ASSERT_EQ(EncodeRecordBody(verdict.record()), EncodeRecordBody(record_)) << "round " << round;
  }
}

TEST(RecordRefusalTest, EveryRefusalHasItsOwnLabel) {
  EXPECT_STREQ(ToString(RecordRefusal::kMalformed), "malformed");
  EXPECT_STREQ(ToString(RecordRefusal::kCertificate), "certificate");
  EXPECT_STREQ(ToString(RecordRefusal::kSignature), "signature");
  EXPECT_STREQ(ToString(RecordRefusal::kWrongPeer), "wrong_peer");
}

}  // namespace
}  // namespace peermesh::wire
