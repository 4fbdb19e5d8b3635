// The applications of the world.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "tests/sim/world.h"

namespace peermesh::sim {
namespace {

constexpr Duration kWriteTime = std::chrono::microseconds(5);

void AppendVarint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// A message as it stands in frames (peermesh.v1.Message as field 15), so that the wire takes it:
// its text padded to about `bytes`.
Row AppendRecord(std::string& out, const std::string& subject, const std::string& text,
                 std::size_t bytes) {
  const std::size_t payload = std::max(text.size(), bytes - std::min(bytes, subject.size() + 12));
  std::string body;
  body.push_back('\x0a');
  AppendVarint(body, subject.size());
  const std::size_t subject_at = body.size();
  body.append(subject);
  body.push_back('\x12');
  AppendVarint(body, payload);
  body.append(text).append(payload - text.size(), '.');
  Row row;
  row.record_offset = static_cast<std::uint32_t>(out.size());
  out.push_back('\x7a');
  AppendVarint(out, body.size());
  row.subject_offset = static_cast<std::uint32_t>(out.size() + subject_at);
  row.subject_length = static_cast<std::uint32_t>(subject.size());
  out.append(body);
  row.record_length = static_cast<std::uint32_t>(out.size() - row.record_offset);
  return row;
}

// What AppendRecord put behind the subject.
std::string TextOf(const Batch& batch, const Row& row) {
  std::string_view rest = batch.record(row);
  rest.remove_prefix(row.subject_offset - row.record_offset + row.subject_length + 1);
  while (static_cast<unsigned char>(rest.front()) >= 0x80) rest.remove_prefix(1);
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find('.')));
}

}  // namespace

AppIndex World::Open(HostIndex host) {
  const AppIndex index = apps_.size();
  auto app = std::make_unique<App>();
  app->host = host;
  app->process = hosts_.at(host)->process;
  app->session = SessionId{index + 1};
  hosts_.at(host)->sessions[app->session] = index;
  const node::SessionOpened opened{app->session, PrincipalId{app->session.value}};
  apps_.push_back(std::move(app));
  Turn(host, opened);
  return index;
}

void World::CloseApp(AppIndex index) {
  App& app = *apps_.at(index);
  if (std::exchange(app.ended, true)) return;
  hosts_.at(app.host)->sessions.erase(app.session);
  Turn(app.host, node::SessionClosed{app.session});
}

RequestId World::Subscribe(AppIndex index, std::vector<node::Subscription> subscriptions) {
  App& app = *apps_.at(index);
  const RequestId request{next_id_++};
  for (const node::Subscription& subscription : subscriptions) {
    app.patterns[subscription.id] = subscription.pattern;
  }
  Turn(app.host, node::Subscribe{request, app.session, std::move(subscriptions)});
  return request;
}

RequestId World::Subscribe(AppIndex app, std::uint32_t id, std::string pattern,
                           OnOverflow on_overflow, Duration block) {
  return Subscribe(app, {node::Subscription{id, std::move(pattern), on_overflow, block}});
}

void World::Unsubscribe(AppIndex index, std::vector<std::uint32_t> ids) {
  App& app = *apps_.at(index);
  Turn(app.host, node::Unsubscribe{app.session, std::move(ids)});
}

RequestId World::Publish(AppIndex index, const std::vector<std::string>& subjects,
                         std::size_t bytes, std::string target) {
  App& app = *apps_.at(index);
  const RequestId request{next_id_++};
  auto buffer = std::make_shared<std::string>();
  auto batch = std::make_shared<Batch>();
  auto& [publisher, sent] = publishing_[request];
  publisher = index;
  for (const std::string& subject : subjects) {
    const Row row = AppendRecord(*buffer, subject, std::to_string(next_id_++), bytes);
    batch->rows.push_back(row);
    batch->bytes += row.record_length;
  }
  batch->buffer = std::move(buffer);
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    sent.push_back({.subject = truth_.Subject(subjects[i]),
                    .channel = routing::ChannelOf(subjects[i]),
                    .hash = ContentHash(batch->record(batch->rows[i])),
                    .direct = !target.empty()});
  }
  ++app.unanswered;
  Turn(app.host, node::Publish{request, app.session, std::move(batch), {}, std::move(target)});
  return request;
}

void World::Feed(AppIndex index, std::string subject, std::size_t batch, std::size_t bytes,
                 Duration pause, Instant until) {
  feeds_.push_back({index, std::vector<std::string>(batch, subject), bytes, pause, until});
  FeedNow(feeds_.size() - 1);
}

void World::FeedNow(std::uint64_t number) {
  const FeedPlan& plan = feeds_.at(number);
  if (now_ > plan.until || apps_.at(plan.app)->ended) return;
  agenda_.Add({.when = now_ + plan.pause, .kind = EventKind::kFeed, .b = number});
  if (apps_.at(plan.app)->unanswered == 0) Publish(plan.app, plan.subjects, plan.bytes);
}

void World::Perform(HostIndex host, node::Answer& wish) {
  if (const auto it = publishing_.find(wish.request); it != publishing_.end()) {
    auto& [publisher, sent] = it->second;
    PM_CHECK(apps_.at(publisher)->unanswered > 0);
    --apps_.at(publisher)->unanswered;
    std::vector<node::NumberRange> numbers = wish.numbers;
    if (wish.refusal == node::Refusal::kNone) {
      for (Accepted& message : sent) {
        const auto range =
            std::find_if(numbers.begin(), numbers.end(),
                         [&](const node::NumberRange& r) { return r.channel == message.channel; });
        if (range == numbers.end() || range->first > range->last) {
          Fail("an answer without a number for each message");
          break;
        }
        message.number = range->first++;
        message.when = now_;
        if (!truth_.Accept(ProcessOf(host), message)) Fail("numbers with holes or used twice");
      }
      for (const node::NumberRange& range : numbers) {
        if (range.first != range.last + 1) Fail("an answer with more numbers than messages");
      }
    } else if (!numbers.empty()) {
      Fail("a refusal with numbers");
    }
    publishing_.erase(it);
  }
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (keep_answers && session != hosts_.at(host)->sessions.end()) {
    apps_.at(session->second)->answers[wish.request] = wish;
  }
}

void World::Perform(HostIndex host, node::Subscribed& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session == hosts_.at(host)->sessions.end()) return Fail("a session that is gone subscribed");
  apps_.at(session->second)->subscribed[wish.request] = wish;
}

void World::Perform(HostIndex host, node::CloseSession& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session == hosts_.at(host)->sessions.end()) return Fail("a session that is gone is closed");
  App& app = *apps_.at(session->second);
  app.end_reason = wish.reason;
  app.ended = true;
  hosts_.at(host)->sessions.erase(session);
  Post(host, node::SessionClosed{wish.session}, kWriteTime);
}

void World::Perform(HostIndex host, node::Deliver& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session == hosts_.at(host)->sessions.end()) return;
  App& app = *apps_.at(session->second);
  if (app.owes_done) Fail("two deliveries outstanding");
  if (wish.deliveries.empty()) Fail("an empty delivery");
  app.owes_done = true;
  std::uint64_t bytes = 0;
  for (const flow::Delivery& delivery : wish.deliveries) {
    bytes += delivery.bytes();
    if (const auto wrong = truth_.Receive(app.received, app.patterns, delivery)) {
      Fail("application " + std::to_string(session->second) + " got " + *wrong);
    }
    if (!keep_answers || delivery.is_gap()) continue;
    for (const flow::Item& item : delivery.items) {
      app.texts.push_back(TextOf(*delivery.batch, delivery.batch->rows[item.row]));
    }
  }
  const Duration reading(bytes * 1'000'000 / app.bytes_per_second);
  agenda_.Add({.when = now_ + std::max(reading, kWriteTime),
               .kind = EventKind::kRead,
               .b = session->second});
}

void World::Resume(AppIndex index) {
  App& app = *apps_.at(index);
  app.stalled = false;
  if (!std::exchange(app.owes_done, false) || app.ended) return;
  Post(app.host, node::DeliverDone{app.session}, {});
}

Tally World::TallyOf(AppIndex index) const {
  const App& app = *apps_.at(index);
  const auto running = [&](const Process& process) {
    for (HostIndex host = 0; host < hosts_.size(); ++host) {
      if (hosts_[host]->node && ProcessOf(host) == process) return true;
    }
    return false;
  };
  return truth_.TallyOf(app.received, app.patterns, ProcessOf(app.host), running);
}

Tally World::ExpectNothingMissing() const {
  Tally sum;
  for (AppIndex index = 0; index < apps_.size(); ++index) {
    const App& app = *apps_[index];
    if (app.ended || app.patterns.empty() || app.process != hosts_[app.host]->process) continue;
    const Tally tally = TallyOf(index);
    if (tally.missing > 0) {
      Fail("application " + std::to_string(index) + " on " + hosts_[app.host]->name + " misses " +
           std::to_string(tally.missing) + ", first " + tally.first_missing);
    }
    sum += tally;
  }
  return sum;
}

}  // namespace peermesh::sim
