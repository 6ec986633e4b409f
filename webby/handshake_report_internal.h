// What is said about a TLS handshake that failed, whoever drives the connection. Internal.
#pragma once

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

#include "cutils/clock.h"
#include "cutils/log.h"
#include "cutils/result.h"
#include "evcorothread/tls_error.h"
#include "evcorothread/tls_layer.h"
#include "nutils/net_error.h"
#include "nutils/sock_addr.h"
#include "webby/metrics_cell.h"

namespace webby {

// Whoever speaks plain HTTP to a TLS port is a person with a browser: worth an answer.
inline constexpr std::string_view kPlainHttpAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 38\r\n"
    "Connection: close\r\n\r\nThis port speaks HTTPS. Use https://.\n";

// One more in the metrics.
inline void count_handshake(MetricsCell& metrics, const std::error_code& error) {
    if (!error) return metrics.handshakes.add();
    metrics.failed_handshakes.add();
    if (error == nutils::NetError::timed_out) metrics.count_timeout(TimeoutKind::handshake);
}

// At most one line a second. Any thread.
class HandshakeReport {
  public:
    // True: the client spoke plain HTTP (which is logged already), and gets kPlainHttpAnswer.
    [[nodiscard]] bool failed(const cutils::Error& error, cutils::TimePoint now) {
        using nutils::NetError;
        if (error.code() == evcorothread::TlsError::plain_text) return true;
        if (error.code() == NetError::truncated || error.code() == NetError::closed ||
            error.code() == NetError::canceled || error.code() == std::errc::connection_reset ||
            error.code() == std::errc::broken_pipe)
            return false;  // gone: nobody's mistake
        const cutils::Duration::rep at = now.time_since_epoch().count();
        cutils::Duration::rep next = next_.load(std::memory_order_relaxed);
        constexpr cutils::Duration kEvery = std::chrono::seconds(1);
        if (at < next || !next_.compare_exchange_strong(next, at + kEvery.count())) return false;
        cutils::log(cutils::LogLevel::info, "webby: %s", error.message().c_str());
        return false;
    }

    // The same, of a TlsLayer.
    [[nodiscard]] bool failed(const evcorothread::TlsLayer& layer, const std::error_code& error,
                              const nutils::SockAddr& peer, cutils::TimePoint now) {
        const std::string name = peer.is_none() ? "a peer that has gone" : peer.to_string();
        if (error == evcorothread::TlsError::plain_text) layer.report_plain_text(name);
        return failed({error, "TLS handshake with " + name}, now);
    }

  private:
    std::atomic<cutils::Duration::rep> next_{0};
};

}  // namespace webby
