// A client's SSL_CTX: whom it trusts, and the sessions it may resume.
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cerrno>
#include <utility>

#include "evcorothread/tls_setup_internal.h"
#include "nutils/unique_fd.h"

namespace evcorothread {
namespace {

using Sessions = std::shared_ptr<TlsSessionCache>;

void delete_sessions(void*, void* sessions, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<Sessions*>(sessions);
}
int sessions_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, delete_sessions);
    return index;
}

// A ticket has come. 1: we keep the session.
int keep_session(SSL* ssl, SSL_SESSION* session) {
    TlsSessionCache* const sessions = session_cache_of(ssl);
    const auto* const server = static_cast<const std::string*>(SSL_get_app_data(ssl));
    if (sessions == nullptr || server == nullptr || server->empty()) return 0;
    sessions->put(*server, SslSessionPtr(session));
    return 1;
}

cutils::Result<void> use_trusted(SSL_CTX* context, const TlsClientOptions& options) {
    SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    ERR_clear_error();
    if (options.ca_file.empty() && options.ca_dir.empty()) {
        if (options.verify && SSL_CTX_set_default_verify_paths(context) != 1)
            return take_file_error("the system's certificates");
        return {};
    }
    if (!options.ca_file.empty() && SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1)
        return take_file_error("trusted certificates " + options.ca_file);
    if (options.ca_dir.empty()) return {};
    const std::string what = "trusted certificates in " + options.ca_dir;
    // OpenSSL looks into it when it needs one.
    const nutils::UniqueFd dir(::open(options.ca_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (dir.get() < 0) return cutils::Error({errno, std::generic_category()}, what);
    if (SSL_CTX_load_verify_dir(context, options.ca_dir.c_str()) != 1) return take_file_error(what);
    return {};
}

bool use_protocols(SSL_CTX* context, const std::string& list) {
    // 0 is success here, and only here.
    return list.empty() ||
           SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(list.data()),
                                   static_cast<unsigned int>(list.size())) == 0;
}

bool use_sessions(SSL_CTX* context, Sessions sessions) {
    if (sessions == nullptr) return true;
    auto owned = std::make_unique<Sessions>(std::move(sessions));
    if (SSL_CTX_set_ex_data(context, sessions_index(), owned.get()) != 1) return false;
    (void)owned.release();  // the context's now
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    return true;
}

}  // namespace

TlsSessionCache* session_cache_of(const ssl_st* ssl) {
    const auto* const sessions =
        static_cast<const Sessions*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), sessions_index()));
    return sessions != nullptr ? sessions->get() : nullptr;
}

cutils::Result<TlsMade> make_client_context(const TlsClientOptions& options, Sessions sessions) {
    const cutils::Result<std::string> alpn = alpn_list(options.alpn);
    if (!alpn) return alpn.error();
    TlsMade made;
    made.context = make_base_context(false, options.min_version);
    SSL_CTX* const context = made.context.get();
    if (context == nullptr || !use_protocols(context, *alpn) || !use_sessions(context, std::move(sessions)))
        return cutils::Error(take_openssl_error(), "making a TLS context");
    if (const auto trusted = use_trusted(context, options); !trusted) return trusted.error();
    if (!options.certificate.chain_file.empty() || !options.certificate.key_file.empty()) {
        const cutils::Result<SystemTime> loaded = use_certificate(context, options.certificate);
        if (!loaded) return loaded.error();
        made.expires = *loaded;
    }
    return made;
}

}  // namespace evcorothread
