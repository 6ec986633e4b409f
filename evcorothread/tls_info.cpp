#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "evcorothread/tls_info_internal.h"

namespace evcorothread {
namespace {

std::string one_line(const X509_NAME* name) {
    struct BioDelete {
        void operator()(BIO* bio) const { BIO_free(bio); }
    };
    const std::unique_ptr<BIO, BioDelete> memory(BIO_new(BIO_s_mem()));
    if (memory == nullptr || X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
    char* text = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

std::string text_or_empty(const char* text) { return text != nullptr ? text : std::string(); }

}  // namespace

TlsInfo tls_info_of(const ssl_st* ssl) {
    if (ssl == nullptr) return {};
    TlsInfo info;
    info.protocol = SSL_get_version(ssl);
    info.cipher = text_or_empty(SSL_get_cipher_name(ssl));
    info.alpn = tls_alpn_of(ssl);
    info.server_name = text_or_empty(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    info.resumed = SSL_session_reused(ssl) != 0;
    const X509* const certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) return info;
    info.peer_subject = one_line(X509_get_subject_name(certificate));
    info.peer_issuer = one_line(X509_get_issuer_name(certificate));
    info.peer_verified =
        (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0 && SSL_get_verify_result(ssl) == X509_V_OK;
    return info;
}

std::string_view tls_alpn_of(const ssl_st* ssl) {
    if (ssl == nullptr) return {};
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl, &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

}  // namespace evcorothread
