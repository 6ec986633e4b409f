// The inside of TlsContext. Internal.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "evcorothread/tls_context.h"
#include "evcorothread/tls_setup_internal.h"

namespace evcorothread {

struct TlsContext::Impl {
    explicit Impl(TlsServerOptions o) : server(std::move(o)) {}
    explicit Impl(TlsClientOptions o) : client(std::move(o)) {}

    cutils::Result<void> load();
    // What new connections are made from, now; theirs to keep.
    SslContextPtr current();

    // Logs that somebody spoke plain text here; not more often than once a second.
    void report_plain_text(const std::string& peer);

    const std::optional<TlsServerOptions> server;  // one of the two
    const std::optional<TlsClientOptions> client;

    std::mutex mutex;
    SslContextPtr context;
    std::shared_ptr<TlsTicketKeys> keys;
    SystemTime expires = SystemTime::max();

    std::atomic<std::int64_t> reported_at{-1};
    std::atomic<std::uint64_t> not_reported{0};
};

}  // namespace evcorothread
