// Writes the history of a world (tests/history/record.h) while it runs: what drivers of real peers
// would have written, with virtual times, and with what no driver can know: when each process
// learned what others want.
//
// What the nodes counted themselves is in it, too (kBooks), from the end of every process. Rules
// that the format leaves open:
//  * No two records have the same time: they are told apart by nanoseconds, in the order in which
//    things happened, because the checker reasons about before and after.
//  * `crc` is 32 bits of a hash of the whole record.
//
// One run; not thread-safe.
#ifndef PEERMESH_TESTS_SIM_CHRONICLE_H_
#define PEERMESH_TESTS_SIM_CHRONICLE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "tests/history/names.h"
#include "tests/history/record.h"
#include "tests/history/writer.h"
#include "tests/sim/world.h"

namespace peermesh::sim {

class Chronicle final : public Witness {
 public:
  // Into `directory`, which is made; a history that is there already is replaced. `world` outlives
  // it.
  static absl::StatusOr<std::unique_ptr<Chronicle>> Create(const std::string& directory,
                                                           const World& world);

  // At the end of the run: the books of those that still run, and what waits to be written.
  void Finish();

  void Started(HostIndex host) override;
  void Ended(HostIndex host, Goodbye goodbye) override;
  void Knows(const Process& publisher, const Process& subscriber,
             std::string_view pattern) override;
  void Forgets(const Process& publisher, const Process& subscriber,
               std::string_view pattern) override;
  void Opened(AppIndex app) override;
  void Closed(AppIndex app) override;
  void Wants(AppIndex app, const node::Subscription& subscription) override;
  void Subscribed(AppIndex app, const node::Subscribed& wish) override;
  void Unsubscribed(AppIndex app, const std::vector<std::uint32_t>& ids) override;
  void Publishes(AppIndex app, const Accepted& message, const std::string& target) override;
  void Took(AppIndex app, const Accepted& message, const node::Answer& answer) override;
  void Refused(AppIndex app, const Accepted& message, node::Refusal refusal) override;
  void Receives(AppIndex app, const flow::Delivery& delivery) override;
  void FaultOn(std::size_t number, const Fault& fault) override;
  void FaultOff(std::size_t number, const Fault& fault) override;
  void Quiet() override;

 private:
  Chronicle(const World& world, std::unique_ptr<history::Names> names,
            std::unique_ptr<history::Writer> writer)
      : world_(world), names_(std::move(names)), writer_(std::move(writer)) {}

  history::Record About(history::Event event) const;
  history::Record Of(history::Event event, AppIndex app);
  history::Record Of(history::Event event, const Process& process);
  void Put(history::Record record);
  void PutBooks(HostIndex host);
  void PutLinked(const Process& publisher, const Process& subscriber, std::string_view pattern,
                 std::uint16_t flags);
  std::uint32_t Line(std::string_view name);
  std::uint16_t Line(const PeerId& peer);
  std::string NameOf(std::size_t number, const Fault& fault) const;

  const World& world_;
  const std::unique_ptr<history::Names> names_;
  const std::unique_ptr<history::Writer> writer_;
  std::map<std::string, std::uint32_t, std::less<>> lines_;  // of names_, without its lock
  std::map<PeerId, std::uint16_t> peers_;
  std::int64_t last_ns_ = -1;
};

}  // namespace peermesh::sim

#endif  // PEERMESH_TESTS_SIM_CHRONICLE_H_
