// Who has signed what: the keys of the peers of this mesh, and signatures checked with them.
//
// Rules:
//  * A key is believed as long as a certificate that this process has verified: of a record, or of
//    a link. A peer keeps its key for life, so a newer certificate only prolongs the belief. What a
//    peer signed whose certificate has run out here is not believed, as its record is not: by
//    another clock it may hold, so the link that brought it is none the worse for it.
//  * A signature that held is remembered with the hash of what it covers, because the same piece
//    comes over several links. It still needs a certificate that holds.
//  * A record that was verified is remembered with its bytes, because every new link brings records
//    of the whole mesh, nearly all of them known.
//
// An attacker with a valid certificate costs 0.05 ms for each signature that does not hold, and its
// link with the first one.
//
// Bounds: kMaxPeers keys, those not used for longest are forgotten first (about 250 bytes each,
// beside the record, which the node holds too); kMaxParsedKeys of them parsed (2.4 KB each);
// kMaxRemembered signatures (about 200 bytes each).
//
// Thread-safe.
#ifndef PEERMESH_SERVER_LINK_SIGNATURES_H_
#define PEERMESH_SERVER_LINK_SIGNATURES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "mesh/base/id.h"
#include "mesh/base/limits.h"
#include "mesh/base/time.h"
#include "mesh/membership/record.h"

struct evp_md_ctx_st;
struct evp_pkey_st;

namespace peermesh::link {

// Parsing takes twice as long as checking a signature (0.09 ms). Guess: more origins do not send at
// once.
inline constexpr std::size_t kMaxParsedKeys = 256;
// A second's worth of pieces at a rate that keeps a twentieth of a core busy. Guess.
inline constexpr std::size_t kMaxRemembered = 1024;

// SHA-256 of what a signature covers, put together stretch by stretch.
class SignedHash {
 public:
  using Value = std::array<char, 32>;
  // The domain keeps a signature made for one purpose from serving another.
  explicit SignedHash(std::string_view domain);
  ~SignedHash();
  SignedHash(const SignedHash&) = delete;
  SignedHash& operator=(const SignedHash&) = delete;
  void Add(std::string_view bytes);
  Value Finish();  // once

 private:
  evp_md_ctx_st* const context_;
};

class Signatures {
 public:
  enum class Outcome : std::uint8_t {
    kHolds,
    kUnverifiable,  // no key is known, or its certificate has run out
    kForged,        // not by that peer, or altered on the way
  };
  struct Check {
    Outcome outcome = Outcome::kUnverifiable;
    bool computed = false;  // rather than remembered
  };

  // A certificate of this key (SubjectPublicKeyInfo, DER) was verified.
  void Learn(const PeerId& peer, std::string_view spki, WallTime expires);
  Check Verify(const PeerId& signer, const SignedHash::Value& hash, std::string_view signature,
               WallTime now);

  // A record was verified with this key.
  void Learn(const membership::RecordRef& record, std::string_view spki);
  // A record that was verified, if these are its bytes and its certificate holds: of each peer the
  // latest that everybody should have, and the latest with other observers.
  std::optional<membership::RecordRef> FindRecord(std::string_view encoded, WallTime now) const;

  std::size_t known_keys() const;

 private:
  using Key = std::shared_ptr<evp_pkey_st>;
  struct Known {
    std::string spki;
    WallTime expires{};
    // May be none: the latest for everybody, and the latest that differs from it in observers.
    std::array<membership::RecordRef, 2> records;
    std::list<PeerId>::iterator recent;  // place in recent_
  };
  Known& LearnLocked(const PeerId& peer, std::string_view spki, WallTime expires);
  void ForgetLocked(const PeerId& peer);
  // Null if it is not known, or its certificate has run out.
  Key KeyOf(const PeerId& signer, WallTime now);
  bool Remembers(const std::string& proof) const;
  void Remember(std::string proof);

  mutable std::mutex mutex_;
  std::map<PeerId, Known> known_;
  std::list<PeerId> recent_;  // of known_, the latest used first
  std::unordered_map<std::string_view, membership::RecordRef> by_bytes_;  // the records of known_
  std::map<PeerId, Key> parsed_;
  std::unordered_set<std::string> proofs_;
  std::deque<const std::string*> oldest_proofs_;  // of proofs_
};

}  // namespace peermesh::link

#endif  // PEERMESH_SERVER_LINK_SIGNATURES_H_
