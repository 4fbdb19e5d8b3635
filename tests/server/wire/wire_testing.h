// Frames for tests: well-formed ones through the generated classes, broken ones byte by byte.
#ifndef PEERMESH_TESTS_SERVER_WIRE_WIRE_TESTING_H_
#define PEERMESH_TESTS_SERVER_WIRE_WIRE_TESTING_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mesh/base/id.h"
#include "mesh/base/rng.h"
#include "mesh/routing/subject.h"
#include "peermesh/v1/message.pb.h"
#include "server/wire/reader.h"
#include "server/wire/records.h"

namespace peermesh::wire {

inline std::shared_ptr<const std::string> Share(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

inline std::string Varint(std::uint64_t value) {
  std::string out;
  Writer(out).Varint(value);
  return out;
}
inline std::string Tag(std::uint32_t field, unsigned type) {
  return Varint(std::uint64_t{field} << 3 | type);
}
// A varint field, written even when 0.
inline std::string Number(std::uint32_t field, std::uint64_t value) {
  return Tag(field, 0) + Varint(value);
}
inline std::string Bytes(std::uint32_t field, const std::string& content) {
  return Tag(field, 2) + Varint(content.size()) + content;
}

inline v1::Message MakeMessage(const std::string& subject, const std::string& payload = "payload") {
  v1::Message message;
  message.set_subject(subject);
  message.set_payload(payload);
  return message;
}

// A batch as a decoder makes it.
inline BatchRef MakeBatch(const std::vector<v1::Message>& messages) {
  std::string bytes;
  for (const v1::Message& message : messages)
    bytes += Bytes(kMessagesField, message.SerializeAsString());
  const auto buffer = Share(std::move(bytes));
  RecordCollector collector(buffer);
  Reader reader(*buffer);
  while (reader.Next()) EXPECT_EQ(collector.Add(reader.whole(), reader.Bytes()), Rule::kNone);
  return collector.Take();
}

inline PeerId MakePeer(std::uint8_t seed) {
  PeerId id;
  id.bytes.fill(seed);
  return id;
}

// A fixed sequence: a failing test prints the round, which is all it takes to repeat it.
inline Rng TestRng(std::uint64_t seed) { return Rng(Rng::Seed{seed, 2, 3, 4}); }

// Changes, drops, doubles or inserts a few bytes.
inline std::string Mutate(std::string bytes, Rng& rng) {
  const std::uint64_t changes = 1 + rng.Below(4);
  for (std::uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
    const std::size_t at = rng.Below(bytes.size());
    const auto byte = static_cast<char>(rng.Below(256));
    switch (rng.Below(5)) {
      case 0: bytes[at] = byte; break;
      case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << rng.Below(8))); break;
      case 2: bytes.erase(at, 1 + rng.Below(4)); break;
      case 3: bytes.insert(at, 1, byte); break;
      default: bytes.resize(at); break;
    }
  }
  return bytes;
}

}  // namespace peermesh::wire

#endif  // PEERMESH_TESTS_SERVER_WIRE_WIRE_TESTING_H_
