// What every SSL_CTX of ours has in common: the defaults that make TLS safe and small.
#include <openssl/ssl.h>

#include <algorithm>

#include "evcorothread/tls_setup_internal.h"

namespace evcorothread {
namespace {

// Forward secrecy and authenticated encryption only.
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kCiphers13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384";
constexpr int kSecurityLevel = 2;  // 112 bits: no RSA below 2048, no SHA-1

// OpenSSL would ask the terminal for a password.
int no_password(char*, int, int, void* asked) {
    if (asked != nullptr) *static_cast<bool*>(asked) = true;
    return -1;
}

bool configure(SSL_CTX* context, bool server, TlsVersion min_version) noexcept {
    std::uint64_t options = SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION;
    // A client that puts ChaCha20 first has no hardware for AES.
    if (server) options |= SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
    SSL_CTX_set_options(context, options);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
    // A record's head and body with one recv(2) instead of two.
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_security_level(context, std::max(SSL_CTX_get_security_level(context), kSecurityLevel));
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    const int version = min_version == TlsVersion::tls1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_min_proto_version(context, version) == 1 &&
           SSL_CTX_set_cipher_list(context, kCiphers12) == 1 &&
           SSL_CTX_set_ciphersuites(context, kCiphers13) == 1 &&
           SSL_CTX_set1_groups_list(context, kGroups) == 1;
}

}  // namespace

SslContextPtr make_base_context(bool server, TlsVersion min_version) noexcept {
    SslContextPtr context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
    if (context != nullptr && !configure(context.get(), server, min_version)) context.reset();
    return context;
}

cutils::Result<std::string> alpn_list(const std::vector<std::string>& protocols) {
    std::string list;
    for (const std::string& protocol : protocols) {
        if (protocol.empty() || protocol.size() > 255)
            return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                                 "ALPN protocol \"" + protocol + "\"");
        list.push_back(static_cast<char>(protocol.size()));
        list.append(protocol);
    }
    return list;
}

}  // namespace evcorothread
