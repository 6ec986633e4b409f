// Driver: moves bytes between the connections of one loop and the application. One for each paradigm.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/group_listener.h"
#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"
#include "webby/access_log.h"
#include "webby/address_limit.h"
#include "webby/application.h"
#include "webby/forwarded.h"
#include "webby/limits.h"
#include "webby/paradigm.h"

namespace evcorothread {
class EvLoop;
class TlsContext;
}  // namespace evcorothread

namespace webby {

class MetricsBoard;
class UnsentLimit;

struct DriverOptions {
    Limits limits{};
    Timeouts timeouts{};
    std::size_t max_connections = 100'000;    // idle ones among them; more wait to be accepted
    std::chrono::milliseconds drain{30'000};  // how long drain() lets requests in flight go on
    std::size_t threads = 64;                 // of ThreadDriver, at most
    WhenFull when_full = WhenFull::wait;
    bool proxy_protocol = false;  // every connection begins with a PROXY header
    // Who is believed when he speaks of other clients, and how many connections each may have; null: any
    // number. Lifetime: they outlive the driver.
    const ForwardedTrust* trust = nullptr;
    AddressLimit* per_address = nullptr;
    UnsentLimit* unsent =
        nullptr;  // how much may wait for slow clients; null: any amount. Outlives the driver
    MetricsBoard* metrics = nullptr;  // where to count; null: nowhere. Outlives the driver
};

// Owner:  the server. Destroyed when finished(), or when its loop no longer runs; cuts what is in flight.
// Thread: the loop's, all of it.
class EVC_API Driver {
  public:
    Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    virtual ~Driver();

    // Serves at one more address; returns it with the port that port 0 became. `how`: its socket's options.
    // tls: what HTTPS is spoken with, null for plain HTTP.
    // Errors: of EvTcpAcceptor::listen. Lifetime: tls outlives the driver.
    virtual cutils::Result<nutils::SockAddr> listen(const nutils::SockAddr& address,
                                                    const nutils::ListenOptions& how,
                                                    const evcorothread::TlsContext* tls) = 0;

    // Takes over a connection that somebody else has accepted. `place`: dropped when it ends. tls: as above.
    virtual void adopt(nutils::UniqueFd connection, const nutils::SockAddr& peer,
                       evcorothread::ConnectionTicket place, const evcorothread::TlsContext* tls) = 0;

    // Stops listening and closes idle connections, now; lets requests in flight finish, each of them the last
    // of its connection; cancels what is still there after DriverOptions::drain. Idempotent.
    virtual void drain() = 0;
    // Cancels what is in flight, without waiting for anything.
    virtual void cancel() = 0;
    // True once drain() was called and the last connection has gone.
    [[nodiscard]] virtual bool finished() const = 0;
    // Posts `function` to the loop when that is so; at once, if it is.
    virtual void when_finished(std::function<void()> function) = 0;

    struct Counts {
        std::size_t connections = 0;
        std::size_t idle = 0;     // without a stack, a thread, or an exchange
        std::size_t waiting = 0;  // for a stack
        std::uint64_t requests = 0;
        std::uint64_t refused = 0;  // connections and requests for which there was no place
        std::size_t threads = 0;    // of ThreadDriver
    };
    [[nodiscard]] virtual Counts counts() const = 0;
};

// Lifetime: loop and application must outlive the driver. access_log: null for none.
[[nodiscard]] EVC_API std::unique_ptr<Driver> make_driver(Paradigm paradigm, evcorothread::EvLoop& loop,
                                                          const Application& application,
                                                          const DriverOptions& options,
                                                          std::unique_ptr<AccessLog> access_log);

}  // namespace webby
