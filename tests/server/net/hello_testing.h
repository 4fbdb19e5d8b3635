// ClientHellos as OpenSSL makes them.
#ifndef PEERMESH_TESTS_SERVER_NET_HELLO_TESTING_H_
#define PEERMESH_TESTS_SERVER_NET_HELLO_TESTING_H_

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

namespace peermesh::net {

// The first flight of a client that speaks at most `newest` (TLS1_3_VERSION).
inline std::string ClientHello(int newest) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  SSL_CTX_free);
  EXPECT_EQ(SSL_CTX_set_max_proto_version(context.get(), newest), 1);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_set_tlsext_host_name(ssl.get(), "alpha.example");
  EXPECT_EQ(SSL_connect(ssl.get()), -1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace peermesh::net

#endif  // PEERMESH_TESTS_SERVER_NET_HELLO_TESTING_H_
