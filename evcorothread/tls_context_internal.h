// The inside of TlsContext. Internal.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "evcorothread/tls_context.h"
#include "evcorothread/tls_setup_internal.h"

namespace evcorothread {

// Logs that somebody spoke plain text to a TLS port; not more often than once a second. Connections keep it:
// their context may go before they do.
class PlainTextReports {
  public:
    void add(const std::string& peer);

  private:
    std::atomic<std::int64_t> reported_at_{-1};
    std::atomic<std::uint64_t> not_reported_{0};
};

struct TlsContext::Impl {
    explicit Impl(TlsServerOptions o) : server(std::move(o)) {}
    explicit Impl(TlsClientOptions o) : client(std::move(o)) {}

    cutils::Result<void> load();
    // What new connections are made from, now; theirs to keep.
    SslContextPtr current();

    const std::optional<TlsServerOptions> server;  // one of the two
    const std::optional<TlsClientOptions> client;
    const std::shared_ptr<PlainTextReports> plain_text = std::make_shared<PlainTextReports>();

    std::mutex mutex;
    SslContextPtr context;
    std::shared_ptr<TlsTicketKeys> keys;
    SystemTime expires = SystemTime::max();
};

}  // namespace evcorothread
