// What was accepted and what is owed: the books that applications of a world are checked against.
//
// A message is owed to an application if its publisher knew, when it took the message, that the
// application's peer wanted it. It is settled by its delivery or by a gap that names its number.
// What a process that is gone had not yet told of is gone with it.
//
// Knows nothing of nodes or hosts. Not thread-safe.
#ifndef PEERMESH_TESTS_SIM_TRUTH_H_
#define PEERMESH_TESTS_SIM_TRUTH_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/loss.h"
#include "mesh/base/time.h"
#include "mesh/flow/run.h"

namespace peermesh::sim {

// `*` and `>` as the documentation has them, without a tree.
bool NaiveMatch(std::string_view pattern, std::string_view subject);

// Fast, and the same within one program only.
std::uint64_t ContentHash(std::string_view record);

using Process = std::pair<PeerId, std::uint64_t>;  // a peer and its epoch

struct Accepted {
  std::uint64_t id = 0;       // as it stands in its payload
  std::uint32_t subject = 0;  // see Truth::Subject
  std::uint32_t channel = 0;
  std::uint64_t number = 0;
  std::uint64_t hash = 0;  // of its record
  Instant when{};          // virtual time of its acceptance
  bool direct = false;     // meant for one peer, so nobody else was promised it
};

// What reached one application, by origin, epoch and channel; all ranges in order.
struct Received {
  using Key = std::tuple<PeerId, std::uint64_t, std::uint32_t>;
  struct Stream {
    std::vector<std::uint64_t> numbers;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> gaps;  // both ends included
    std::uint64_t last = 0;
  };
  std::map<Key, Stream> streams;
  std::uint64_t delivered = 0;
  std::map<LossReason, std::uint64_t> gapped;  // numbers in gaps
  // How many messages each publishing process had accepted when this application subscribed.
  std::map<Process, std::size_t> subscribed_at;
};

// What became of the messages that an application was promised.
struct Tally {
  std::uint64_t accepted = 0, delivered = 0, gapped = 0, missing = 0;
  std::string first_missing;

  Tally& operator+=(const Tally& other);
};

class Truth {
 public:
  std::uint32_t Subject(std::string_view text);  // the number of a subject
  const std::string& subject(std::uint32_t number) const { return *subjects_.at(number); }

  // Numbers of a channel come in order, from 1. False if this one does not.
  bool Accept(const Process& origin, const Accepted& message);
  // `publisher` knows from now on that `subscriber` wants `pattern`.
  void Knows(const Process& publisher, const Process& subscriber, std::string_view pattern);
  bool IsKnown(const Process& publisher, const Process& subscriber,
               const std::string& pattern) const {
    return known_.contains(std::tuple(publisher, subscriber, pattern));
  }
  // No more of it, until it is told again.
  void Forgets(const Process& publisher, const Process& subscriber, std::string_view pattern);
  std::vector<std::string> KnownBy(const Process& publisher, const Process& subscriber) const;
  void Subscribed(Received& received) const;

  // Books a delivery or gap. What is wrong with it; nothing if nothing is.
  std::optional<std::string> Receive(Received& received,
                                     const std::map<std::uint32_t, std::string>& patterns,
                                     const flow::Delivery& delivery) const;
  // `running`: whether that process lives.
  template <typename Running>
  Tally TallyOf(const Received& received, const std::map<std::uint32_t, std::string>& patterns,
                const Process& here, const Running& running) const {
    Tally tally;
    for (const auto& [origin, ledger] : ledgers_) {
      Add(received, patterns, here, origin, ledger, running(origin), tally);
    }
    return tally;
  }

 private:
  struct Ledger {
    std::vector<Accepted> order;
    std::array<std::vector<std::size_t>, kChannels> by_number;  // [number - 1]: place in `order`
  };
  void Add(const Received& received, const std::map<std::uint32_t, std::string>& patterns,
           const Process& here, const Process& origin, const Ledger& ledger, bool running,
           Tally& tally) const;
  std::optional<std::string> ReceiveItem(const Ledger& ledger,
                                         const std::map<std::uint32_t, std::string>& patterns,
                                         const flow::Delivery& delivery, const flow::Item& item,
                                         const std::uint32_t* ids, std::size_t count) const;

  std::map<std::string, std::uint32_t, std::less<>> numbers_;
  std::vector<const std::string*> subjects_;  // keys of numbers_
  std::map<Process, Ledger> ledgers_;
  // publisher, subscriber, pattern -> messages accepted before the publisher knew of the pattern
  std::map<std::tuple<Process, Process, std::string>, std::size_t> known_;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_TRUTH_H_
