// A quorum, and who says what to it.
#ifndef PEERMESH_TESTS_MESH_MEMBERSHIP_QUORUM_FIXTURE_H_
#define PEERMESH_TESTS_MESH_MEMBERSHIP_QUORUM_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "mesh/membership/quorum.h"

namespace peermesh::membership {

inline PeerId Peer(std::uint32_t number) {
  PeerId id;
  for (int i = 0; i < 4; ++i)
    id.bytes[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
  return id;
}

class QuorumTest : public testing::Test {
 protected:
  ~QuorumTest() override { quorum.CheckInvariants(); }

  // Observers are peers 1 to `observers`.
  void Describe(std::uint32_t subject, std::uint32_t observers, std::uint64_t incarnation = 1,
                std::uint64_t epoch = 1) {
    Record record;
    record.id = Peer(subject);
    record.incarnation = incarnation;
    record.epoch = epoch;
    for (std::uint32_t i = 1; i <= observers; ++i) record.observers.push_back(ObserverKey(Peer(i)));
    quorum.Describe(now, RecordRef(record));
    quorum.CheckInvariants();
  }
  // It says nothing new but that peers `first` to `last` observe it now.
  void Move(std::uint32_t subject, std::uint32_t first, std::uint32_t last,
            std::uint64_t incarnation) {
    Record record;
    record.id = Peer(subject);
    record.incarnation = incarnation;
    record.published = record.epoch = 1;
    for (std::uint32_t i = first; i <= last; ++i) record.observers.push_back(ObserverKey(Peer(i)));
    quorum.Describe(now, RecordRef(record));
    quorum.CheckInvariants();
  }
  StatementRef Make(std::uint32_t observer, std::uint32_t subject, Claim claim,
                    std::uint64_t number, std::uint64_t incarnation = 1,
                    StateReason reason = StateReason::kLinkBroken) {
    Statement statement;
    statement.observer = Peer(observer);
    statement.subject = Peer(subject);
    statement.claim = claim;
    statement.number = number;
    statement.incarnation = incarnation;
    statement.reason = reason;
    return std::make_shared<const Statement>(statement);
  }
  Quorum::Heard Say(std::uint32_t observer, std::uint32_t subject, Claim claim,
                    std::uint64_t number = 1, std::uint64_t incarnation = 1,
                    StateReason reason = StateReason::kLinkBroken) {
    const Quorum::Heard heard =
        quorum.Hear(now, Make(observer, subject, claim, number, incarnation, reason));
    quorum.CheckInvariants();
    return heard;
  }
  // Observers first to last lost it, as told by who has known for long.
  void HearOfThePast(std::uint32_t subject, std::uint32_t first, std::uint32_t last,
                     std::uint64_t incarnation) {
    for (std::uint32_t i = first; i <= last; ++i) {
      Statement statement = *Make(i, subject, Claim::kGone, 1, incarnation);
      statement.past = true;
      quorum.Hear(now, std::make_shared<const Statement>(statement));
    }
    quorum.CheckInvariants();
  }
  // Observers first to last lost it.
  void Accuse(std::uint32_t subject, std::uint32_t first, std::uint32_t last,
              std::uint64_t incarnation = 1) {
    for (std::uint32_t i = first; i <= last; ++i) Say(i, subject, Claim::kGone, 1, incarnation);
  }
  void Wait(Duration duration) {
    const Instant until = now + duration;
    while (quorum.NextWake() <= until) {
      now = std::max(now, quorum.NextWake());
      quorum.Wake(now);
      ASSERT_GT(quorum.NextWake(), now);
      quorum.CheckInvariants();
    }
    now = until;
  }
  State StateOf(std::uint32_t subject) {
    for (const Quorum::Verdict& verdict : quorum.Standing()) {
      if (verdict.subject == Peer(subject)) return verdict.state;
    }
    return State::kAlive;
  }

  Quorum quorum;
  Instant now{std::chrono::hours(1)};
  static constexpr std::uint32_t kSubject = 100;
};

}  // namespace peermesh::membership

#endif  // PEERMESH_TESTS_MESH_MEMBERSHIP_QUORUM_FIXTURE_H_
