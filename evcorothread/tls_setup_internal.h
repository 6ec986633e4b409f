// How an SSL_CTX is made from options, and what hangs on it. Internal.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cutils/result.h"
#include "evcorothread/tls_context.h"
#include "evcorothread/tls_openssl_internal.h"
#include "evcorothread/tls_session_cache_internal.h"
#include "evcorothread/tls_ticket_keys_internal.h"

namespace evcorothread {

using SystemTime = std::chrono::system_clock::time_point;

struct TlsMade {
    SslContextPtr context;
    SystemTime expires = SystemTime::max();
};

// Connections keep a reference on the SSL_CTX they were made from, and it owns all that its callbacks need.
cutils::Result<TlsMade> make_server_context(const TlsServerOptions& options,
                                            std::shared_ptr<TlsTicketKeys> keys);
cutils::Result<TlsMade> make_client_context(const TlsClientOptions& options,
                                            std::shared_ptr<TlsSessionCache> sessions);

// Of a client's context: its cache; null when it has none.
TlsSessionCache* session_cache_of(const ssl_st* ssl);

// ---- the parts ----

// An SSL_CTX with everything that does not depend on files.
SslContextPtr make_base_context(bool server, TlsVersion min_version) noexcept;

// Loads a certificate and its key; logs when it has expired.
cutils::Result<SystemTime> use_certificate(ssl_ctx_st* context, const TlsCertificate& files);

// The host names that its current certificate is made out for, lower case.
std::vector<std::string> names_of_certificate(ssl_ctx_st* context);

// Protocol names as TLS writes them. Errors: invalid_argument.
cutils::Result<std::string> alpn_list(const std::vector<std::string>& protocols);

}  // namespace evcorothread
