// What the three drivers share: their listeners, and who is told of their end. And how each is made.
// Internal.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "nutils/unique_fd.h"
#include "webby/driver.h"

namespace webby {

// Listeners rest while the driver has as many connections as it may have.
class DriverBase : public Driver {
  public:
    cutils::Result<nutils::SockAddr> listen(const nutils::SockAddr& address, const nutils::ListenOptions& how,
                                            const evcorothread::TlsContext* tls) final;
    void adopt(nutils::UniqueFd connection, const nutils::SockAddr& peer,
               evcorothread::ConnectionTicket place, const evcorothread::TlsContext* tls) final {
        accepted(std::move(connection), peer, std::move(place), tls);
    }
    void when_finished(std::function<void()> function) final;

  protected:
    DriverBase(evcorothread::EvLoop& the_loop, const DriverOptions& the_options,
               std::unique_ptr<AccessLog> log)
        : loop(the_loop), options(the_options), access_log(std::move(log)) {}

    // A connection has come, from a listener or from adopt().
    virtual void accepted(nutils::UniqueFd connection, const nutils::SockAddr& peer,
                          evcorothread::ConnectionTicket place, const evcorothread::TlsContext* tls) = 0;

    // Whether somebody will want to know who a connection's peer was: the access log, and filters that hear
    // of its end. When a client has reset it, the kernel does not know any more.
    [[nodiscard]] bool somebody_asks_late(const Application& application) const {
        return access_log != nullptr || application.wants_close();
    }

    // No more connections until resume(). Idempotent, both.
    void pause();
    void resume();
    [[nodiscard]] bool paused() const { return paused_; }
    void close_listeners();
    // To whoever waits in when_finished().
    void tell_finished();

    evcorothread::EvLoop& loop;
    const DriverOptions options;
    const std::unique_ptr<AccessLog> access_log;

  private:
    std::vector<evcorothread::EvTcpAcceptor> acceptors_;
    std::function<void()> on_finished_;
    bool paused_ = false;
};

using DriverMaker = std::unique_ptr<Driver>(evcorothread::EvLoop& loop, const Application& application,
                                            const DriverOptions& options,
                                            std::unique_ptr<AccessLog> access_log);
DriverMaker make_coroutine_driver, make_thread_driver, make_event_driver;

}  // namespace webby
