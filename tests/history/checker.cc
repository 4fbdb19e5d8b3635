#include "tests/history/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "mesh/base/check.h"
#include "tests/history/checker_impl.h"

namespace peermesh::history {
namespace {

struct Text {
  const char* id;
  const char* sentence;
};
constexpr Text kTexts[kInvariants] = {
    {"phantom", "Whatever is delivered was published before."},
    {"refused", "What was refused is never delivered."},
    {"content", "A message arrives with the subject and the payload it was published with."},
    {"match", "The subscription a message is delivered for is the session's, and matches."},
    {"target", "A message to one peer reaches sessions at that peer only."},
    {"number",
     "A message has the number it was accepted under, alone, everywhere; a gap names "
     "numbers that were given out; epochs grow."},
    {"order",
     "Numbers of a channel of a process reach a session in growing order, gaps "
     "included."},
    {"duplicate", "No message reaches a session twice, under one number or two."},
    {"gap", "What was announced as lost does not come after all."},
    {"unknown", "A message whose fate its publisher does not know was taken at most once."},
    {"owed",
     "What was accepted for a subscription is delivered, announced as lost, or a counted "
     "drop."},
    {"books", "The metrics of a process agree with what its applications saw."},
    {"history", "The history does not contradict itself."},
};

std::string_view TakeToken(std::string_view& rest) {
  const std::size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
  return token;
}

}  // namespace

const char* IdOf(Invariant invariant) { return kTexts[static_cast<std::size_t>(invariant)].id; }
const char* SentenceOf(Invariant invariant) {
  return kTexts[static_cast<std::size_t>(invariant)].sentence;
}

Account& Account::operator+=(const Account& other) {
  accepted += other.accepted;
  delivered += other.delivered;
  gaps += other.gaps;
  unreached += other.unreached;
  killed += other.killed;
  ended += other.ended;
  unlinked += other.unlinked;
  unexplained += other.unexplained;
  return *this;
}

bool NaiveMatch(std::string_view pattern, std::string_view subject) {
  for (;;) {
    if (pattern == ">") return !subject.empty();
    if (pattern.empty() || subject.empty()) return pattern.empty() && subject.empty();
    const std::string_view want = TakeToken(pattern);
    const std::string_view have = TakeToken(subject);
    if (want != "*" && want != have) return false;
  }
}

Checker::Checker(std::vector<std::string> names)
    : impl_(std::make_unique<Impl>(std::move(names))) {}
Checker::~Checker() = default;
void Checker::Add(const Record& record) { impl_->Add(record); }
Report Checker::Finish() { return impl_->Finish(); }

void Checker::Impl::Add(const Record& record) {
  ++report_.records;
  last_ns_ = std::max(last_ns_, record.time_ns);
  if (record.channel >= kChannels) {
    return Complain(Invariant::kHistory, record, fmt::format("channel {}", record.channel));
  }
  switch (record.event) {
    case Event::kStarted:
    case Event::kEnded:
    case Event::kLinked: return OnProcess(record);
    case Event::kOpened:
    case Event::kClosed: return OnSession(record);
    case Event::kSubscribe:
    case Event::kSubscribed:
    case Event::kUnsubscribe: return OnSubscription(record);
    case Event::kInvoke: return OnInvoke(record);
    case Event::kAccepted:
    case Event::kUnreached:
    case Event::kRefused:
    case Event::kUnknown: return OnAnswer(record);
    case Event::kDeliver: return OnDeliver(record);
    case Event::kGap: return OnGap(record);
    case Event::kFaultOn:
    case Event::kFaultOff: faults_[record.name].bit |= (record.flags & kBit) != 0; return;
    case Event::kBooks: return OnBooks(record);
    case Event::kQuiet: quiet_ = std::min(quiet_, record.time_ns); return;
  }
  Complain(Invariant::kHistory, record,
           fmt::format("an event of kind {}", static_cast<int>(record.event)));
}

// --- Names and indexes ---------------------------------------------------------------------------

std::string Checker::Impl::Name(std::uint64_t line) const {
  return line < names_.size() ? names_[line] : fmt::format("name {}", line);
}

std::string Checker::Impl::PeerName(std::uint16_t peer) const {
  const auto it = report_.peers.find(peer);
  return it == report_.peers.end() ? Name(peer) : it->second;
}

Checker::Impl::ProcessIndex Checker::Impl::ProcessOf(std::uint16_t peer, std::uint64_t epoch) {
  const auto [it, fresh] =
      process_index_.try_emplace({peer, epoch}, static_cast<ProcessIndex>(processes_.size()));
  if (fresh) {
    Process& process = processes_.emplace_back();
    process.peer = peer;
    process.epoch = epoch;
    process.began = last_ns_;
  }
  return it->second;
}

Checker::Impl::Session* Checker::Impl::FindSession(const Record& record) {
  const auto it = sessions_.find(record.actor);
  if (it != sessions_.end()) return &it->second;
  Complain(Invariant::kHistory, record, fmt::format("session {} was never opened", record.actor));
  return nullptr;
}

Checker::Impl::Message* Checker::Impl::FindMessage(const Record& record) {
  const auto it = message_index_.find(record.message);
  return it == message_index_.end() ? nullptr : &messages_[it->second];
}

bool Checker::Impl::Matches(std::uint32_t pattern, std::uint32_t subject) {
  const auto [it, fresh] = matches_.try_emplace(std::uint64_t{pattern} << 32 | subject, false);
  if (fresh) it->second = NaiveMatch(Name(pattern), Name(subject));
  return it->second;
}

void Checker::Impl::Keep(Violation violation) {
  ++report_.violations[static_cast<std::size_t>(violation.invariant)];
  if (report_.first.size() < kMaxViolationsKept) report_.first.push_back(std::move(violation));
}

void Checker::Impl::Complain(Invariant invariant, const Record& record, std::string what) {
  Violation violation{invariant,       std::move(what), record.time_ns, record.message,
                      record.actor,    record.origin,   record.epoch,   record.channel,
                      record.sequence, record.sequence};
  if (record.event == Event::kGap) violation.last = record.until;
  if (record.event == Event::kAccepted) violation.origin = record.peer;
  Keep(std::move(violation));
}

// --- Processes, sessions, subscriptions ----------------------------------------------------------

void Checker::Impl::OnProcess(const Record& record) {
  if (record.event == Event::kLinked) {
    const ProcessIndex origin = ProcessOf(record.origin, record.epoch);
    const ProcessIndex here = ProcessOf(record.peer, record.until);
    const std::uint64_t pair = std::uint64_t{origin} << 32 | here;
    linked_.try_emplace(pair, record.time_ns);
    if ((record.flags & kOnePattern) != 0) {
      const auto [it, fresh] = told_.try_emplace({pair, record.name}, record.time_ns);
      if ((record.flags & kNoMore) != 0) {
        it->second = kNotYet;
      } else if (it->second == kNotYet) {
        it->second = record.time_ns;
      }
    }
    return;
  }
  Process& process = processes_[ProcessOf(record.peer, record.epoch)];
  if (record.event == Event::kEnded) {
    process.ended = std::min(process.ended, record.time_ns);
    process.killed |= (record.flags & kKilled) != 0;
    report_.kills += (record.flags & kKilled) != 0;
    return;
  }
  const auto [newest, fresh] = newest_epoch_.try_emplace(record.peer, record.epoch);
  if (!fresh && newest->second >= record.epoch) {
    Complain(Invariant::kNumber, record,
             fmt::format("{} began epoch {} after {}", PeerName(record.peer), record.epoch,
                         newest->second));
  }
  newest->second = std::max(newest->second, record.epoch);
}

void Checker::Impl::OnSession(const Record& record) {
  if (record.event == Event::kClosed) {
    if (Session* session = FindSession(record)) session->closed = record.time_ns;
    return;
  }
  const auto [it, fresh] = sessions_.try_emplace(record.actor);
  if (!fresh) {
    return Complain(Invariant::kHistory, record,
                    fmt::format("session {} was opened twice", record.actor));
  }
  ++report_.sessions;
  it->second.peer = record.peer;
  it->second.process = ProcessOf(record.peer, record.epoch);
  if (record.until > 0) report_.peers[record.peer] = Name(record.until - 1);
}

void Checker::Impl::OnSubscription(const Record& record) {
  Session* session = FindSession(record);
  if (session == nullptr) return;
  const auto id = static_cast<std::uint32_t>(record.sequence);
  if (record.event == Event::kSubscribe) {
    const auto [it, fresh] = session->subscriptions.try_emplace(id);
    it->second.pattern = record.name;
    ++report_.subscriptions;
    if (fresh) return;
    return Complain(Invariant::kHistory, record, fmt::format("subscription {} is in use", id));
  }
  const auto it = session->subscriptions.find(id);
  if (it == session->subscriptions.end()) {
    return Complain(Invariant::kHistory, record, fmt::format("nobody asked for {}", id));
  }
  if (record.event == Event::kUnsubscribe) {
    it->second.ended = record.time_ns;
    it->second.cancelled = true;
  } else {
    it->second.confirmed = record.time_ns;
    it->second.peers_missing = record.until > 0;
  }
}

// --- Publishing ----------------------------------------------------------------------------------

void Checker::Impl::OnInvoke(const Record& record) {
  const auto index = static_cast<MessageIndex>(messages_.size());
  if (record.message == 0 || !message_index_.try_emplace(record.message, index).second) {
    return Complain(Invariant::kHistory, record,
                    fmt::format("message {} was invoked twice", record.message));
  }
  Message& message = messages_.emplace_back();
  message.id = record.message;
  message.invoked = record.time_ns;
  message.subject = record.name;
  message.crc = record.crc;
  message.actor = record.actor;
  message.target = static_cast<std::uint32_t>(record.until);
}

void Checker::Impl::OnAnswer(const Record& record) {
  Message* message = FindMessage(record);
  if (message == nullptr) {
    return Complain(Invariant::kHistory, record, "an answer to what nobody published");
  }
  if (record.event == Event::kUnreached) {
    const auto index = static_cast<std::uint64_t>(message - messages_.data());
    unreached_.insert(index << 16 | (record.name & 0xffff));
    return;
  }
  if (message->state != State::kPending) {
    return Complain(Invariant::kHistory, record, "a second answer");
  }
  switch (record.event) {
    case Event::kAccepted: return OnAccepted(record, *message);
    case Event::kUnknown:
      message->state = State::kUnknown;
      ++report_.unknown;
      return;
    default: break;
  }
  message->state = State::kRefused;
  ++report_.refused;
  CountRefusal(record, *message);
  if (message->delivered) Complain(Invariant::kRefused, record, "refused after it was delivered");
}

void Checker::Impl::OnAccepted(const Record& record, Message& message) {
  message.state = State::kAccepted;
  message.accepted = record.time_ns;
  ++report_.accepted;
  const ProcessIndex process = ProcessOf(record.peer, record.epoch);
  if (message.numbered == NumberedBy::kDelivery &&
      (message.process != process || message.channel != record.channel ||
       message.sequence != record.sequence)) {
    Complain(Invariant::kNumber, record,
             fmt::format("delivered as number {} of channel {}, accepted as number {} of {}",
                         message.sequence, message.channel, record.sequence, record.channel));
  }
  message.numbered = NumberedBy::kAcceptance;
  message.process = process;
  message.channel = static_cast<std::uint8_t>(record.channel);
  message.sequence = record.sequence;
  Process& origin = processes_[process];
  ++origin.accepted_count;
  origin.highest[record.channel] = std::max(origin.highest[record.channel], record.sequence);
  origin.accepted[message.subject].push_back(
      static_cast<MessageIndex>(&message - messages_.data()));
}

// --- Arrivals ------------------------------------------------------------------------------------

void Checker::Impl::Hear(const Session& session, ProcessIndex origin, std::int64_t now) {
  linked_.try_emplace(std::uint64_t{origin} << 32 | session.process, now);
}

bool Checker::Impl::WasDelivered(const Session& session, StreamKey key,
                                 std::uint64_t sequence) const {
  for (const auto& [id, subscription] : session.subscriptions) {
    const auto it = subscription.delivered.find(key);
    if (it == subscription.delivered.end()) continue;
    if (std::find(it->second.rbegin(), it->second.rend(), sequence) != it->second.rend())
      return true;
  }
  return false;
}

void Checker::Impl::OnDeliver(const Record& record) {
  ++report_.deliveries;
  Session* session = FindSession(record);
  if (session == nullptr) return;
  Hear(*session, ProcessOf(record.origin, record.epoch), record.time_ns);
  Message* message = FindMessage(record);
  if (message == nullptr) {
    return Complain(Invariant::kPhantom, record,
                    fmt::format("message {} was never published", record.message));
  }
  message->delivered = true;
  if (message->state == State::kRefused) {
    return Complain(Invariant::kRefused, record, "delivered although it was refused");
  }
  if (message->crc != record.crc) Complain(Invariant::kContent, record, "another payload");
  if (message->subject != record.name) {
    Complain(
        Invariant::kContent, record,
        fmt::format("published as {}, delivered as {}", Name(message->subject), Name(record.name)));
  }
  const auto it = session->subscriptions.find(static_cast<std::uint32_t>(record.until));
  Subscription* subscription = it == session->subscriptions.end() ? nullptr : &it->second;
  if (subscription == nullptr || !Matches(subscription->pattern, message->subject)) {
    Complain(Invariant::kMatch, record,
             subscription == nullptr
                 ? fmt::format("there is no subscription {}", record.until)
                 : fmt::format("{} does not match {}", Name(subscription->pattern),
                               Name(message->subject)));
    subscription = nullptr;
  }
  if (message->target != 0 && message->target != session->peer + 1u) {
    Complain(Invariant::kTarget, record,
             fmt::format("meant for {}, delivered at {}",
                         PeerName(static_cast<std::uint16_t>(message->target - 1)),
                         PeerName(session->peer)));
  }
  if (!CheckNumber(record, *session, *message)) return;
  CheckOrder(record, *session, subscription, *message);
}

// Whether the message bears its number. What bears another one is not looked at any further if it
// came before, and counts as the one it is otherwise.
bool Checker::Impl::CheckNumber(const Record& record, const Session& session, Message& message) {
  const ProcessIndex process = ProcessOf(record.origin, record.epoch);
  if (message.numbered == NumberedBy::kNobody) {
    message.numbered = NumberedBy::kDelivery;
    message.process = process;
    message.channel = static_cast<std::uint8_t>(record.channel);
    message.sequence = record.sequence;
    Process& origin = processes_[process];
    origin.highest[record.channel] = std::max(origin.highest[record.channel], record.sequence);
    return true;
  }
  if (message.process == process && message.channel == record.channel &&
      message.sequence == record.sequence) {
    return true;
  }
  const std::string what =
      fmt::format("number {} of channel {} is also number {} of channel {}", message.sequence,
                  message.channel, record.sequence, record.channel);
  if (message.state == State::kUnknown) {
    Complain(Invariant::kUnknown, record, what);
    return false;
  }
  const bool again =
      WasDelivered(session, KeyOf(message.process, message.channel), message.sequence);
  Complain(again ? Invariant::kDuplicate : Invariant::kNumber, record, what);
  return !again;
}

// It came, only under a wrong id: one fault is not to show as another.
void Checker::Impl::CountForMatching(Session& session, StreamKey key, const Message& message) {
  Stream& stream = session.streams[key];
  stream.last = std::max(stream.last, message.sequence);
  for (auto& [id, subscription] : session.subscriptions) {
    if (!Matches(subscription.pattern, message.subject)) continue;
    std::vector<std::uint64_t>& seen = subscription.delivered[key];
    if (seen.empty() || seen.back() < message.sequence) seen.push_back(message.sequence);
  }
}

void Checker::Impl::CheckOrder(const Record& record, Session& session, Subscription* subscription,
                               const Message& message) {
  const StreamKey key = KeyOf(message.process, message.channel);
  Stream& stream = session.streams[key];
  const std::uint64_t number = message.sequence;
  if (subscription == nullptr) return CountForMatching(session, key, message);
  std::vector<std::uint64_t>& seen = subscription->delivered[key];
  if (subscription->peers_missing)
    subscription->first_heard.try_emplace(message.process, record.time_ns);
  if (number <= stream.last) {
    const bool announced =
        std::any_of(stream.gaps.rbegin(), stream.gaps.rend(),
                    [&](const Range& gap) { return gap.first <= number && number <= gap.last; });
    // The same delivery, for another of the session's subscriptions.
    const bool another_id =
        number == stream.last && !announced && (seen.empty() || seen.back() < number);
    if (announced) {
      Complain(Invariant::kGap, record, "delivered although it was announced as lost");
    } else if (!another_id) {
      const bool again = WasDelivered(session, key, number);
      Complain(
          again ? Invariant::kDuplicate : Invariant::kOrder, record,
          again ? "delivered twice" : fmt::format("number {} came after {}", number, stream.last));
      if (again) return;
    }
  }
  if (number > stream.last) ++processes_[session.process].delivered;
  stream.last = std::max(stream.last, number);
  seen.push_back(number);
}

void Checker::Impl::OnGap(const Record& record) {
  ++report_.gaps;
  Session* session = FindSession(record);
  if (session == nullptr) return;
  const ProcessIndex process = ProcessOf(record.origin, record.epoch);
  Hear(*session, process, record.time_ns);
  Stream& stream = session->streams[KeyOf(process, record.channel)];
  if (record.sequence == 0 || record.sequence > record.until) {
    return Complain(Invariant::kOrder, record, "a gap of no numbers");
  }
  if (record.sequence <= stream.last) {
    Complain(Invariant::kOrder, record,
             fmt::format("a gap from {} came after {}", record.sequence, stream.last));
  }
  report_.gap_numbers += record.until - record.sequence + 1;
  stream.gaps.push_back({record.sequence, record.until, record.reason});
  stream.last = std::max(stream.last, record.until);
}

}  // namespace peermesh::history
