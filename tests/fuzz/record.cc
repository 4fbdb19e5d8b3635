// Signed descriptions of peers: only what the peer itself has signed is believed, all of it, and
// nothing out of range.
//
// The first byte says what the rest is: r, all of an encoded record; b, the body that a peer of the
// mesh signs; anything else, a body that is signed and then spoilt at a place that the byte says.
#include <openssl/evp.h>

#include "mesh/base/check.h"
#include "mesh/identity/token.h"
#include "peermesh/link/v1/link.pb.h"
#include "server/wire/control.h"
#include "server/wire/signed_record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/mesh/identity/forge.h"

namespace peermesh::fuzz {
namespace {

using identity::kNow;
using wire::RecordRefusal;

struct Signer {
  identity::ForgedMesh mesh;
  identity::TrustBundle bundle = mesh.bundle();
  identity::PKeyPtr key = identity::ForgeKey();
  std::string certificate = identity::Forge(mesh.Leaf(key.get()));
  PeerId id = identity::PeerIdOf(identity::SpkiOf(key.get()));

  std::string Sign(std::string_view body) const {
    std::string signed_bytes(wire::kRecordDomain);
    signed_bytes.append(1, '\0').append(body);
    const identity::DigestContextPtr context(EVP_MD_CTX_new());
    std::string signature(128, '\0');
    std::size_t size = signature.size();
    PM_CHECK(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1);
    PM_CHECK(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                            &size, reinterpret_cast<const unsigned char*>(signed_bytes.data()),
                            signed_bytes.size()) == 1);
    signature.resize(size);
    return wire::EncodeSignedRecord(body, signature, certificate);
  }
};

void CheckRecord(const node::PeerRecord& record, std::string_view encoded, const Signer& signer) {
  PM_CHECK(record.id == signer.id && record.name == "alpha" && record.encoded == encoded);
  PM_CHECK(record.addresses.size() <= kMaxAddressesPerPeer);
  for (const std::string& address : record.addresses) {
    PM_CHECK(address.size() <= kMaxAddressBytes && identity::IsHostPort(address));
  }
  PM_CHECK(record.metrics_address.empty() || identity::IsHostPort(record.metrics_address));
  PM_CHECK(record.software.size() <= wire::kMaxSoftwareBytes);
  PM_CHECK(record.certificate_expiry > kNow);
  PM_CHECK(record.observers.size() <= wire::kMaxObservers);
  for (std::size_t i = 1; i < record.observers.size(); ++i) {
    PM_CHECK(record.observers[i - 1] < record.observers[i]);
  }
  // What we would say in its place says the same.
  const std::string again = signer.Sign(wire::EncodeRecordBody(record));
  const auto verdict = wire::DecodeSignedRecord(again, signer.bundle, kNow);
  PM_CHECK(verdict.ok() && verdict.record().addresses == record.addresses);
  PM_CHECK(verdict.record().incarnation == record.incarnation);
  PM_CHECK(record.published <= record.incarnation);
  PM_CHECK(verdict.record().published == record.published);
  PM_CHECK(verdict.record().channels == record.channels);
  PM_CHECK(verdict.record().observers == record.observers);
  PM_CHECK(verdict.record().epoch == record.epoch && verdict.record().software == record.software);
}

// As DecodeSignedRecord should judge a body that is signed well.
std::optional<RecordRefusal> Expected(std::string_view body, const Signer& signer) {
  link::v1::PeerRecord record;
  const bool parsed = record.ParseFromArray(body.data(), static_cast<int>(body.size()));
  if (!parsed || body.size() > kMaxRecordBytes || record.peer_id().size() != 32 ||
      record.addresses_size() > static_cast<int>(kMaxAddressesPerPeer) ||
      record.software().size() > wire::kMaxSoftwareBytes ||
      record.published() > record.incarnation() ||
      record.observers_size() > static_cast<int>(wire::kMaxObservers)) {
    return RecordRefusal::kMalformed;
  }
  for (int i = 1; i < record.observers_size(); ++i) {
    if (record.observers(i - 1) >= record.observers(i)) return RecordRefusal::kMalformed;
  }
  if (record.peer_id() != signer.id.ToBytes()) return RecordRefusal::kWrongPeer;
  return std::nullopt;
}

// `body` with the id of the signer, which no input can know.
std::string WithOwnId(std::string_view body, const Signer& signer) {
  link::v1::PeerRecord record;
  if (!record.ParseFromArray(body.data(), static_cast<int>(body.size()))) return std::string(body);
  record.set_peer_id(signer.id.ToBytes());
  return record.SerializeAsString();
}

wire::RecordVerdict Judge(std::string_view encoded, const Signer& signer) {
  auto verdict = wire::DecodeSignedRecord(encoded, signer.bundle, kNow);
  if (verdict.ok()) {
    CheckRecord(verdict.record(), encoded, signer);
  } else {
    PM_CHECK(*wire::ToString(verdict.refusal()) != '\0');
  }
  return verdict;
}

}  // namespace

void Try(std::string_view input) {
  static const Signer signer;
  Parts parts(input);
  const std::uint8_t kind = parts.Byte();
  if (kind == 'r') {
    PM_CHECK(!Judge(parts.Rest(), signer).ok());
    return;
  }
  const std::string body = WithOwnId(parts.Rest(), signer);
  std::string encoded = signer.Sign(body);
  if (kind == 'b') {
    const auto verdict = Judge(encoded, signer);
    const auto expected = Expected(body, signer);
    PM_CHECK(verdict.ok() == !expected);
    PM_CHECK(verdict.ok() || verdict.refusal() == *expected);
    return;
  }
  encoded[encoded.size() * kind / 256] ^= 0x10;
  const auto verdict = Judge(encoded, signer);
  // Only a spoilt tag can leave what counts as it was, and then it is still what was signed.
  if (verdict.ok()) PM_CHECK(verdict.record().id == signer.id);
}

}  // namespace peermesh::fuzz
