// Writes the seeds that are not text: what decoders see on a good day, and its nearest neighbours.
//
//   fuzz_seeds OUT CORPUS
//
// One directory for each target in OUT. CORPUS is tests/fuzz/corpus, whose PEM certificates come
// out as DER. The same every time.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/limits.h"
#include "mesh/identity/certificate.h"
#include "mesh/routing/subject.h"
#include "peermesh/link/v1/link.pb.h"
#include "peermesh/v1/messaging.pb.h"
#include "server/wire/api.h"
#include "server/wire/control.h"
#include "server/wire/data.h"
#include "server/wire/records.h"
#include "server/wire/signed_record.h"
#include "server/wire/statement.h"
#include "tests/history/record.h"

namespace peermesh::fuzz {
namespace {

class Seeds {
 public:
  explicit Seeds(std::filesystem::path out) : out_(std::move(out)) {}
  void Add(const std::string& target, const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(out_ / target);
    std::ofstream file(out_ / target / name, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    PM_CHECK(file.good());
  }

 private:
  std::filesystem::path out_;
};

v1::Message MessageOf(const std::string& subject, std::size_t payload) {
  v1::Message message;
  message.set_subject(subject);
  message.set_payload(std::string(payload, 'p'));
  return message;
}

v1::Message FullMessage(std::size_t headers, std::size_t value) {
  v1::Message message = MessageOf("orders.eu.created", 3);
  message.set_reply_to("replies.42");
  message.set_content_type("text/plain");
  for (std::size_t i = 0; i < headers; ++i) {
    v1::Header* header = message.add_headers();
    header->set_key("k" + std::to_string(i));
    header->set_value(std::string(value, 'v'));
  }
  return message;
}

std::string Sized(const std::string& text) {
  return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size())} + text;
}

void AddMessages(const Seeds& seeds) {
  const auto add = [&](const std::string& name, const v1::Message& message) {
    seeds.Add("message", name, message.SerializeAsString());
    seeds.Add("reader", name, message.SerializeAsString());
  };
  add("smallest", MessageOf("a", 0));
  add("everything", FullMessage(2, 5));
  add("most-headers", FullMessage(kMaxHeaders, 1));
  add("a-header-too-many", FullMessage(kMaxHeaders + 1, 1));
  add("largest-header", FullMessage(1, kMaxHeaderBytes - 2));
  add("header-too-large", FullMessage(1, kMaxHeaderBytes - 1));
  add("longest-subject", MessageOf(std::string(kMaxSubjectBytes, 's'), 1));
  add("subject-too-long", MessageOf(std::string(kMaxSubjectBytes + 1, 's'), 1));
  add("most-tokens", MessageOf("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p", 1));
  add("a-token-too-many", MessageOf("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", 1));
  const std::string good = MessageOf("a.b", 2).SerializeAsString();
  seeds.Add("message", "subject-twice", good + good);
  seeds.Add("message", "unknown-field", good + "\xf8\x07\x01");
  seeds.Add("message", "cut-short", good.substr(0, good.size() - 1));
  seeds.Add("message", "long-varint", std::string("\x0a\x83\x00", 3) + "a.b");
  seeds.Add("message", "group", good + "\x33\x34");
  seeds.Add("reader", "fixed",
            std::string("\x09"
                        "12345678"
                        "\x15"
                        "1234",
                        14));
  seeds.Add("reader", "largest-number",
            "\xf8\xff\xff\xff\x0f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
  seeds.Add("reader", "utf8", "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9d");
  seeds.Add("reader", "surrogate", "\xed\xa0\x80");
}

void AddApi(const Seeds& seeds) {
  v1::PublishRequest publish;
  *publish.add_messages() = MessageOf("a.b", 2);
  seeds.Add("api", "publish-one", "p" + publish.SerializeAsString());
  publish.set_target("beta");
  for (int i = 0; i < 20; ++i) *publish.add_messages() = FullMessage(1, 2);
  seeds.Add("api", "publish-many", "p" + publish.SerializeAsString());
  seeds.Add("api", "publish-nothing", "p");
  v1::SubscribeRequest subscribe;
  for (const char* pattern : {"a.b", "a.*", "b.>", ">"}) subscribe.add_subjects(pattern);
  seeds.Add("api", "subscribe", "s" + subscribe.SerializeAsString());
  subscribe.set_on_overflow(v1::ON_OVERFLOW_BLOCK);
  subscribe.mutable_block_timeout()->set_seconds(60);
  seeds.Add("api", "subscribe-block", "s" + subscribe.SerializeAsString());
  subscribe.mutable_block_timeout()->set_nanos(-1);
  seeds.Add("api", "subscribe-negative", "s" + subscribe.SerializeAsString());
  v1::ExchangeRequest exchange;
  exchange.mutable_hello()->set_client("shop");
  seeds.Add("api", "exchange-hello", "x" + exchange.SerializeAsString());
  exchange.clear_hello();
  exchange.set_ping(7);
  exchange.set_publish_id(8);
  exchange.set_target("beta");
  exchange.add_unsubscribe(3);
  exchange.add_unsubscribe(300);
  v1::Subscription& subscription = *exchange.add_subscribe();
  subscription.set_id(5);
  subscription.set_subject("a.>");
  *exchange.add_messages() = MessageOf("a.b", 2);
  seeds.Add("api", "exchange", "x" + exchange.SerializeAsString());
  *exchange.add_messages() = MessageOf("a..b", 2);
  seeds.Add("api", "exchange-refused", "x" + exchange.SerializeAsString());
}

void AddDeliveries(const Seeds& seeds) {
  // The first byte says how the rest is cut.
  const std::string cut(1, '\x04');
  v1::ExchangeResponse frame;
  frame.mutable_welcome()->set_peer_name("alpha");
  frame.set_pong(300);
  seeds.Add("delivery", "welcome", cut + frame.SerializeAsString());
  v1::Delivery& run = *frame.add_deliveries();
  run.set_count(2);
  run.set_origin(std::string(32, 'o'));
  run.set_first_sequence(7);
  run.add_skips(0);
  run.add_skips(3);
  run.add_matched(1);
  *frame.add_messages() = MessageOf("a.b", 200);
  *frame.add_messages() = FullMessage(3, 2);
  seeds.Add("delivery", "run", cut + frame.SerializeAsString());
  v1::Gap& gap = *frame.add_gaps();
  gap.set_origin(std::string(32, 'o'));
  gap.set_from(9);
  gap.set_to(10);
  gap.set_before_message(1);
  seeds.Add("delivery", "gap", cut + frame.SerializeAsString());
}

// A batch of `count` messages on one subject; the first number is 10.
link::v1::Batch& AddBatch(link::v1::DataRequest& request, const std::string& subject, int count,
                          bool skips) {
  link::v1::Batch& batch = *request.mutable_frame()->add_batches();
  batch.set_channel(routing::ChannelOf(subject));
  batch.set_first_sequence(10);
  batch.set_publish_time_us(1'700'000'000'000'000);
  for (int i = 0; i < count; ++i) *batch.add_messages() = MessageOf(subject, 3);
  for (int i = 0; skips && i <= count; ++i) batch.add_skips(static_cast<std::uint64_t>(i % 3));
  return batch;
}

std::string DataBytes(int count, bool skips, std::uint64_t lost, bool mark) {
  link::v1::DataRequest request;
  link::v1::Batch& batch = AddBatch(request, "a.b", count, skips);
  batch.set_lost(lost);
  if (lost > 0) batch.set_lost_reason(v1::LOSS_REASON_SLOW_LINK);
  batch.set_mark(mark);
  return request.SerializeAsString();
}

void AddData(const Seeds& seeds) {
  seeds.Add("data", "hello", wire::EncodeDataHello(std::string(wire::kLinkTokenBytes, 't')));
  seeds.Add("data", "hello-empty", wire::EncodeDataHello(""));
  seeds.Add("data", "one", DataBytes(1, false, 0, false));
  seeds.Add("data", "skips", DataBytes(5, true, 0, false));
  seeds.Add("data", "lost", DataBytes(0, false, 4, false));
  seeds.Add("data", "lost-and-messages", DataBytes(2, true, 1, true));
  link::v1::DataRequest behind;
  AddBatch(behind, "a.b", 2, true).set_behind(10);
  seeds.Add("data", "behind", behind.SerializeAsString());
  seeds.Add("data", "mark", DataBytes(0, false, 0, true));
  link::v1::DataRequest several;
  for (const char* subject : {"a.b", "c", "d.e.f"}) AddBatch(several, subject, 2, false);
  several.mutable_frame()->set_end(true);
  seeds.Add("data", "several-and-end", several.SerializeAsString());
  several.mutable_frame()->mutable_batches(1)->set_first_sequence(~std::uint64_t{0} / 2);
  seeds.Add("data", "numbers-at-their-end", several.SerializeAsString());
  several.mutable_frame()->mutable_batches(1)->set_channel(64);
  seeds.Add("data", "no-such-channel", several.SerializeAsString());
  seeds.Add("data", "empty", "");
}

// A piece of two messages, as `origin` might broadcast it.
link::v1::RelayedBatch& AddRelayed(link::v1::DataRequest& request, std::uint8_t origin,
                                   std::uint64_t after, std::uint64_t first) {
  link::v1::RelayedBatch& batch = *request.mutable_frame()->add_relayed();
  PeerId id;
  id.bytes[0] = origin;
  batch.set_origin(id.ToBytes());
  batch.set_epoch(1);
  batch.set_channel(routing::ChannelOf("a.b"));
  batch.set_after(after);
  batch.set_first_sequence(first);
  batch.set_publish_time_us(1'700'000'000'000'000);
  batch.set_signature("signature");
  batch.set_hops(2);
  *batch.add_messages() = MessageOf("a.b", 3);
  *batch.add_messages() = FullMessage(2, 5);
  batch.mutable_messages(1)->set_subject("a.c");
  return batch;
}

void AddRelayedData(const Seeds& seeds) {
  link::v1::DataRequest request;
  link::v1::RelayedBatch& first = AddRelayed(request, 1, 1, 1);
  seeds.Add("data", "relayed", request.SerializeAsString());
  AddRelayed(request, 4, 3, 7);
  AddBatch(request, "a.b", 2, true);
  seeds.Add("data", "relayed-behind-a-batch", request.SerializeAsString());
  first.set_hops(1000);
  seeds.Add("data", "relayed-from-afar", request.SerializeAsString());
  first.set_after(2);
  seeds.Add("data", "relayed-after-itself", request.SerializeAsString());
  first.set_after(1);
  first.set_origin("short");
  seeds.Add("data", "relayed-of-nobody", request.SerializeAsString());
}

// What only peers of a large mesh say.
std::vector<std::string> LargeControlBytes() {
  PeerId one, two;
  one.bytes[0] = 1;
  two.bytes[0] = 2;
  std::vector<std::string> all;
  const auto add = [&](const node::ControlFrame& frame) {
    all.push_back(wire::EncodeControl(frame));
  };
  const broadcast::Range range{{one, 1, 17}, 1, 5, 2}, other{{one, 1, 18}, 3, 3, 0};
  add(node::TableHashes{std::vector<std::uint64_t>(node::kTableParts, 7)});
  add(node::TableRows{{0, 1, 255}, {{one, 5}, {two, 6}}});
  add(node::TableRows{{1}, {}});
  add(node::RecordsWanted{{one, two}});
  add(node::Goodbye{node::GoodbyeReason::kSurplus});
  add(overlay::Message(overlay::Join{}));
  add(overlay::Message(overlay::ForwardJoin{one, 6}));
  add(overlay::Message(overlay::Neighbor{overlay::Urgency::kLow, {}}));
  add(overlay::Message(overlay::Neighbor{overlay::Urgency::kHigh, {one, two}}));
  add(overlay::Message(overlay::NeighborReply{true, {}}));
  add(overlay::Message(overlay::NeighborReply{false, {one, two}}));
  add(overlay::Message(overlay::Disconnect{{two}}));
  add(overlay::Message(overlay::Shuffle{42, 3, {one, two}}));
  add(overlay::Message(overlay::ShuffleReply{42, {two}}));
  add(broadcast::Message(broadcast::IHave{{range, other}}));
  add(broadcast::Message(broadcast::Graft{{range}}));
  add(broadcast::Message(broadcast::Prune{1u << 17}));
  add(broadcast::Message(broadcast::Positions{{range, {{two, 1, 17}, 4, 4, 0}}, true}));
  return all;
}

std::string StatementBytes() {
  membership::Statement statement;
  statement.observer.bytes[0] = 1;
  statement.subject.bytes[0] = 2;
  statement.incarnation = 5;
  statement.number = 3;
  statement.reason = membership::StateReason::kHeartbeatTimeout;
  return wire::EncodeSignedStatement(wire::EncodeStatementBody(statement), "signature");
}

std::vector<std::string> ControlBytes() {
  PeerId peer;
  peer.bytes.fill(9);
  std::vector<std::string> all;
  const auto add = [&](const node::ControlFrame& frame) {
    all.push_back(wire::EncodeControl(frame));
  };
  add(node::Heartbeat{7, 6, Duration(1234), 5, 0xfeed, false, 0xbeef});
  add(node::InterestSnapshot{1, true, true, {{"a.*", 0}, {"b.>", 60'000}}});
  add(node::InterestSnapshot{2, true, false, {}});
  add(node::InterestDelta{3, {{"c", 5}}, {"a.*"}});
  add(node::InterestAck{1});
  add(node::InterestRequest{});
  add(node::PeerStates{{{peer, 5, true, false}, {PeerId{}, 6, false, true}}});
  add(node::Goodbye{node::GoodbyeReason::kLeaving});
  add(node::Goodbye{node::GoodbyeReason::kReplaced});
  add(node::LinkReady{});
  wire::Hello hello;
  hello.mesh_id = "abcdefghijklmnop";
  hello.epoch = 1'700'000'000'000;
  hello.software = "1.2.3";
  hello.link_token = std::string(wire::kLinkTokenBytes, 't');
  all.push_back(wire::EncodeHello(hello));
  return all;
}

std::string RecordBody() {
  node::PeerRecord record;
  record.incarnation = 5;
  record.addresses = {"10.0.0.1:7443", "[fd00::1]:7443", "host.example:1"};
  record.metrics_address = "10.0.0.1:9464";
  record.software = "1.2.3";
  record.epoch = 1'700'000'000'000;
  record.channels = 0x8001;
  record.observers = {5, 6, ~std::uint64_t{0}};
  record.published = 4;
  return wire::EncodeRecordBody(record);
}

void AddControl(const Seeds& seeds) {
  int number = 0;
  for (const auto& all : {ControlBytes(), LargeControlBytes()}) {
    for (const std::string& bytes : all) {
      seeds.Add("control", "frame-" + std::to_string(++number), bytes);
    }
  }
  link::v1::ControlRequest records;
  for (int i = 0; i < 2; ++i) {
    PM_CHECK(records.mutable_frame()->mutable_peer_records()->add_records()->ParseFromString(
        wire::EncodeSignedRecord(RecordBody(), "signature", "certificate")));
  }
  seeds.Add("control", "records", records.SerializeAsString());
  link::v1::ControlRequest statements;
  for (int i = 0; i < 2; ++i) {
    PM_CHECK(statements.mutable_frame()->mutable_statements()->add_statements()->ParseFromString(
        StatementBytes()));
  }
  seeds.Add("control", "statements", statements.SerializeAsString());
  seeds.Add("control", "later-kind", "\x0a\x03\xfa\x07\x00");
  seeds.Add("record", "body", "b" + RecordBody());
  seeds.Add("record", "empty-body", "b");
  seeds.Add("record", "spoilt-record", "\x10" + RecordBody());
  seeds.Add("record", "spoilt-signature", "\x40" + RecordBody());
  seeds.Add("record", "spoilt-certificate", "\xf0" + RecordBody());
  seeds.Add("record", "stranger",
            "r" + wire::EncodeSignedRecord(RecordBody(), "signature", "certificate"));
}

// `begun`: an application and a link to the first peer. The L in front makes the mesh a large one.
void AddLargeNode(const Seeds& seeds, const std::string& begun, const std::string& settled) {
  const auto record = [](char who) {
    return std::string("r\0", 2) + who + std::string("\x09\x01", 2) + Sized("host:1") + "\x01";
  };
  const std::string known = record('\0') + record('\1') + record('\3');
  const std::string second = std::string("u\x03\x00\x01", 4);
  const std::string large = "L" + begun + known + second + settled;
  std::string frames = large;
  for (const std::string& bytes : LargeControlBytes()) {
    frames += std::string("c\0", 2) + Sized(bytes) + settled;
  }
  seeds.Add("node", "large-every-frame", frames + std::string("t\xff", 2) + settled);
  link::v1::DataRequest request;
  AddRelayed(request, 1, 1, 1);
  AddRelayed(request, 4, 3, 7);
  const std::string data = std::string("d\0", 2) + Sized(request.SerializeAsString());
  seeds.Add("node", "large-relayed",
            large + data + settled + std::string("D\0d\1", 4) + Sized(request.SerializeAsString()) +
                settled + std::string("t\x64", 2));
  const auto statement = [](char observer, char subject, char claim) {
    return std::string("k\0", 2) + observer + subject + std::string("\x09\x05", 2) + claim + '\6';
  };
  seeds.Add("node", "large-statements",
            large + statement('\0', '\3', '\0') + statement('\1', '\3', '\0') + settled +
                std::string("t\xff", 2) + statement('\0', '\3', '\1') +
                statement('\3', '\3', '\2') + settled);
  v1::PublishRequest publish;
  *publish.add_messages() = MessageOf("a.b", 2);
  const std::string published = std::string("p\0", 2) + Sized(publish.SerializeAsString());
  seeds.Add("node", "large-publish",
            large + published + std::string("P\0", 2) + settled + published + settled +
                std::string("P\0t\x64K\0", 6) + settled);
}

void AddNode(const Seeds& seeds) {
  const std::string up = std::string("u\x01\x00\x00", 4);
  const std::vector<std::string> control = ControlBytes();
  const auto said = [&](std::size_t frame) {
    return std::string("c\0", 2) + Sized(control[frame]);
  };
  const std::string wanted = std::string("s\0\x01\0", 4) + Sized(">");
  const std::string open = std::string("o\0", 2) + wanted;
  const std::string settled = std::string("w\0w\0w\0W\0W\0w\0", 12);
  const std::string ready = up + said(1) + said(9) + settled;
  const auto data = [](const std::string& bytes) { return std::string("d\0", 2) + Sized(bytes); };
  v1::PublishRequest publish;
  *publish.add_messages() = MessageOf("a.b", 2);
  const std::string published = std::string("p\0", 2) + Sized(publish.SerializeAsString());
  seeds.Add("node", "link-comes-and-goes", ready + std::string("n\0", 2));
  seeds.Add("node", "every-frame", [&] {
    std::string steps = ready;
    for (std::size_t i = 0; i + 1 < control.size(); ++i) steps += said(i) + settled;
    return steps;
  }());
  seeds.Add("node", "messages-in",
            open + ready + data(DataBytes(2, true, 1, true)) + std::string("D\0", 2) +
                data(DataBytes(5, false, 0, false)) + std::string("D\0n\0", 4));
  seeds.Add("node", "messages-out",
            open + ready + published + settled + published + "D" + std::string("\0", 1) +
                published + settled);
  seeds.Add("node", "second-link",
            open + ready + std::string("u\x01\x00\x05", 4) + said(1) + said(9) + settled +
                published + settled);
  seeds.Add("node", "second-link-of-another-epoch",
            open + ready + std::string("u\x01\x01\x05", 4) + said(1) + said(9) + settled);
  seeds.Add("node", "two-peers",
            ready + std::string("u\x02\x00\x00", 4) + "r" + std::string("\0\x03\x07\x01", 4) +
                Sized("host:1") + std::string("\0", 1) + settled);
  seeds.Add("node", "silence", ready + std::string("t\xff", 2) + std::string("t\xff", 2));
  seeds.Add("node", "renewal",
            ready + std::string("R\0t\x32", 4) + std::string("u\x81\x00\x09", 4));
  seeds.Add("node", "signed", open + ready + std::string("S\0", 2) + settled + settled);
  AddLargeNode(seeds, open + ready, settled);
  seeds.Add("node", "drain", open + ready + published + "qq" + settled + std::string("t\xff", 2));
}

history::Record RecordOf(history::Event event, std::int64_t time, std::uint32_t actor) {
  history::Record record;
  record.time_ns = time;
  record.event = event;
  record.actor = actor;
  record.epoch = 5;
  return record;
}

void AddHistory(const Seeds& seeds) {
  using history::Event;
  std::vector<history::Record> records = {
      RecordOf(Event::kStarted, 1, 0),   RecordOf(Event::kOpened, 2, 1),
      RecordOf(Event::kSubscribe, 3, 1), RecordOf(Event::kSubscribed, 4, 1),
      RecordOf(Event::kInvoke, 5, 1),    RecordOf(Event::kAccepted, 6, 1),
      RecordOf(Event::kDeliver, 7, 1),   RecordOf(Event::kQuiet, 8, 0),
      RecordOf(Event::kClosed, 9, 1),    RecordOf(Event::kEnded, 10, 0),
  };
  records[2].sequence = records[3].sequence = 1;
  for (std::size_t i = 4; i < 7; ++i) {
    records[i].message = 77;
    records[i].name = 1;
    records[i].crc = 42;
    records[i].sequence = i == 4 ? 0 : 1;
  }
  records[6].until = 1;
  std::string bytes;
  for (const history::Record& record : records) {
    bytes.append(reinterpret_cast<const char*>(&record), sizeof record);
  }
  const std::string names = ">\na.b\nalpha\n\n";
  seeds.Add("history", "one-message", names + std::string("\0", 1) + bytes);
  seeds.Add("history", "two-files", names + "\x80" + bytes);
  seeds.Add("history", "cut-short", names + "\xff" + bytes.substr(0, bytes.size() - 9));
  seeds.Add("history", "no-records", names);
  seeds.Add("history", "no-names", std::string("\n\n\0", 3) + bytes);
}

void AddHellos(const Seeds& seeds) {
  // TLS 1.3 as OpenSSL offers it, without its longer extensions.
  std::string hello = std::string("\x03\x03", 2) + std::string(32, 'r') + std::string("\0", 1);
  hello += std::string("\x00\x02\x13\x01\x01\x00", 6);
  hello += std::string("\x00\x09\x00\x2b\x00\x05\x04\x03\x04\x03\x03", 11);
  const auto size = static_cast<char>(hello.size());
  const std::string message = std::string("\x01\x00\x00", 3) + size + hello;
  const std::string record =
      std::string("\x16\x03\x01\x00", 4) + static_cast<char>(message.size()) + message;
  seeds.Add("client_hello", "tls13", record);
  std::string old = record;
  old[old.size() - 3] = 2;
  seeds.Add("client_hello", "tls12", old);
  seeds.Add("client_hello", "half", record.substr(0, record.size() / 2));
  seeds.Add("client_hello", "two-records", std::string("\x16\x03\x01\x00\x08", 5) + message);
  seeds.Add("client_hello", "built", std::string("\x03\x01\x00\x02xy\x00\x02\x03\x04\x05", 11));
}

std::string ReadAll(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void AddCertificates(const Seeds& seeds, const std::filesystem::path& corpus) {
  int written = 0;
  for (const auto& entry : std::filesystem::directory_iterator(corpus / "certificate")) {
    const auto certificate = identity::Certificate::Parse(ReadAll(entry.path()));
    if (!certificate) continue;  // some must not parse
    seeds.Add("certificate", entry.path().stem().string() + ".der", certificate->der());
    ++written;
  }
  PM_CHECK(written > 0);
}

}  // namespace
}  // namespace peermesh::fuzz

int main(int argc, char** argv) {
  using namespace peermesh::fuzz;
  if (argc != 3) {
    std::fprintf(stderr, "usage: fuzz_seeds OUT CORPUS\n");
    return 2;
  }
  const Seeds seeds(argv[1]);
  AddMessages(seeds);
  AddApi(seeds);
  AddDeliveries(seeds);
  AddData(seeds);
  AddRelayedData(seeds);
  AddControl(seeds);
  AddNode(seeds);
  AddHistory(seeds);
  AddHellos(seeds);
  AddCertificates(seeds, argv[2]);
  return 0;
}
