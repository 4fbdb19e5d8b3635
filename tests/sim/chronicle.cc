#include "tests/sim/chronicle.h"

#include <algorithm>
#include <filesystem>

#include "mesh/base/check.h"
#include "tests/sim/message.h"

namespace peermesh::sim {
namespace {

using history::Book;
using Kind = history::Event;
using history::Record;

std::uint32_t Fold(std::uint64_t hash) { return static_cast<std::uint32_t>(hash ^ hash >> 32); }

}  // namespace

absl::StatusOr<std::unique_ptr<Chronicle>> Chronicle::Create(const std::string& directory,
                                                             const World& world) {
  std::error_code failed;
  std::filesystem::create_directories(directory, failed);
  for (const char* file : {"/names.txt", "/world.history"}) {
    std::filesystem::remove(directory + file, failed);
  }
  auto names = history::Names::Open(directory);
  if (!names.ok()) return names.status();
  auto writer = history::Writer::Create(directory, "world");
  if (!writer.ok()) return writer.status();
  return std::unique_ptr<Chronicle>(new Chronicle(world, *std::move(names), *std::move(writer)));
}

void Chronicle::Finish() {
  for (HostIndex host = 0; host < world_.hosts(); ++host) {
    if (world_.running(host)) PutBooks(host);
  }
  writer_->Flush();
}

// --- Records -------------------------------------------------------------------------------------

Record Chronicle::About(Kind event) const {
  Record record;
  record.event = event;
  return record;
}

Record Chronicle::Of(Kind event, AppIndex app) {
  Record record = About(event);
  record.actor = static_cast<std::uint32_t>(app);
  record.peer = Line(world_.id(world_.app(app).host));
  return record;
}

Record Chronicle::Of(Kind event, const Process& process) {
  Record record = About(event);
  record.peer = Line(process.first);
  record.epoch = process.second;
  return record;
}

void Chronicle::Put(Record record) {
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::nanoseconds>(world_.now().time_since_epoch()).count();
  record.time_ns = last_ns_ = std::max(now, last_ns_ + 1);
  writer_->AppendTimed(std::span(&record, 1));
}

std::uint32_t Chronicle::Line(std::string_view name) {
  if (const auto it = lines_.find(name); it != lines_.end()) return it->second;
  return lines_.emplace(std::string(name), names_->Of(name)).first->second;
}

std::uint16_t Chronicle::Line(const PeerId& peer) {
  const auto [it, fresh] = peers_.try_emplace(peer);
  if (fresh) {
    const std::uint32_t line = names_->Of(peer.ToText());
    PM_CHECK(line <= UINT16_MAX);
    it->second = static_cast<std::uint16_t>(line);
  }
  return it->second;
}

// --- Processes -----------------------------------------------------------------------------------

void Chronicle::Started(HostIndex host) { Put(Of(Kind::kStarted, world_.ProcessOf(host))); }

void Chronicle::Ended(HostIndex host, Goodbye goodbye) {
  Record record = Of(Kind::kEnded, world_.ProcessOf(host));
  if (goodbye == Goodbye::kNone) record.flags = history::kKilled;
  PutBooks(host);
  Put(record);
}

void Chronicle::PutBooks(HostIndex host) {
  const node::Stats& stats = world_.node(host).stats();
  const auto put = [&](Book book, std::uint64_t value, std::size_t reason = 0) {
    Record record = Of(Kind::kBooks, world_.ProcessOf(host));
    record.reason = static_cast<std::uint8_t>(book);
    record.sequence = value;
    record.channel = static_cast<std::uint32_t>(reason);
    Put(record);
  };
  put(Book::kPublished, stats.published_messages);
  put(Book::kDelivered, stats.delivered_messages);
  put(Book::kRefusedRate, stats.publish_refused_rate);
  put(Book::kRefusedOther, stats.publish_refused_other);
  for (std::size_t reason = 1; reason < kLossReasonCount; ++reason) {
    put(Book::kAnnounced, stats.lost_messages[reason], reason);
  }
}

void Chronicle::Knows(const Process& publisher, const Process& subscriber,
                      std::string_view pattern) {
  PutLinked(publisher, subscriber, pattern, history::kOnePattern);
}

void Chronicle::Forgets(const Process& publisher, const Process& subscriber,
                        std::string_view pattern) {
  PutLinked(publisher, subscriber, pattern, history::kOnePattern | history::kNoMore);
}

void Chronicle::PutLinked(const Process& publisher, const Process& subscriber,
                          std::string_view pattern, std::uint16_t flags) {
  Record record = About(Kind::kLinked);
  record.origin = Line(publisher.first);
  record.epoch = publisher.second;
  record.peer = Line(subscriber.first);
  record.until = subscriber.second;
  record.flags = flags;
  record.name = Line(pattern);
  Put(record);
}

// --- Sessions ------------------------------------------------------------------------------------

void Chronicle::Opened(AppIndex app) {
  const HostIndex host = world_.app(app).host;
  Record record = Of(Kind::kOpened, app);
  record.epoch = world_.ProcessOf(host).second;
  record.until = Line(world_.name(host)) + 1u;
  Put(record);
}

void Chronicle::Closed(AppIndex app) { Put(Of(Kind::kClosed, app)); }

void Chronicle::Wants(AppIndex app, const node::Subscription& subscription) {
  Record record = Of(Kind::kSubscribe, app);
  record.sequence = subscription.id;
  record.name = Line(subscription.pattern);
  Put(record);
}

void Chronicle::Subscribed(AppIndex app, const node::Subscribed& wish) {
  for (const std::uint32_t id : wish.ids) {
    Record record = Of(Kind::kSubscribed, app);
    record.sequence = id;
    record.until = wish.unconfirmed.size();
    Put(record);
  }
}

void Chronicle::Unsubscribed(AppIndex app, const std::vector<std::uint32_t>& ids) {
  for (const std::uint32_t id : ids) {
    Record record = Of(Kind::kUnsubscribe, app);
    record.sequence = id;
    Put(record);
  }
}

// --- Messages ------------------------------------------------------------------------------------

void Chronicle::Publishes(AppIndex app, const Accepted& message, const std::string& target) {
  Record record = Of(Kind::kInvoke, app);
  record.message = message.id;
  record.name = Line(world_.SubjectOf(message));
  record.crc = Fold(message.hash);
  for (HostIndex host = 0; host < world_.hosts() && !target.empty(); ++host) {
    if (world_.name(host) == target || world_.id(host).ToText().starts_with(target)) {
      record.until = Line(world_.id(host)) + 1u;
    }
  }
  Put(record);
}

void Chronicle::Took(AppIndex app, const Accepted& message, const node::Answer& answer) {
  Record record = Of(Kind::kAccepted, app);
  record.message = message.id;
  record.epoch = world_.ProcessOf(world_.app(app).host).second;
  record.channel = message.channel;
  record.sequence = message.number;
  Put(record);
  for (const PeerId& peer : answer.unreachable) {
    record = Of(Kind::kUnreached, app);
    record.message = message.id;
    record.name = Line(peer);
    Put(record);
  }
}

void Chronicle::Refused(AppIndex app, const Accepted& message, node::Refusal refusal) {
  Record record = Of(Kind::kRefused, app);
  record.message = message.id;
  record.reason = static_cast<std::uint8_t>(refusal);
  Put(record);
}

void Chronicle::Receives(AppIndex app, const flow::Delivery& delivery) {
  Record record = Of(delivery.is_gap() ? Kind::kGap : Kind::kDeliver, app);
  record.origin = Line(delivery.origin);
  record.epoch = delivery.epoch;
  record.channel = delivery.channel;
  if (delivery.is_gap()) {
    record.sequence = delivery.gap_from;
    record.until = delivery.gap_to;
    record.reason = static_cast<std::uint8_t>(delivery.gap_reason);
    return Put(record);
  }
  const bool one_for_all = delivery.matched_counts.empty();
  std::size_t at = 0;
  for (std::size_t i = 0; i < delivery.items.size(); ++i) {
    const flow::Item& item = delivery.items[i];
    const Row& row = delivery.batch->rows.at(item.row);
    record.sequence = item.sequence;
    record.name = Line(delivery.batch->subject(row));
    record.crc = Fold(ContentHash(delivery.batch->record(row)));
    record.message = IdOf(*delivery.batch, row);
    const std::size_t first = one_for_all ? 0 : at;
    const std::size_t count = one_for_all ? 1 : delivery.matched_counts.at(i);
    for (std::size_t k = first; k < first + count && k < delivery.matched.size(); ++k) {
      record.until = delivery.matched[k];
      Put(record);
    }
    at += count;
  }
}

// --- The run -------------------------------------------------------------------------------------

std::string Chronicle::NameOf(std::size_t number, const Fault& fault) const {
  std::string name = "fault " + std::to_string(number) + ": " + fault.kind;
  for (const HostIndex host : fault.hosts) name += " " + world_.name(host);
  return name;
}

// The world notes only what bit.
void Chronicle::FaultOn(std::size_t number, const Fault& fault) {
  Record record = About(Kind::kFaultOn);
  record.name = Line(NameOf(number, fault));
  record.flags = history::kBit;
  Put(record);
}

void Chronicle::FaultOff(std::size_t number, const Fault& fault) {
  Record record = About(Kind::kFaultOff);
  record.name = Line(NameOf(number, fault));
  Put(record);
}

void Chronicle::Quiet() { Put(About(Kind::kQuiet)); }

}  // namespace peermesh::sim
