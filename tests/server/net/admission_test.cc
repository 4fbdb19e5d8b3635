#include "server/net/admission.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace peermesh::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant At(Duration time) { return Instant(time); }

// Admits and ends the handshake: for tests of the other caps.
bool Admits(Admission& admission, const std::string& address, Instant now) {
  if (!admission.TryAdmit(address, now).admitted) return false;
  admission.HandshakeOver(address);
  return true;
}

TEST(AdmissionTest, ABurstIsTakenAndThenTheRate) {
  Admission admission(Caps{1000, 1000, 1000, limits::Rate::PerSecond(8, 32)});
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(Admits(admission, "a", At(seconds(1)))) << i;
  EXPECT_EQ(admission.TryAdmit("a", At(seconds(1))).refusal, Refusal::kRate);
  EXPECT_TRUE(Admits(admission, "b", At(seconds(1)))) << "another address has its own bucket";
  EXPECT_FALSE(Admits(admission, "a", At(milliseconds(1124))));
  EXPECT_TRUE(Admits(admission, "a", At(milliseconds(1125))));
  EXPECT_FALSE(Admits(admission, "a", At(milliseconds(1125))));
}

TEST(AdmissionTest, ChangedCapsCountForWhoComesAndLeaveTheOthers) {
  Admission admission(Caps{3, 3, 10, limits::Rate::PerSecond(1, 3)});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Admits(admission, "a", At(seconds(1))));
  admission.SetCaps(Caps{2, 2, 10, limits::Rate::PerSecond(1, 3)});
  EXPECT_EQ(admission.open(), 3u) << "nobody is sent away";
  EXPECT_EQ(admission.TryAdmit("b", At(seconds(9))).refusal, Refusal::kTotal);
  admission.SetCaps(Caps{100, 100, 10, limits::Rate::PerSecond(1, 3)});
  EXPECT_EQ(admission.TryAdmit("a", At(seconds(1))).refusal, Refusal::kRate)
      << "a rate that stays keeps its books";
  admission.SetCaps(Caps{100, 100, 10, limits::Rate::PerSecond(1, 2)});
  EXPECT_TRUE(Admits(admission, "a", At(seconds(1)))) << "one that changes begins full";
  EXPECT_TRUE(Admits(admission, "a", At(seconds(1))));
  EXPECT_EQ(admission.TryAdmit("a", At(seconds(1))).refusal, Refusal::kRate);
}

TEST(AdmissionTest, ARefusedConnectionTakesNothing) {
  Admission admission(Caps{1000, 1, 1000, limits::Rate::PerSecond(1, 2)});
  ASSERT_TRUE(Admits(admission, "a", At(seconds(1))));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(admission.TryAdmit("a", At(seconds(1))).refusal, Refusal::kPerAddress);
  }
  admission.Release("a");
  EXPECT_TRUE(Admits(admission, "a", At(seconds(1)))) << "the second token is still there";
}

TEST(AdmissionTest, HandshakesAreCountedUntilTheyAreOver) {
  Admission admission(Caps{1000, 1000, 2, limits::Rate{}});
  EXPECT_TRUE(admission.TryAdmit("a", At(seconds(1))).admitted);
  EXPECT_TRUE(admission.TryAdmit("b", At(seconds(1))).admitted);
  EXPECT_EQ(admission.TryAdmit("c", At(seconds(1))).refusal, Refusal::kHandshakes);
  admission.HandshakeOver("a");
  EXPECT_TRUE(admission.TryAdmit("c", At(seconds(1))).admitted);
  EXPECT_EQ(admission.open(), 3u);
}

TEST(AdmissionTest, TheBusiestAddressIsTheOneThatHasMoreUnderWayThanTheNewcomer) {
  Admission admission(Caps{1000, 1000, 3, limits::Rate{}});
  EXPECT_EQ(admission.Busiest("c"), std::nullopt);
  EXPECT_TRUE(admission.TryAdmit("a", At(seconds(1))).admitted);
  EXPECT_TRUE(admission.TryAdmit("b", At(seconds(1))).admitted);
  EXPECT_TRUE(admission.TryAdmit("b", At(seconds(1))).admitted);
  EXPECT_EQ(admission.Busiest("a"), "b");
  EXPECT_EQ(admission.Busiest("b"), std::nullopt);
  EXPECT_EQ(admission.Busiest("c"), "b");
  admission.HandshakeOver("b");
  EXPECT_EQ(admission.Busiest("a"), std::nullopt) << "they are even";
}

TEST(AdmissionTest, AFloodIsStoppedByItsRateBeforeItCanPushAnybodyOut) {
  Admission admission(Caps{1000, 1000, 1, limits::Rate::PerSecond(1, 1)});
  EXPECT_TRUE(admission.TryAdmit("a", At(seconds(1))).admitted);
  EXPECT_EQ(admission.TryAdmit("b", At(seconds(1))).refusal, Refusal::kHandshakes);
  EXPECT_EQ(admission.TryAdmit("a", At(seconds(1))).refusal, Refusal::kRate);
  admission.HandshakeOver("a");
  EXPECT_TRUE(admission.TryAdmit("b", At(seconds(1))).admitted) << "it had taken nothing";
}

TEST(AdmissionTest, AddressesThatRestedAreForgottenWhenRoomIsNeeded) {
  Admission admission(Caps{100'000, 1000, 100'000, limits::Rate::PerSecond(1, 1)});
  for (std::size_t i = 0; i < kMaxTrackedAddresses; ++i) {
    const std::string address = std::to_string(i);
    ASSERT_TRUE(Admits(admission, address, At(seconds(1))));
    if (i != 7) admission.Release(address);
  }
  EXPECT_EQ(admission.tracked(), kMaxTrackedAddresses);
  EXPECT_EQ(admission.TryAdmit("new", At(seconds(1))).refusal, Refusal::kRate) << "all are busy";
  EXPECT_TRUE(Admits(admission, "new", At(seconds(3))));
  EXPECT_EQ(admission.tracked(), 2u) << "the newcomer, and the one with a connection";
}

TEST(AdmissionTest, WithoutARateNothingIsRememberedOfWhoLeft) {
  Admission admission(Caps::Local());
  ASSERT_TRUE(Admits(admission, "unix", At(seconds(1))));
  EXPECT_EQ(admission.tracked(), 1u);
  admission.Release("unix");
  EXPECT_EQ(admission.tracked(), 0u);
  EXPECT_EQ(admission.open(), 0u);
}

TEST(AdmissionTest, EveryRefusalHasItsOwnLabel) {
  std::set<std::string> labels;
  for (std::size_t i = 0; i < kRefusalCount; ++i) labels.insert(ToString(static_cast<Refusal>(i)));
  EXPECT_EQ(labels.size(), kRefusalCount);
  EXPECT_EQ(labels.count("unknown"), 0u);
}

}  // namespace
}  // namespace peermesh::net
