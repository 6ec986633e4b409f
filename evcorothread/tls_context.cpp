#include "evcorothread/tls_context.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <utility>

#include "cutils/clock.h"
#include "cutils/log.h"
#include "evcorothread/tls_context_internal.h"

namespace evcorothread {

cutils::Result<void> TlsContext::Impl::load() {
    // Whoever's certificate was good enough before must show it to the new rules.
    std::shared_ptr<TlsTicketKeys> sealing;
    if (server) {
        if (server->client_auth == TlsClientAuth::none) {
            const std::lock_guard lock(mutex);
            sealing = keys;
        }
        if (sealing == nullptr) sealing = std::make_shared<TlsTicketKeys>(server->session_lifetime);
    }
    cutils::Result<TlsMade> made =
        server ? make_server_context(*server, sealing)
               : make_client_context(*client, client->cached_sessions > 0
                                                  ? std::make_shared<TlsSessionCache>(client->cached_sessions)
                                                  : nullptr);
    if (!made) return made.error();
    const std::lock_guard lock(mutex);
    keys = std::move(sealing);
    context = std::move(made->context);
    expires = made->expires;
    return {};
}

SslContextPtr TlsContext::Impl::current() {
    const std::lock_guard lock(mutex);
    if (SSL_CTX_up_ref(context.get()) != 1) return nullptr;
    return SslContextPtr(context.get());
}

void PlainTextReports::add(const std::string& peer) {
    const std::int64_t second =
        std::chrono::duration_cast<std::chrono::seconds>(cutils::monotonic_now().time_since_epoch()).count();
    if (reported_at_.exchange(second) == second) {
        ++not_reported_;
        return;
    }
    const std::uint64_t others = not_reported_.exchange(0);
    cutils::log(cutils::LogLevel::warning, "%s spoke plain HTTP to a TLS port%s", peer.c_str(),
                others == 0 ? "" : (", and " + std::to_string(others) + " others before").c_str());
}

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext& TlsContext::operator=(TlsContext&&) noexcept = default;
TlsContext::~TlsContext() = default;

cutils::Result<TlsContext> TlsContext::server(TlsServerOptions options) {
    constexpr std::chrono::seconds kLongest = std::chrono::hours(7 * 24);  // RFC 8446
    if (options.session_lifetime < std::chrono::seconds::zero())
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "a session_lifetime below zero");
    options.session_lifetime = std::min(options.session_lifetime, kLongest);
    auto impl = std::make_unique<Impl>(std::move(options));
    if (const auto loaded = impl->load(); !loaded) return loaded.error();
    return TlsContext(std::move(impl));
}

cutils::Result<TlsContext> TlsContext::client(TlsClientOptions options) {
    auto impl = std::make_unique<Impl>(std::move(options));
    if (const auto loaded = impl->load(); !loaded) return loaded.error();
    return TlsContext(std::move(impl));
}

cutils::Result<void> TlsContext::reload() { return impl_->load(); }

std::chrono::system_clock::time_point TlsContext::expires() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->expires;
}

bool TlsContext::is_server() const { return impl_->server.has_value(); }

}  // namespace evcorothread
