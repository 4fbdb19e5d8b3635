#include "server/link/signatures.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "mesh/base/check.h"
#include "mesh/identity/openssl.h"

namespace peermesh::link {
namespace {

using KeyContextPtr =
    std::unique_ptr<EVP_PKEY_CTX, identity::OpenSslDeleter<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;

bool SignatureHolds(EVP_PKEY* key, const SignedHash::Value& hash, std::string_view signature) {
  const KeyContextPtr context(EVP_PKEY_CTX_new(key, nullptr));
  PM_CHECK(context != nullptr);
  const auto bytes = [](const char* data) { return reinterpret_cast<const unsigned char*>(data); };
  const bool good = EVP_PKEY_verify_init(context.get()) == 1 &&
                    EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
                    EVP_PKEY_verify(context.get(), bytes(signature.data()), signature.size(),
                                    bytes(hash.data()), hash.size()) == 1;
  ERR_clear_error();
  return good;
}

// Signer, hash and signature: who signed what, and how.
std::string ProofOf(const PeerId& signer, const SignedHash::Value& hash,
                    std::string_view signature) {
  std::string proof;
  proof.reserve(signer.bytes.size() + hash.size() + signature.size());
  proof.append(signer.bytes.begin(), signer.bytes.end());
  proof.append(hash.begin(), hash.end());
  return proof.append(signature);
}

}  // namespace

// --- Hashes --------------------------------------------------------------------------------------

SignedHash::SignedHash(std::string_view domain) : context_(EVP_MD_CTX_new()) {
  PM_CHECK(context_ != nullptr);
  PM_CHECK(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
  Add(domain);
  Add(std::string_view("\0", 1));
}

SignedHash::~SignedHash() { EVP_MD_CTX_free(context_); }

void SignedHash::Add(std::string_view bytes) {
  PM_CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

SignedHash::Value SignedHash::Finish() {
  Value value{};
  unsigned int size = 0;
  PM_CHECK(EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(value.data()), &size) ==
           1);
  PM_CHECK(size == value.size());
  return value;
}

// --- Keys ----------------------------------------------------------------------------------------

void Signatures::Learn(const PeerId& peer, std::string_view spki, WallTime expires) {
  const std::lock_guard lock(mutex_);
  LearnLocked(peer, spki, expires);
}

Signatures::Known& Signatures::LearnLocked(const PeerId& peer, std::string_view spki,
                                           WallTime expires) {
  const auto found = known_.find(peer);
  if (found != known_.end()) {
    // The id is the hash of the key: there is no other.
    found->second.expires = std::max(found->second.expires, expires);
    recent_.splice(recent_.begin(), recent_, found->second.recent);
    return found->second;
  }
  if (known_.size() >= kMaxPeers) {
    const PeerId oldest = recent_.back();  // a copy: what it names goes with it
    ForgetLocked(oldest);
  }
  recent_.push_front(peer);
  Known& known = known_[peer];
  known.spki = spki;
  known.expires = expires;
  known.recent = recent_.begin();
  return known;
}

void Signatures::ForgetLocked(const PeerId& peer) {
  const auto found = known_.find(peer);
  PM_CHECK(found != known_.end());
  for (const membership::RecordRef& record : found->second.records) {
    if (record) by_bytes_.erase(record->encoded);
  }
  recent_.erase(found->second.recent);
  parsed_.erase(peer);
  known_.erase(found);
}

Signatures::Key Signatures::KeyOf(const PeerId& signer, WallTime now) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(signer);
  if (found == known_.end() || found->second.expires <= now) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second.recent);
  if (const auto parsed = parsed_.find(signer); parsed != parsed_.end()) return parsed->second;
  const auto* at = reinterpret_cast<const unsigned char*>(found->second.spki.data());
  Key key(d2i_PUBKEY(nullptr, &at, static_cast<long>(found->second.spki.size())), EVP_PKEY_free);
  ERR_clear_error();
  if (key == nullptr) return nullptr;
  if (parsed_.size() >= kMaxParsedKeys) parsed_.clear();
  parsed_.emplace(signer, key);
  return key;
}

std::size_t Signatures::known_keys() const {
  const std::lock_guard lock(mutex_);
  PM_CHECK(recent_.size() == known_.size());
  return known_.size();
}

// --- Signatures ----------------------------------------------------------------------------------

Signatures::Check Signatures::Verify(const PeerId& signer, const SignedHash::Value& hash,
                                     std::string_view signature, WallTime now) {
  const Key key = KeyOf(signer, now);
  if (key == nullptr) return {};
  std::string proof = ProofOf(signer, hash, signature);
  if (Remembers(proof)) return {Outcome::kHolds, false};
  // Without the lock: other threads check other signatures meanwhile.
  if (!SignatureHolds(key.get(), hash, signature)) return {Outcome::kForged, true};
  Remember(std::move(proof));
  return {Outcome::kHolds, true};
}

bool Signatures::Remembers(const std::string& proof) const {
  const std::lock_guard lock(mutex_);
  return proofs_.contains(proof);
}

void Signatures::Remember(std::string proof) {
  const std::lock_guard lock(mutex_);
  const auto [place, fresh] = proofs_.insert(std::move(proof));
  if (!fresh) return;  // two threads checked the same
  oldest_proofs_.push_back(&*place);
  if (oldest_proofs_.size() <= kMaxRemembered) return;
  const auto oldest = proofs_.find(*oldest_proofs_.front());
  oldest_proofs_.pop_front();
  proofs_.erase(oldest);
}

// --- Records -------------------------------------------------------------------------------------

void Signatures::Learn(const membership::RecordRef& record, std::string_view spki) {
  const std::lock_guard lock(mutex_);
  Known& known = LearnLocked(record->id, spki, record->certificate_expiry);
  membership::RecordRef& place = known.records[record->Version() == record->incarnation ? 0 : 1];
  if (place) {
    if (place->incarnation > record->incarnation) return;
    by_bytes_.erase(place->encoded);
  }
  by_bytes_.erase(record->encoded);  // its key must not outlive the record it points into
  by_bytes_.emplace(record->encoded, record);
  place = record;
}

std::optional<membership::RecordRef> Signatures::FindRecord(std::string_view encoded,
                                                            WallTime now) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_bytes_.find(encoded);
  if (found == by_bytes_.end()) return std::nullopt;
  if (found->second->certificate_expiry <= now) return std::nullopt;
  return found->second;
}

}  // namespace peermesh::link
