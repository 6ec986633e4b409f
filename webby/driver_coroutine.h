// CoroutineDriver: serves an application on an EvLoop. A connection is a coroutine while it has work, and a
// few hundred bytes while it has none.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/group_listener.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"
#include "webby/access_log.h"
#include "webby/application.h"
#include "webby/limits.h"

namespace evcorothread {
class EvLoop;
class TlsContext;
}  // namespace evcorothread

namespace webby {

struct DriverOptions {
    Limits limits{};
    Timeouts timeouts{};
    std::size_t max_connections = 100'000;    // idle ones among them; more wait to be accepted
    std::chrono::milliseconds drain{30'000};  // how long drain() lets requests in flight go on
};

// The path of a connection: accepted on the loop, without a stack; parked; its first byte takes a stack (or
// waits its turn for one) and an Exchange; requests are answered; nothing more there: both go back, and it is
// parked again. So the stack pool limits work in progress, not clients.
//
// Owner:  the server. Destroyed when finished(), or when its loop no longer runs.
// Thread: the loop's, all of it.
// Cost:   a request is one recv(2), one send(2) and its share of epoll_wait(2); no allocation.
class EVC_API CoroutineDriver {
  public:
    // Lifetime: loop and application must outlive the driver. access_log: null for none.
    CoroutineDriver(evcorothread::EvLoop& loop, const Application& application, const DriverOptions& options,
                    std::unique_ptr<AccessLog> access_log);
    CoroutineDriver(const CoroutineDriver&) = delete;
    CoroutineDriver& operator=(const CoroutineDriver&) = delete;
    ~CoroutineDriver();

    // Serves at one more address; returns it with the port that port 0 became. Errors: of
    // EvTcpAcceptor::listen. tls: what HTTPS is spoken with, null for plain HTTP. Lifetime: it outlives the
    // driver.
    cutils::Result<nutils::SockAddr> listen(const nutils::SockAddr& address,
                                            const evcorothread::TlsContext* tls = nullptr);

    // Takes over a connection that somebody else has accepted. `place`: dropped when it ends. tls: as above.
    void adopt(nutils::UniqueFd connection, evcorothread::ConnectionTicket place,
               const evcorothread::TlsContext* tls = nullptr);

    // Stops listening and closes idle connections, now; lets requests in flight finish, each of them the last
    // of its connection; cancels what is still there after DriverOptions::drain. Idempotent.
    void drain();
    // Cancels what is in flight, without waiting for anything.
    void cancel();
    // True once drain() was called and the last connection has gone.
    [[nodiscard]] bool finished() const;
    // Posts `function` to the loop when that is so; at once, if it is.
    void when_finished(std::function<void()> function);

    struct Counts {
        std::size_t connections = 0;
        std::size_t idle = 0;     // parked, without a stack
        std::size_t waiting = 0;  // for a stack
        std::uint64_t requests = 0;
    };
    [[nodiscard]] Counts counts() const;

  private:
    struct Impl;
    class Connection;
    class TlsConnection;
    std::unique_ptr<Impl> impl_;
};

}  // namespace webby
