// What the parts cost that every message passes: `build/bench/micro`, when nothing else runs.
//
// A batch is 64 messages of 128 bytes of payload unless the name says otherwise; `items_per_second`
// counts messages. Add the stages a message goes through (walk, turn and splice at its own peer;
// walk, turn and splice at the other one) and compare the sum with the CPU of a server in
// tests/bench/compare: the rest is gRPC's and the kernel's.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mesh/limits/gcra.h"
#include "mesh/node/node.h"
#include "mesh/routing/interest.h"
#include "mesh/routing/numbering.h"
#include "mesh/routing/subject_tree.h"
#include "peermesh/v1/messaging.pb.h"
#include "server/wire/api.h"
#include "server/wire/data.h"

namespace peermesh {
namespace {

constexpr std::size_t kMessages = 64;
constexpr std::size_t kPayload = 128;
constexpr char kSubject[] = "orders.eu.new";

PeerId Peer(std::uint8_t number) {
  PeerId id;
  id.bytes.fill(number);
  return id;
}

// --- Matching ---

std::string Pattern(std::int64_t i) {
  const std::string front = "orders.n" + std::to_string(i);
  if (i % 20 == 0) return front + ".>";
  return front + (i % 10 == 0 ? ".*.new" : ".eu.new");
}

void SubjectMatch(benchmark::State& state) {
  routing::SubjectTree tree;
  const std::int64_t patterns = state.range(0);
  std::vector<std::string> subjects;
  for (std::int64_t i = 0; i < patterns; ++i) {
    tree.Insert(Pattern(i), static_cast<std::uint32_t>(i));
    subjects.push_back("orders.n" + std::to_string(i * 7919 % patterns) + ".eu.new");
  }
  std::vector<std::uint32_t> out;
  std::size_t next = 0;
  for (auto _ : state) {
    out.clear();
    tree.Match(subjects[next], out);
    benchmark::DoNotOptimize(out.data());
    if (++next == subjects.size()) next = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(SubjectMatch)->Arg(1)->Arg(100)->Arg(10'000);

// With the sessions and peers that get it.
void InterestMatch(benchmark::State& state) {
  routing::Interest interest;
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    const auto number = static_cast<std::uint32_t>(i + 1);
    interest.Add(kSubject, {SessionId{number}, number, 0});
  }
  interest.SetRemote(Peer(2), "orders.>", 0);
  routing::Interest::Matched matched;
  for (auto _ : state) {
    interest.Match(kSubject, matched);
    benchmark::DoNotOptimize(matched.local.data());
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(InterestMatch)->Arg(1)->Arg(32);

// --- Frames ---

std::shared_ptr<const std::string> PublishFrame(std::size_t messages, std::size_t payload) {
  v1::ExchangeRequest frame;
  frame.set_publish_id(1);
  for (std::size_t i = 0; i < messages; ++i) {
    auto& message = *frame.add_messages();
    message.set_subject(kSubject);
    message.set_payload(std::string(payload, 'x'));
  }
  return std::make_shared<const std::string>(frame.SerializeAsString());
}

BatchRef MakeBatch(std::size_t messages, std::size_t payload) {
  return wire::DecodeExchange(PublishFrame(messages, payload))->batch;
}

// What the peer does with a frame of an application before the node sees it.
void RecordWalk(benchmark::State& state) {
  const auto messages = static_cast<std::size_t>(state.range(0));
  const auto frame = PublishFrame(messages, static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    auto decoded = wire::DecodeExchange(frame);
    benchmark::DoNotOptimize(decoded);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(frame->size()));
}
BENCHMARK(RecordWalk)->Args({kMessages, kPayload})->Args({16, 16 << 10})->Args({1, kPayload});

// A run of all messages of a batch or of every `step`th: what lies side by side is one copy.
flow::Run MakeRun(BatchRef batch, std::size_t step, std::uint64_t first = 1) {
  flow::Run run;
  run.first = first;
  run.next = first + batch->rows.size();
  run.publish_time_us = 1;
  for (std::size_t i = 0; i < batch->rows.size(); i += step) {
    run.items.push_back({static_cast<std::uint32_t>(i), first + i});
  }
  run.batch = std::move(batch);
  return run;
}

void SpliceForPeer(benchmark::State& state) {
  const auto payload = static_cast<std::size_t>(state.range(1));
  node::DataFrame frame;
  frame.runs.push_back(MakeRun(MakeBatch(static_cast<std::size_t>(state.range(0)), payload),
                               static_cast<std::size_t>(state.range(2))));
  std::int64_t bytes = 0;
  for (auto _ : state) {
    auto encoded = wire::EncodeData(frame);
    bytes += static_cast<std::int64_t>(encoded.size());
    benchmark::DoNotOptimize(encoded);
  }
  state.SetItemsProcessed(state.iterations() *
                          static_cast<std::int64_t>(frame.runs.front().items.size()));
  state.SetBytesProcessed(bytes);
}
BENCHMARK(SpliceForPeer)
    ->ArgNames({"messages", "payload", "step"})
    ->Args({kMessages, kPayload, 1})
    ->Args({kMessages, kPayload, 2})
    ->Args({16, 16 << 10, 1});

void WalkFromPeer(benchmark::State& state) {
  node::DataFrame frame;
  frame.runs.push_back(MakeRun(MakeBatch(kMessages, kPayload), 1));
  const auto bytes = std::make_shared<const std::string>(wire::EncodeData(frame).Flat());
  for (auto _ : state) {
    auto decoded = wire::DecodeData(bytes);
    benchmark::DoNotOptimize(decoded);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMessages));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes->size()));
}
BENCHMARK(WalkFromPeer);

void SpliceForApplication(benchmark::State& state) {
  flow::Delivery delivery;
  delivery.origin = Peer(1);
  delivery.epoch = 1;
  delivery.batch = MakeBatch(kMessages, kPayload);
  delivery.items = MakeRun(delivery.batch, 1).items;
  delivery.matched = {1};
  const std::vector<flow::Delivery> deliveries{std::move(delivery)};
  const auto names = [](const PeerId&) { return std::string("alpha"); };
  for (auto _ : state) {
    auto encoded = wire::EncodeDeliveries(deliveries, names);
    benchmark::DoNotOptimize(encoded);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMessages));
}
BENCHMARK(SpliceForApplication);

// --- Numbers and limits ---

// A run of 64 numbers of one of several origins: what is new, what was seen.
void DuplicateWindow(benchmark::State& state) {
  routing::Receipts receipts;
  const auto origins = static_cast<std::uint8_t>(state.range(0));
  for (std::uint8_t i = 0; i < origins; ++i) receipts.Begin(Peer(i), 1);
  std::uint64_t first = 1;
  std::uint8_t origin = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(receipts.Expect(Peer(origin), 3, first));
    auto expectation = receipts.Of(Peer(origin), 3);
    for (std::uint64_t i = 0; i < kMessages; ++i) {
      benchmark::DoNotOptimize(expectation.Accept(first + i));
    }
    if (++origin == origins) {
      origin = 0;
      first += kMessages;
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kMessages));
}
BENCHMARK(DuplicateWindow)->Arg(1)->Arg(32);

void GcraTake(benchmark::State& state) {
  limits::Gcra bucket;
  const auto rate = limits::Rate::PerSecond(1'000'000);
  Instant now{};
  for (auto _ : state) {
    now += std::chrono::microseconds(1);
    benchmark::DoNotOptimize(bucket.TryTake(rate, 1, now));
  }
}
BENCHMARK(GcraTake);

// --- Turns ---

// A node with one link whose peer wants everything, and one session.
class Turn {
 public:
  explicit Turn(bool subscribes) {
    node::Config config;
    config.self = Peer(50);
    config.name = "self";
    config.epoch = 1000;
    node_ = *node::Node::Create(std::move(config), Rng({1, 2, 3, 4}), now_);
    node_->Wake(now_, out_);
    Handle(node::SessionOpened{kSession, PrincipalId{1}});
    if (subscribes) {
      Handle(node::Subscribe{RequestId{1}, kSession, {node::Subscription{1, "orders.>"}}});
    }
    node::LinkUp up;
    up.link = kLink;
    up.peer = Peer(60);
    up.direction = node::Direction::kInbound;
    up.name = "other";
    up.epoch = 1;
    Handle(std::move(up));
    Handle(node::ControlIn{kLink, node::InterestSnapshot{1, true, true, {{"orders.>", 0}}}});
    Handle(node::ControlIn{kLink, node::LinkReady{}});
    Handle(node::SendDone{kLink, node::Lane::kData});
  }

  void Handle(node::Input input) {
    out_.clear();
    node_->Handle(now_, std::move(input), out_);
  }
  // What the last call asked for.
  template <class Wish>
  bool Asked() const {
    for (const node::Effect& effect : out_) {
      if (std::holds_alternative<Wish>(effect)) return true;
    }
    return false;
  }

  static constexpr LinkId kLink{1};
  static constexpr SessionId kSession{1};

 private:
  Instant now_{};
  node::Effects out_;
  std::unique_ptr<node::Node> node_;
};

// A publish that is sent to a peer, and the word that it has been written.
void TurnPublish(benchmark::State& state) {
  Turn turn(false);
  const BatchRef batch = MakeBatch(static_cast<std::size_t>(state.range(0)), kPayload);
  std::uint64_t request = 1;
  for (auto _ : state) {
    turn.Handle(node::Publish{RequestId{++request}, Turn::kSession, batch, WallTime{}, {}});
    if (!turn.Asked<node::SendData>()) state.SkipWithError("nothing is sent");
    turn.Handle(node::SendDone{Turn::kLink, node::Lane::kData});
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(TurnPublish)->Arg(1)->Arg(kMessages)->Arg(1024);

// A frame from a peer that is delivered to a session, and the word that it has been written.
void TurnDeliver(benchmark::State& state) {
  Turn turn(true);
  const BatchRef batch = MakeBatch(static_cast<std::size_t>(state.range(0)), kPayload);
  std::uint64_t first = 1;
  for (auto _ : state) {
    node::DataFrame frame;
    frame.runs.push_back(MakeRun(batch, 1, first));
    first += batch->rows.size();
    turn.Handle(node::DataIn{Turn::kLink, std::move(frame)});
    if (!turn.Asked<node::Deliver>()) state.SkipWithError("nothing is delivered");
    turn.Handle(node::DeliverDone{Turn::kSession});
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(TurnDeliver)->Arg(1)->Arg(kMessages)->Arg(1024);

}  // namespace
}  // namespace peermesh

BENCHMARK_MAIN();
