// What a peer says of itself, signed by it.
//
// Records are many (every peer has one of every other) and never change, so they are shared, not
// copied: a RecordRef is a pointer that looks like a record.
#ifndef PEERMESH_MESH_MEMBERSHIP_RECORD_H_
#define PEERMESH_MESH_MEMBERSHIP_RECORD_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mesh/base/check.h"
#include "mesh/base/growth.h"
#include "mesh/base/id.h"
#include "mesh/base/time.h"

namespace peermesh::membership {

// Whoever made it from bytes has verified signature and certificate.
struct Record {
  PeerId id;
  std::uint64_t incarnation = 0;
  std::string name;  // from the certificate
  std::vector<std::string> addresses;
  std::string metrics_address;
  std::string software;
  std::uint64_t epoch = 0;
  WallTime certificate_expiry{};
  // A bit for each channel that some application on it subscribes to.
  std::uint64_t channels = 0;
  // Its neighbours, who say when it is gone, each by ObserverKey, in order. A small mesh needs
  // none: there everybody observes everybody.
  std::vector<std::uint64_t> observers;
  // The incarnation of its latest record that everybody should have; 0: of this one. Records that
  // differ from it in their observers alone go to those, and elsewhere with what they say.
  std::uint64_t published = 0;
  std::string encoded;  // a serialised SignedPeerRecord; forwarded as it came

  std::uint64_t Version() const { return published == 0 ? incarnation : published; }
};

// The first 8 bytes of an id, big-endian: enough among peers that the mesh's CA has certified.
constexpr std::uint64_t ObserverKey(const PeerId& peer) {
  std::uint64_t key = 0;
  for (std::size_t at = 0; at < 8; ++at) key = key << 8 | peer.bytes[at];
  return key;
}

// Whether this key is one of its observers'.
inline bool Names(const Record& record, std::uint64_t observer) {
  return std::binary_search(record.observers.begin(), record.observers.end(), observer);
}

class RecordRef {
 public:
  RecordRef() = default;
  RecordRef(Record record)  // NOLINT: a record is one
      : record_(std::make_shared<const Record>(std::move(record))) {}

  explicit operator bool() const { return record_ != nullptr; }
  const Record& operator*() const {
    PM_CHECK(record_ != nullptr);
    return *record_;
  }
  const Record* operator->() const { return &**this; }
  operator const Record&() const { return **this; }  // NOLINT: a record is one
  // What the record takes of the heap; of what is shared, the share of so many holders.
  std::size_t HeapShare(std::size_t holders) const;
  // Kept alive with the record.
  std::shared_ptr<const std::vector<std::string>> addresses() const {
    PM_CHECK(record_ != nullptr);
    return {record_, &record_->addresses};
  }

 private:
  std::shared_ptr<const Record> record_;
};

inline std::size_t RecordRef::HeapShare(std::size_t holders) const {
  if (record_ == nullptr) return 0;
  constexpr std::size_t kCounts = 16;  // of holders
  const Record& record = *record_;
  std::size_t bytes = HeapBytes(sizeof(Record) + kCounts) + HeapBytes(record.addresses) +
                      HeapBytes(record.observers) + HeapBytes(record.encoded);
  for (const std::string* text : {&record.name, &record.metrics_address, &record.software}) {
    bytes += HeapBytes(*text);
  }
  for (const std::string& address : record.addresses) bytes += HeapBytes(address);
  return bytes * holders / static_cast<std::size_t>(record_.use_count());
}

}  // namespace peermesh::membership

#endif  // PEERMESH_MESH_MEMBERSHIP_RECORD_H_
