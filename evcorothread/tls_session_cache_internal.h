// TlsSessionCache: a client's sessions, by server, to be resumed. Internal.
#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "evcorothread/tls_openssl_internal.h"

namespace evcorothread {

// Keeps the latest session of each server, and of so many servers; the one not used for the longest time goes
// first. Any thread.
class TlsSessionCache {
  public:
    explicit TlsSessionCache(std::size_t capacity) : capacity_(capacity) {}

    // Without memory it just is not kept.
    void put(const std::string& server, SslSessionPtr session) noexcept;
    // Null when there is none. A session of TLS 1.3 is given out once: two connections with the same ticket
    // could be linked by whoever watches. One of TLS 1.2 stays: the server may not send another.
    SslSessionPtr take(const std::string& server) noexcept;

  private:
    struct Entry {
        std::string server;
        SslSessionPtr session;
    };
    using Entries = std::list<Entry>;

    const std::size_t capacity_;
    std::mutex mutex_;
    Entries entries_;  // the latest in front
    std::unordered_map<std::string_view, Entries::iterator> by_server_;
};

}  // namespace evcorothread
