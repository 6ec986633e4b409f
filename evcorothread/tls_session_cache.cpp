#include <openssl/ssl.h>

#include <utility>

#include "evcorothread/tls_session_cache_internal.h"

namespace evcorothread {

void TlsSessionCache::put(const std::string& server, SslSessionPtr session) noexcept {
    try {
        const std::lock_guard lock(mutex_);
        if (const auto known = by_server_.find(server); known != by_server_.end()) {
            known->second->session.swap(session);
            entries_.splice(entries_.begin(), entries_, known->second);
            return;
        }
        Entries fresh;
        fresh.push_back({server, std::move(session)});
        by_server_.emplace(fresh.front().server, fresh.begin());
        entries_.splice(entries_.begin(), fresh);
        if (entries_.size() <= capacity_) return;
        by_server_.erase(entries_.back().server);
        entries_.pop_back();
    } catch (...) {
    }
}

SslSessionPtr TlsSessionCache::take(const std::string& server) noexcept {
    const std::lock_guard lock(mutex_);
    const auto known = by_server_.find(server);
    if (known == by_server_.end()) return nullptr;
    const Entries::iterator entry = known->second;
    SSL_SESSION* const session = entry->session.get();
    const bool usable = SSL_SESSION_is_resumable(session) != 0;
    if (usable && SSL_SESSION_get_protocol_version(session) < TLS1_3_VERSION) {
        if (SSL_SESSION_up_ref(session) != 1) return nullptr;
        return SslSessionPtr(session);
    }
    SslSessionPtr taken = std::move(entry->session);
    by_server_.erase(known);
    entries_.erase(entry);
    return usable ? std::move(taken) : nullptr;
}

}  // namespace evcorothread
