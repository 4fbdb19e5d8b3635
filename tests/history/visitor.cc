#include "tests/history/visitor.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <utility>
#include <variant>

#include "mesh/base/check.h"
#include "mesh/node/effect.h"
#include "mesh/routing/subject.h"

namespace peermesh::history {
namespace {

// Far more than the load has under way at once, so that Publish never waits while it is locked.
constexpr std::size_t kWindowBytes = 256u << 20;
constexpr std::size_t kMaxUnanswered = 8192;
constexpr std::size_t kIdBytes = sizeof(std::uint64_t);

constexpr std::array<std::uint32_t, 256> MakeCrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}

// CRC-32C (RFC 3720).
std::uint32_t Crc(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = MakeCrcTable();
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc = crc >> 8 ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  }
  return ~crc;
}

// The message's id, and bytes that follow from it.
std::string PayloadOf(std::uint64_t message, std::size_t most_bytes) {
  std::string payload;
  std::uint64_t word = message;
  for (std::size_t i = 0; i < kIdBytes; ++i) payload.push_back(static_cast<char>(message >> 8 * i));
  const std::size_t bytes = kIdBytes + (message * 2654435761u) % (most_bytes + 1);
  while (payload.size() < bytes) {
    word = word * 6364136223846793005u + 1442695040888963407u;
    payload.push_back(static_cast<char>(word >> 56));
  }
  return payload;
}

std::uint64_t IdOf(std::string_view payload) {
  std::uint64_t message = 0;
  for (std::size_t i = 0; i < kIdBytes && i < payload.size(); ++i) {
    message |= std::uint64_t{static_cast<unsigned char>(payload[i])} << 8 * i;
  }
  return message;
}

// What a peer's reason says of the fate of a message: refused for good, or nothing (kNone).
node::Refusal RefusalOf(const absl::Status& status) {
  static constexpr std::pair<std::string_view, node::Refusal> kReasons[] = {
      {"DRAINING", node::Refusal::kDraining},
      {"RATE_LIMITED", node::Refusal::kRateLimited},
      {"UNKNOWN_PEER", node::Refusal::kUnknownPeer},
      {"AMBIGUOUS_PEER", node::Refusal::kAmbiguousPeer},
      {"PEER_UNREACHABLE", node::Refusal::kPeerUnreachable},
      {"NO_SUBSCRIBERS", node::Refusal::kNoSubscribers},
  };
  const std::string reason = client::ReasonOf(status);
  for (const auto& [text, refusal] : kReasons) {
    if (text == reason) return refusal;
  }
  if (reason != "CONNECTION_LOST") {
    std::fprintf(stderr, "history_load: no such refusal: %s\n", status.ToString().c_str());
  }
  return node::Refusal::kNone;
}

}  // namespace

Visitor::Visitor(const Options& options, std::uint32_t actor, Names& names, Writer& writer,
                 Counts& counts)
    : options_(options),
      actor_(actor),
      probe_(fmt::format("probe.{}", actor)),
      names_(names),
      writer_(writer),
      counts_(counts) {}

Visitor::~Visitor() {
  session_.reset();
  const std::lock_guard lock(mutex_);
  for (const auto& [batch, messages] : unanswered_) {
    for (const Sent& sent : messages) {
      Record record = About(Event::kUnknown);
      record.message = sent.message;
      ++counts_.unknown;
      Put(record);
    }
  }
  if (epoch_ != 0) {
    Put(About(Event::kClosed));
    return;
  }
  std::erase_if(early_, [](const Record& record) {
    return record.event != Event::kInvoke && record.event != Event::kUnknown;
  });
  writer_.AppendTimed(early_);
}

// --- Records -------------------------------------------------------------------------------------

Record Visitor::About(Event event) const {
  Record record;
  record.actor = actor_;
  record.peer = peer_;
  record.event = event;
  return record;
}

void Visitor::Put(Record record) {
  if (epoch_ != 0) return writer_.Append(record);
  record.time_ns = NowNs();
  early_.push_back(record);
}

std::uint16_t Visitor::PeerLine(const std::string& id) const {
  const std::uint32_t line = names_.Of(id);
  PM_CHECK(line <= UINT16_MAX);
  return static_cast<std::uint16_t>(line);
}

void Visitor::LearnEpoch(std::uint64_t epoch) {
  epoch_ = epoch;
  for (Record& record : early_) {
    record.peer = peer_;
    if (record.event == Event::kOpened || record.event == Event::kAccepted) record.epoch = epoch;
  }
  writer_.AppendTimed(early_);
  early_.clear();
  ++counts_.sessions;
  changed_.notify_all();
}

// --- Doing ---------------------------------------------------------------------------------------

absl::Status Visitor::Enter(Duration patience) {
  client::Options where;
  where.socket = options_.socket;
  where.address = options_.address;
  where.identity = options_.identity;
  where.label = "history_load";
  where.connect_timeout = patience;
  auto client = client::Client::Connect(where);
  if (!client.ok()) return client.status();
  client_ = *std::move(client);
  client::SessionOptions wanted;
  wanted.subjects = {probe_};
  wanted.subjects.insert(wanted.subjects.end(), options_.patterns.begin(), options_.patterns.end());
  wanted.reconnect = false;
  wanted.window_bytes = kWindowBytes;
  wanted.on_events = [this](std::span<client::Event> events) { Take(events); };
  wanted.on_published = [this](const client::Published& published) { TakeAnswer(published); };
  {
    const std::lock_guard lock(mutex_);
    Put(About(Event::kOpened));
    for (std::size_t i = 0; i < wanted.subjects.size(); ++i) {
      Record record = About(Event::kSubscribe);
      record.name = names_.Of(wanted.subjects[i]);
      record.sequence = i + 1;
      Put(record);
    }
  }
  auto session = client_->OpenSession(std::move(wanted));
  if (!session.ok()) return session.status();
  std::unique_lock lock(mutex_);
  session_ = *std::move(session);
  PublishLocked(probe_, {});
  const bool learnt = changed_.wait_for(lock, patience, [this] { return epoch_ != 0; });
  return learnt ? absl::OkStatus()
                : absl::DeadlineExceededError("A message to oneself did not arrive.");
}

bool Visitor::Publish(std::string_view subject, std::string_view target) {
  const std::lock_guard lock(mutex_);
  if (unanswered_count_ >= kMaxUnanswered) {
    ++counts_.held;
    return false;
  }
  PublishLocked(subject, target);
  return true;
}

void Visitor::PublishLocked(std::string_view subject, std::string_view target) {
  client::Message message;
  Record record = About(Event::kInvoke);
  record.message = std::uint64_t{actor_} << 32 | next_message_++;
  record.name = names_.Of(subject);
  message.subject = subject;
  message.payload = PayloadOf(record.message, options_.most_bytes);
  record.crc = Crc(message.payload);
  if (!target.empty()) record.until = PeerLine(std::string(target)) + 1u;
  Put(record);
  ++counts_.invoked;
  std::vector<client::Message> messages;
  messages.push_back(std::move(message));
  const auto batch = session_->Publish(std::move(messages), target);
  if (batch.ok()) {
    unanswered_[*batch].push_back({record.message, routing::ChannelOf(subject), record.name});
    ++unanswered_count_;
    return;
  }
  record = About(Event::kRefused);  // it was not even queued
  record.message = std::uint64_t{actor_} << 32 | (next_message_ - 1);
  record.reason = static_cast<std::uint8_t>(node::Refusal::kUnknownSession);
  ++counts_.refused;
  Put(record);
}

absl::Status Visitor::Ended() {
  const auto event = session_->Next({});
  return event.ok() ? absl::OkStatus() : event.status();
}

bool Visitor::AskedToLeave() {
  const std::lock_guard lock(mutex_);
  return asked_to_leave_;
}

void Visitor::Leave(Duration patience) {
  const absl::Status status = session_->Close(patience);
  if (!status.ok()) {
    std::fprintf(stderr, "history_load: left with %s\n", status.ToString().c_str());
  }
}

// --- Seeing --------------------------------------------------------------------------------------

void Visitor::Take(std::span<client::Event> events) {
  const std::lock_guard lock(mutex_);
  for (const client::Event& event : events) {
    if (const auto* received = std::get_if<client::Received>(&event)) {
      Deliver(*received);
    } else if (const auto* gap = std::get_if<client::Gap>(&event)) {
      Record record = About(Event::kGap);
      record.origin = PeerLine(gap->origin.ToText());
      record.epoch = gap->epoch;
      record.channel = gap->channel;
      record.sequence = gap->from;
      record.until = gap->to;
      record.reason = static_cast<std::uint8_t>(gap->reason);
      ++counts_.gaps;
      Put(record);
    } else if (const auto* subscribed = std::get_if<client::Subscribed>(&event)) {
      for (const std::uint32_t id : subscribed->ids) {
        Record record = About(Event::kSubscribed);
        record.sequence = id;
        record.until = subscribed->unconfirmed_peers.size();
        Put(record);
      }
    } else if (const auto* connected = std::get_if<client::Connected>(&event)) {
      peer_ = PeerLine(connected->peer_id);
      early_.front().until = names_.Of(connected->peer_name) + 1u;
    } else if (std::holds_alternative<client::GoingAway>(event)) {
      asked_to_leave_ = true;
    }
  }
}

void Visitor::Deliver(const client::Received& received) {
  Record record = About(Event::kDeliver);
  record.origin = PeerLine(received.origin->id.ToText());
  record.epoch = received.origin->epoch;
  record.channel = received.channel;
  record.sequence = received.sequence;
  record.name = names_.Of(received.message.subject);
  record.crc = Crc(received.message.payload);
  record.message = IdOf(received.message.payload);
  for (const std::uint32_t id : received.subscriptions) {
    record.until = id;
    ++counts_.delivered;
    Put(record);
  }
  if (epoch_ == 0 && received.message.subject == probe_) LearnEpoch(received.origin->epoch);
}

void Visitor::TakeAnswer(const client::Published& published) {
  const std::lock_guard lock(mutex_);
  const auto messages = unanswered_.extract(published.id);
  PM_CHECK(!messages.empty() && messages.mapped().size() == published.messages);
  std::map<std::uint32_t, std::uint64_t> next;  // number by channel
  if (published.receipt.ok()) {
    for (const client::NumberRange& range : published.receipt->numbers)
      next[range.channel] = range.first;
  }
  unanswered_count_ -= messages.mapped().size();
  for (const Sent& sent : messages.mapped()) Answer(published, sent, next);
}

void Visitor::Answer(const client::Published& published, const Sent& sent,
                     std::map<std::uint32_t, std::uint64_t>& next) {
  Record record = About(Event::kUnknown);
  record.message = sent.message;
  record.name = sent.subject;
  if (!published.receipt.ok()) {
    const node::Refusal refusal = RefusalOf(published.receipt.status());
    if (refusal != node::Refusal::kNone) record.event = Event::kRefused;
    record.reason = static_cast<std::uint8_t>(refusal);
    ++(refusal != node::Refusal::kNone ? counts_.refused : counts_.unknown);
    return Put(record);
  }
  PM_CHECK(next.contains(sent.channel));
  record.event = Event::kAccepted;
  record.epoch = epoch_;
  record.channel = sent.channel;
  record.sequence = next.at(sent.channel)++;
  ++counts_.accepted;
  Put(record);
  for (const std::string& peer : published.receipt->unreachable_peers) {
    record = About(Event::kUnreached);
    record.message = sent.message;
    record.name = PeerLine(peer);
    Put(record);
  }
}

}  // namespace peermesh::history
