// The applications of the world.
#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "tests/sim/message.h"
#include "tests/sim/world.h"

namespace peermesh::sim {
namespace {

constexpr Duration kWriteTime = std::chrono::microseconds(5);

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
  Show(&Witness::Opened, index);
  Turn(host, opened);
  return index;
}

void World::CloseApp(AppIndex index) {
  App& app = *apps_.at(index);
  if (std::exchange(app.ended, true)) return;
  hosts_.at(app.host)->sessions.erase(app.session);
  Show(&Witness::Closed, index);
  Turn(app.host, node::SessionClosed{app.session});
}

RequestId World::Subscribe(AppIndex index, std::vector<node::Subscription> subscriptions) {
  App& app = *apps_.at(index);
  const RequestId request{next_id_++};
  for (const node::Subscription& subscription : subscriptions) {
    app.patterns[subscription.id] = subscription.pattern;
    Show(&Witness::Wants, index, subscription);
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
  Show(&Witness::Unsubscribed, index, ids);
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
  const std::uint64_t first = next_id_;
  for (const std::string& subject : subjects) {
    const Row row = AppendRecord(*buffer, subject, next_id_++, bytes);
    batch->rows.push_back(row);
    batch->bytes += row.record_length;
  }
  batch->buffer = std::move(buffer);
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    sent.push_back({.id = first + i,
                    .subject = truth_.Subject(subjects[i]),
                    .channel = routing::ChannelOf(subjects[i]),
                    .hash = ContentHash(batch->record(batch->rows[i])),
                    .direct = !target.empty()});
    Show(&Witness::Publishes, index, sent.back(), target);
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
        Show(&Witness::Took, publisher, message, wish);
        if (keep_truth && !truth_.Accept(ProcessOf(host), message)) {
          Fail("numbers with holes or used twice");
        }
      }
      for (const node::NumberRange& range : numbers) {
        if (range.first != range.last + 1) Fail("an answer with more numbers than messages");
      }
    } else {
      if (!numbers.empty()) Fail("a refusal with numbers");
      for (const Accepted& message : sent) {
        Show(&Witness::Refused, publisher, message, wish.refusal);
      }
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
  Show(&Witness::Subscribed, session->second, wish);
  apps_.at(session->second)->subscribed[wish.request] = wish;
}

void World::Perform(HostIndex host, node::CloseSession& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session == hosts_.at(host)->sessions.end()) return Fail("a session that is gone is closed");
  App& app = *apps_.at(session->second);
  app.end_reason = wish.reason;
  app.ended = true;
  Show(&Witness::Closed, session->second);
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
    Show(&Witness::Receives, session->second, delivery);
    if (keep_truth) {
      if (const auto wrong = truth_.Receive(app.received, app.patterns, delivery)) {
        Fail("application " + std::to_string(session->second) + " got " + *wrong);
      }
    }
    if (!keep_answers || delivery.is_gap()) continue;
    for (const flow::Item& item : delivery.items) {
      app.texts.push_back(TextOf(*delivery.batch, delivery.batch->rows[item.row]));
    }
  }
  const Duration reading(bytes * 1'000'000 / app.bytes_per_second);
  app.reads_until = now_ + std::max(reading, kWriteTime);
  agenda_.Add({.when = app.reads_until, .kind = EventKind::kRead, .b = session->second});
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

std::size_t World::CountOwed(const Process& origin, const Accepted& message) const {
  std::size_t owed = 0;
  for (const auto& app : apps_) {
    if (app->ended || message.direct) continue;
    const Process here = ProcessOf(app->host);
    for (const auto& [id, pattern] : app->patterns) {
      if (!NaiveMatch(pattern, truth_.subject(message.subject))) continue;
      if (here != origin && !truth_.IsKnown(origin, here, pattern)) continue;
      ++owed;
      break;
    }
  }
  return owed;
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
