#include "tests/mesh/identity/forge.h"

#include "mesh/base/check.h"
#include "mesh/base/limits.h"

namespace peermesh::identity {
namespace {

void SetTime(ASN1_TIME* field, WallTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
  PM_CHECK(ASN1_TIME_set(field, seconds) != nullptr);
}

void Extend(X509* x509, int nid, const std::optional<std::string>& value) {
  if (!value) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, x509, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value->c_str());
  PM_CHECK(extension != nullptr);
  PM_CHECK(X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void ExtendWithUnknown(X509* x509) {
  ASN1_OBJECT* object = OBJ_txt2obj("1.2.3.4.5.6.7", 1);
  ASN1_OCTET_STRING* data = ASN1_OCTET_STRING_new();
  PM_CHECK(ASN1_OCTET_STRING_set(data, reinterpret_cast<const unsigned char*>("x"), 1) == 1);
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, /*crit=*/1, data);
  PM_CHECK(X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(data);
  ASN1_OBJECT_free(object);
}

void SetName(X509_NAME* name, const std::string& text) {
  PM_CHECK(X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1);
}

}  // namespace

PKeyPtr ForgeKey(const char* kind, const char* curve) {
  const std::string name(kind);
  EVP_PKEY* key = nullptr;
  if (name == "EC") {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve);
  } else if (name == "RSA") {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", static_cast<std::size_t>(2048));
  } else {
    key = EVP_PKEY_Q_keygen(nullptr, nullptr, kind);
  }
  PM_CHECK(key != nullptr);
  return PKeyPtr(key);
}

std::string SpkiOf(EVP_PKEY* key) { return DerOf(key, i2d_PUBKEY); }

std::string Forge(const Forgery& forgery) {
  const X509Ptr x509(X509_new());
  PM_CHECK(X509_set_version(x509.get(), forgery.version) == 1);
  static long serial = 0;
  PM_CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), ++serial) == 1);
  SetTime(X509_getm_notBefore(x509.get()), forgery.from);
  SetTime(X509_getm_notAfter(x509.get()), forgery.until);
  PM_CHECK(X509_set_pubkey(x509.get(), forgery.key) == 1);
  SetName(X509_get_subject_name(x509.get()), forgery.subject);
  X509_NAME* issuer = X509_NAME_new();
  SetName(issuer, forgery.issuer);
  PM_CHECK(X509_set_issuer_name(x509.get(), issuer) == 1);
  X509_NAME_free(issuer);
  Extend(x509.get(), NID_basic_constraints, forgery.basic_constraints);
  Extend(x509.get(), NID_key_usage, forgery.key_usage);
  Extend(x509.get(), NID_ext_key_usage, forgery.extended_key_usage);
  Extend(x509.get(), NID_subject_alt_name, forgery.alternative_names);
  Extend(x509.get(), NID_subject_key_identifier, "hash");
  if (forgery.unknown_critical_extension) ExtendWithUnknown(x509.get());
  EVP_PKEY* signer = forgery.signer != nullptr ? forgery.signer : forgery.key;
  const EVP_MD* digest = EVP_PKEY_get_id(signer) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  // Issued certificates name their issuer's key, as strict checking demands.
  if (forgery.signer != nullptr) {
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const X509Ptr holder(X509_new());
    PM_CHECK(X509_set_pubkey(holder.get(), signer) == 1);
    PM_CHECK(X509_pubkey_digest(holder.get(), EVP_sha1(), hash, &size) == 1);
    AUTHORITY_KEYID* id = AUTHORITY_KEYID_new();
    id->keyid = ASN1_OCTET_STRING_new();
    PM_CHECK(ASN1_OCTET_STRING_set(id->keyid, hash, static_cast<int>(size)) == 1);
    PM_CHECK(X509_add1_ext_i2d(x509.get(), NID_authority_key_identifier, id, 0, 0) == 1);
    AUTHORITY_KEYID_free(id);
  }
  PM_CHECK(X509_sign(x509.get(), signer, digest) > 0);
  return DerOf(x509.get(), i2d_X509);
}

ForgedMesh::ForgedMesh() : key_(ForgeKey()), mesh_id_(MeshIdOf(SpkiOf(key_.get()))) {
  Forgery root;
  root.key = key_.get();
  root.subject = root.issuer = "root";
  root.basic_constraints = "critical,CA:TRUE,pathlen:0";
  root.key_usage = "critical,keyCertSign";
  root.extended_key_usage = std::nullopt;
  root.until = kNow + std::chrono::hours(24 * 3650);
  root_ = Forge(root);
}

TrustBundle ForgedMesh::bundle() const {
  auto bundle = TrustBundle::Create({root_}, mesh_id_);
  PM_CHECK(bundle.ok());
  return *bundle;
}

std::string ForgedMesh::Names(EVP_PKEY* key, Role role, const std::string& name) const {
  return "URI:" + UriOf(mesh_id_, role, PeerIdOf(SpkiOf(key))) +
         ",DNS:" + DnsNameOf(name, mesh_id_);
}

Forgery ForgedMesh::Leaf(EVP_PKEY* key, Role role, const std::string& name) const {
  Forgery leaf;
  leaf.key = key;
  leaf.signer = key_.get();
  leaf.issuer = "root";
  leaf.alternative_names = Names(key, role, name);
  if (role == Role::kClient || role == Role::kAdmin) leaf.extended_key_usage = "clientAuth";
  if (role == Role::kCa) leaf.extended_key_usage = "serverAuth";
  return leaf;
}

}  // namespace peermesh::identity
