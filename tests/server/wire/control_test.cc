#include "server/wire/control.h"

#include <google/protobuf/stubs/logging.h>

#include "peermesh/link/v1/link.pb.h"
#include "server/tls/issue.h"
#include "server/tls/key.h"
#include "tests/server/wire/wire_testing.h"

namespace peermesh::wire {
namespace {

namespace pb = link::v1;
using std::chrono::hours;
using std::chrono::seconds;

template <class Kind>
Kind RoundTrip(const Kind& kind) {
  const auto decoded = DecodeControl(EncodeControl(kind));
  EXPECT_TRUE(decoded.ok());
  const auto* frame = std::get_if<node::ControlFrame>(&*decoded);
  EXPECT_NE(frame, nullptr);
  return std::get<Kind>(*frame);
}

Rule RuleOf(const pb::ControlFrame& frame) {
  pb::ControlRequest request;
  *request.mutable_frame() = frame;
  const auto decoded = DecodeControl(request.SerializeAsString());
  return decoded.ok() ? Rule::kNone : decoded.error().rule;
}

TEST(ControlTest, HeartbeatsComeBack) {
  const node::Heartbeat sent{7, 6, Duration(1234), 5, 0xfeedfacecafebeefull, true};
  const auto got = RoundTrip(sent);
  EXPECT_EQ(got.number, 7u);
  EXPECT_EQ(got.echo, 6u);
  EXPECT_EQ(got.echo_delay, Duration(1234));
  EXPECT_EQ(got.interest_generation, 5u);
  EXPECT_EQ(got.interest_hash, 0xfeedfacecafebeefull);
  EXPECT_TRUE(got.asks);
}

TEST(ControlTest, AnAbsurdDelayIsCutToABound) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_heartbeat()->set_echo_delay_us(~std::uint64_t{0});
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<node::Heartbeat>(std::get<node::ControlFrame>(*decoded)).echo_delay,
            Duration(hours(1)));
}

TEST(ControlTest, InterestComesBack) {
  const node::InterestSnapshot snapshot{9, true, false, {{"a.*", 0}, {"b.>", 60'000}}};
  const auto got = RoundTrip(snapshot);
  EXPECT_EQ(got.generation, 9u);
  EXPECT_TRUE(got.first);
  EXPECT_FALSE(got.last);
  EXPECT_EQ(got.entries, snapshot.entries);
  const auto delta = RoundTrip(node::InterestDelta{10, {{"c", 5}}, {"a.*"}});
  EXPECT_EQ(delta.generation, 10u);
  EXPECT_EQ(delta.add, (std::vector<node::Interest>{{"c", 5}}));
  EXPECT_EQ(delta.remove, (std::vector<std::string>{"a.*"}));
  EXPECT_EQ(RoundTrip(node::InterestAck{11}).generation, 11u);
  RoundTrip(node::InterestRequest{});
  RoundTrip(node::LinkReady{});
}

TEST(ControlTest, BeliefsAndGoodbyesComeBack) {
  const auto states =
      RoundTrip(node::PeerStates{{{MakePeer(1), 5, true, false}, {MakePeer(2), 6, false, true}}});
  ASSERT_EQ(states.beliefs.size(), 2u);
  EXPECT_EQ(states.beliefs[1].id, MakePeer(2));
  EXPECT_EQ(states.beliefs[1].incarnation, 6u);
  EXPECT_FALSE(states.beliefs[1].linked);
  EXPECT_TRUE(states.beliefs[1].left);
  for (const auto reason : {node::GoodbyeReason::kLeaving, node::GoodbyeReason::kDuplicate,
                            node::GoodbyeReason::kReplaced, node::GoodbyeReason::kMisbehaved}) {
    EXPECT_EQ(RoundTrip(node::Goodbye{reason}).reason, reason);
  }
}

TEST(ControlTest, HellosComeBack) {
  Hello hello;
  hello.mesh_id = "abcdefghijklmnop";
  hello.version_max = 3;
  hello.features = 5;
  hello.epoch = 1'700'000'000'000;
  hello.software = "1.2.3";
  hello.link_token = std::string(kLinkTokenBytes, 't');
  hello.dial_count = 12;
  const auto decoded = DecodeControl(EncodeHello(hello));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<Hello>(*decoded), hello);
}

TEST(ControlTest, HellosOutOfRangeAreRefused) {
  pb::ControlFrame frame;
  frame.mutable_hello()->set_link_token("short");
  EXPECT_EQ(RuleOf(frame), Rule::kToken);
  frame.mutable_hello()->clear_link_token();
  frame.mutable_hello()->set_mesh_id("not a mesh id");
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_hello()->clear_mesh_id();
  frame.mutable_hello()->set_software(std::string(kMaxSoftwareBytes + 1, 'x'));
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_hello()->clear_software();
  frame.mutable_hello()->set_version_min(2);
  frame.mutable_hello()->set_version_max(1);
  EXPECT_EQ(RuleOf(frame), Rule::kValue);
  frame.mutable_hello()->set_version_max(2);
  EXPECT_EQ(RuleOf(frame), Rule::kValue) << "no epoch";
  frame.mutable_hello()->set_epoch(1);
  EXPECT_EQ(RuleOf(frame), Rule::kNone);
}

TEST(ControlTest, BadPatternsAndIdsAreRefused) {
  pb::ControlFrame frame;
  frame.mutable_interest_snapshot()->add_entries()->set_pattern("a..b");
  EXPECT_EQ(RuleOf(frame), Rule::kPattern);
  frame.mutable_interest_delta()->add_remove("a.>.b");
  EXPECT_EQ(RuleOf(frame), Rule::kPattern);
  frame.mutable_interest_delta()->clear_remove();
  frame.mutable_interest_delta()->add_add()->set_pattern("");
  EXPECT_EQ(RuleOf(frame), Rule::kPattern);
  frame.mutable_peer_states()->add_beliefs()->set_peer_id("short");
  EXPECT_EQ(RuleOf(frame), Rule::kPeerId);
}

TEST(ControlTest, KindsOfALaterVersionAreReportedAsUnknown) {
  for (const std::string& bytes :
       {Bytes(1, Bytes(200, "later")), Bytes(1, ""), std::string(), Bytes(9, "x")}) {
    const auto decoded = DecodeControl(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_TRUE(std::holds_alternative<UnknownKind>(*decoded));
  }
}

TEST(ControlTest, AGoodbyeForAReasonOfALaterVersionClosesInOrder) {
  pb::ControlRequest request;
  request.mutable_frame()->mutable_goodbye()->set_reason(static_cast<pb::GoodbyeReason>(99));
  const auto decoded = DecodeControl(request.SerializeAsString());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(std::get<node::Goodbye>(std::get<node::ControlFrame>(*decoded)).reason,
            node::GoodbyeReason::kDuplicate);
}

TEST(ControlTest, WhatIsNotAControlFrameIsRefused) {
  EXPECT_EQ(DecodeControl(std::string(kMaxControlFrameBytes + 1, '\0')).error().rule,
            Rule::kFrameTooLarge);
  EXPECT_EQ(DecodeControl(Bytes(1, "x").substr(0, 2)).error().rule, Rule::kTruncated);
}

TEST(ControlTest, MutatedFramesDoNoHarm) {
  const std::string good =
      EncodeControl(node::InterestSnapshot{9, true, false, {{"a.*", 0}, {"b.>", 60'000}}});
  const google::protobuf::LogSilencer silence;  // it reports each string that is not UTF-8
  Rng rng = TestRng(3);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    const auto decoded = DecodeControl(Mutate(good, rng));
    if (!decoded.ok()) continue;
    const auto* frame = std::get_if<node::ControlFrame>(&*decoded);
    if (frame == nullptr) continue;
    ++accepted;
    ASSERT_TRUE(DecodeControl(EncodeControl(*frame)).ok()) << "round " << round;
  }
  EXPECT_GT(accepted, 500) << "mutations that are all refused prove nothing";
}

// --- Signed records ------------------------------------------------------------------------------

class SignedRecordTest : public ::testing::Test {
 protected:
  SignedRecordTest() : bundle_(*identity::TrustBundle::Create({root_.der()}, mesh_id_)) {
    record_.id = key_.id();
    record_.incarnation = 1'700'000'000'000;
    record_.addresses = {"192.0.2.1:7443", "[2001:db8::1]:7443"};
    record_.metrics_address = "192.0.2.1:9464";
    record_.software = "1.2.3";
    record_.epoch = 77;
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
