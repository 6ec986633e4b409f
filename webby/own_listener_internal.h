// OwnListener: a socket that listens already, for a server with a single loop. Internal.
#pragma once

#include <cstddef>
#include <memory>

#include "cutils/result.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_timer.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"
#include "webby/driver.h"

namespace webby {

// Gives its connections to a driver; with as many there as there may be, it waits, and looks again every few
// milliseconds, since a driver does not tell.
//
// Owner: the server; ends before the driver and the loop. Thread: the loop's.
class OwnListener {
  public:
    struct Options {
        const evcorothread::TlsContext* tls = nullptr;
        std::size_t connections = 0;  // at most
    };
    // Errors: when it does not listen, or cannot be watched.
    [[nodiscard]] static cutils::Result<std::unique_ptr<OwnListener>> open(evcorothread::EvLoop& loop,
                                                                           nutils::UniqueFd listener,
                                                                           Driver& driver,
                                                                           const Options& options);
    OwnListener(evcorothread::EvLoop& loop, Driver& driver, const Options& options);
    OwnListener(const OwnListener&) = delete;
    OwnListener& operator=(const OwnListener&) = delete;
    ~OwnListener() { close(); }

    [[nodiscard]] const nutils::SockAddr& address() const { return acceptor_->local_address(); }
    void close();

  private:
    void arrived(nutils::UniqueFd connection, const nutils::SockAddr& peer);
    void look_again();
    [[nodiscard]] bool is_full() const { return driver_.counts().connections >= options_.connections; }

    Driver& driver_;
    const Options options_;
    std::optional<evcorothread::EvTcpAcceptor> acceptor_;
    evcorothread::EvTimer again_;
};

// Takes over the descriptor of "fd:3". Errors: errc::invalid_argument, with what is wrong with it, unless it
// is a stream socket that listens; nothing is taken over then.
[[nodiscard]] cutils::Result<nutils::UniqueFd> take_listener(std::string_view text);

}  // namespace webby
