// The applications of the world, and what they may demand of the mesh.
#include <gtest/gtest.h>

#include <algorithm>

#include "mesh/base/check.h"
#include "mesh/routing/subject.h"
#include "tests/mesh/node/world.h"

namespace peermesh::node {
namespace {

constexpr Duration kWriteTime = std::chrono::microseconds(5);

std::string_view Text(const Batch& batch, const Row& row) {
  const std::string_view record = batch.record(row).substr(row.subject_length);
  return record.substr(0, record.find('|'));
}

}  // namespace

bool NaiveMatch(std::string_view pattern, std::string_view subject) {
  for (;;) {
    if (pattern == ">") return !subject.empty();
    if (pattern.empty() || subject.empty()) return pattern.empty() && subject.empty();
    const auto cut = [](std::string_view& rest) {
      const std::size_t dot = rest.find('.');
      const std::string_view token = rest.substr(0, dot);
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
      return token;
    };
    const std::string_view want = cut(pattern);
    const std::string_view have = cut(subject);
    if (want != "*" && want != have) return false;
  }
}

// --- Applications --------------------------------------------------------------------------------

AppIndex World::Open(HostIndex host) {
  auto app = std::make_unique<App>();
  app->host = host;
  app->process = hosts_.at(host)->process;
  app->session = SessionId{next_id_++};
  const AppIndex index = apps_.size();
  hosts_.at(host)->sessions[app->session] = index;
  const SessionOpened opened{app->session, PrincipalId{app->session.value}};
  apps_.push_back(std::move(app));
  Turn(host, opened);
  return index;
}

void World::CloseApp(AppIndex index) {
  App& app = *apps_.at(index);
  if (std::exchange(app.ended, true)) return;
  hosts_.at(app.host)->sessions.erase(app.session);
  Turn(app.host, SessionClosed{app.session});
}

RequestId World::Subscribe(AppIndex index, std::vector<Subscription> subscriptions) {
  App& app = *apps_.at(index);
  const RequestId request{next_id_++};
  for (const Subscription& subscription : subscriptions) {
    app.patterns[subscription.id] = subscription.pattern;
  }
  for (const auto& [process, ledger] : ledgers_) app.subscribed_at[process] = ledger.order.size();
  Turn(app.host, node::Subscribe{request, app.session, std::move(subscriptions)});
  return request;
}

RequestId World::Subscribe(AppIndex app, std::uint32_t id, std::string pattern,
                           OnOverflow on_overflow, Duration block) {
  return Subscribe(app, {Subscription{id, std::move(pattern), on_overflow, block}});
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
    Accepted message{subject, std::to_string(next_id_++), routing::ChannelOf(subject), 0,
                     !target.empty()};
    const auto start = static_cast<std::uint32_t>(buffer->size());
    buffer->append(subject).append(message.text).append("|");
    const std::size_t length = std::max(bytes, buffer->size() - start);
    buffer->resize(start + length, '.');
    batch->rows.push_back({start, static_cast<std::uint32_t>(subject.size()), start,
                           static_cast<std::uint32_t>(length)});
    batch->bytes += length;
    sent.push_back(std::move(message));
  }
  batch->buffer = std::move(buffer);
  ++app.unanswered;
  Turn(app.host, node::Publish{request, app.session, std::move(batch), {}, std::move(target)});
  return request;
}

void World::Feed(AppIndex index, std::string subject, std::size_t batch, std::size_t bytes,
                 Duration pause, Instant until) {
  if (now_ > until || apps_.at(index)->ended) return;
  if (apps_.at(index)->unanswered == 0)
    Publish(index, std::vector<std::string>(batch, subject), bytes);
  At(now_ + pause, [this, index, subject = std::move(subject), batch, bytes, pause, until] {
    Feed(index, subject, batch, bytes, pause, until);
  });
}

void World::Perform(HostIndex host, Answer& wish) {
  if (const auto it = publishing_.find(wish.request); it != publishing_.end()) {
    App& app = *apps_.at(it->second.first);
    PM_CHECK(app.unanswered > 0);
    --app.unanswered;
    std::map<std::uint32_t, NumberRange> ranges;
    for (const NumberRange& range : wish.numbers)
      EXPECT_TRUE(ranges.emplace(range.channel, range).second);
    Ledger& ledger = ledgers_[ProcessOf(host)];
    if (wish.refusal == Refusal::kNone) {
      for (Accepted& message : it->second.second) {
        message.number = ranges.at(message.channel).first++;
        EXPECT_TRUE(ledger.by_number
                        .emplace(std::pair(message.channel, message.number), ledger.order.size())
                        .second);
        ledger.order.push_back(std::move(message));
      }
      for (const auto& [channel, range] : ranges) EXPECT_EQ(range.first, range.last + 1) << channel;
    } else {
      EXPECT_TRUE(wish.numbers.empty());
    }
    publishing_.erase(it);
  }
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session != hosts_.at(host)->sessions.end())
    apps_.at(session->second)->answers[wish.request] = wish;
}

void World::Perform(HostIndex host, node::Subscribed& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  ASSERT_NE(session, hosts_.at(host)->sessions.end());
  apps_.at(session->second)->subscribed[wish.request] = wish;
}

void World::Perform(HostIndex host, CloseSession& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  ASSERT_NE(session, hosts_.at(host)->sessions.end());
  App& app = *apps_.at(session->second);
  app.end_reason = wish.reason;
  app.ended = true;
  hosts_.at(host)->sessions.erase(session);
  Post(host, SessionClosed{wish.session}, kWriteTime);
}

void World::Perform(HostIndex host, Deliver& wish) {
  const auto session = hosts_.at(host)->sessions.find(wish.session);
  if (session == hosts_.at(host)->sessions.end()) return;
  App& app = *apps_.at(session->second);
  EXPECT_FALSE(app.owes_done) << "two deliveries outstanding";
  EXPECT_FALSE(wish.deliveries.empty());
  app.owes_done = true;
  std::uint64_t bytes = 0;
  for (const flow::Delivery& delivery : wish.deliveries) {
    bytes += delivery.bytes();
    Receive(app, delivery);
  }
  const Duration reading(bytes * 1'000'000 / app.bytes_per_second);
  At(now_ + std::max(reading, kWriteTime), [this, index = session->second] {
    if (!apps_.at(index)->stalled) Resume(index);
  });
}

void World::Resume(AppIndex index) {
  App& app = *apps_.at(index);
  app.stalled = false;
  if (!std::exchange(app.owes_done, false) || app.ended) return;
  Post(app.host, DeliverDone{app.session}, {});
}

// Order, content and matched subscriptions of everything that reaches an application.
void World::Receive(App& app, const flow::Delivery& delivery) {
  App::Stream& stream = app.streams[{delivery.origin, delivery.epoch, delivery.channel}];
  if (delivery.is_gap()) {
    EXPECT_GT(delivery.gap_from, stream.last);
    EXPECT_GE(delivery.gap_to, delivery.gap_from);
    EXPECT_NE(delivery.gap_reason, LossReason::kNone);
    stream.last = delivery.gap_to;
    stream.gaps.push_back(delivery);
    app.gapped[delivery.gap_reason] += delivery.gap_to - delivery.gap_from + 1;
    return;
  }
  const Ledger& ledger = ledgers_[{delivery.origin, delivery.epoch}];
  EXPECT_TRUE(delivery.matched_counts.empty() ||
              delivery.matched_counts.size() == delivery.items.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < delivery.items.size(); ++i) {
    const flow::Item& item = delivery.items[i];
    EXPECT_GT(item.sequence, stream.last);
    stream.last = item.sequence;
    stream.numbers.push_back(item.sequence);
    ++app.delivered;
    const auto truth = ledger.by_number.find({delivery.channel, item.sequence});
    ASSERT_NE(truth, ledger.by_number.end());
    const Row& row = delivery.batch->rows[item.row];
    const Accepted& accepted = ledger.order[truth->second];
    EXPECT_EQ(Text(*delivery.batch, row), accepted.text);
    app.texts.push_back(accepted.text);
    const std::size_t count = delivery.matched_counts.empty() ? 1 : delivery.matched_counts[i];
    if (delivery.matched_counts.empty()) at = 0;
    std::set<std::uint32_t> ids;
    for (std::size_t k = 0; k < count; ++k) ids.insert(delivery.matched.at(at++));
    EXPECT_EQ(ids.size(), count);
    for (const std::uint32_t id : ids)
      EXPECT_TRUE(NaiveMatch(app.patterns.at(id), accepted.subject));
  }
}

Tally World::TallyOf(AppIndex index) const {
  const App& app = *apps_.at(index);
  Tally tally;
  const Process here = ProcessOf(app.host);
  for (const auto& [process, ledger] : ledgers_) {
    const auto host = std::find_if(hosts_.begin(), hosts_.end(),
                                   [&, id = process.first](const auto& h) { return h->id == id; });
    const auto origin = static_cast<HostIndex>(host - hosts_.begin());
    const bool over = !(*host)->node || ProcessOf(origin) != process;
    const auto before = app.subscribed_at.find(process);
    for (std::size_t i = before == app.subscribed_at.end() ? 0 : before->second;
         i < ledger.order.size(); ++i) {
      const Accepted& message = ledger.order[i];
      bool promised = false;
      for (const auto& [id, pattern] : app.patterns) {
        if (!NaiveMatch(pattern, message.subject)) continue;
        const auto known = known_.find({process, here, pattern});
        promised |= process == here || (known != known_.end() && known->second <= i);
      }
      if (!promised || message.direct) continue;
      const auto it = app.streams.find({process.first, process.second, message.channel});
      const std::uint64_t last = it == app.streams.end() ? 0 : it->second.last;
      // What a process that is gone had not told of goes with it.
      if (over && message.number > last) continue;
      ++tally.accepted;
      static const App::Stream kNothing;
      const App::Stream& stream = it == app.streams.end() ? kNothing : it->second;
      if (std::binary_search(stream.numbers.begin(), stream.numbers.end(), message.number)) {
        ++tally.delivered;
      } else if (std::any_of(
                     stream.gaps.begin(), stream.gaps.end(), [&](const flow::Delivery& gap) {
                       return gap.gap_from <= message.number && message.number <= gap.gap_to;
                     })) {
        ++tally.gapped;
      } else if (tally.missing++ == 0) {
        tally.first_missing = (*host)->name + " channel " + std::to_string(message.channel) +
                              " number " + std::to_string(message.number);
      }
    }
  }
  return tally;
}

void World::ExpectNothingMissing() const {
  for (AppIndex index = 0; index < apps_.size(); ++index) {
    const App& app = *apps_[index];
    if (app.ended || app.patterns.empty() || app.process != hosts_[app.host]->process) continue;
    const Tally tally = TallyOf(index);
    EXPECT_EQ(tally.missing, 0u) << "application " << index << " on " << hosts_[app.host]->name
                                 << ", first of " << tally.first_missing;
    EXPECT_EQ(tally.accepted, tally.delivered + tally.gapped);
  }
}

}  // namespace peermesh::node
