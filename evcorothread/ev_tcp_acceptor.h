// EvTcpAcceptor: listens, and starts a coroutine thread for every connection, as long as there is a stack for
// it.
#pragma once

#include <functional>
#include <memory>

#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

struct AcceptOptions : nutils::ListenOptions {
    // What the connections' coroutines are called.
    std::string_view name = "connection";  // cut to 31 bytes
    // Asked on the loop for every connection, before it gets a stack; false: it is closed at once.
    std::function<bool(int fd, const nutils::SockAddr& peer)> admit{};
};

// Usage:
//
//   auto acceptor = EvTcpAcceptor::listen(loop, SockAddr::any(9999), [](EvSocket socket) { … }).value();
//
// The stack pool is the throttle: with no free stack nothing is accepted, connections wait in the listen
// queue, and the process uses no CPU for them; when a stack comes back, the next one is served. Out of
// descriptors (EMFILE, ENFILE) it waits until one of this loop's sockets closes, or a moment, without
// spinning.
//
// Owner:  whoever holds it; movable: what was moved from is closed. close(), or destroying it, stops
//         listening; connections go on.
// Thread: the loop's. An open acceptor is work: EvLoop::run goes on while there is one.
// Address families: IPv4, IPv6 and unix sockets (SockAddr::parse("unix:/run/x.sock"), "unix:@name"). A socket
//         file that a killed server left behind is replaced; the file of a closed acceptor is removed, unless
//         somebody else listens there by then.
class EVC_API EvTcpAcceptor {
  public:
    // Runs on a coroutine thread of its own for every connection. TCP_NODELAY is set.
    using Handler = std::function<void(EvSocket)>;
    // Called on the loop, without a coroutine or a stack: for those who park connections (EvParking) or hand
    // them to another loop. Must not wait. Every waiting connection is accepted, whatever the stack pool
    // says.
    using RawHandler = std::function<void(nutils::UniqueFd, const nutils::SockAddr& peer)>;

    // Listens at `address`; port 0 takes a free one, see local_address().
    // Errors: EADDRINUSE, EACCES, … of socket(2), bind(2), listen(2); the message names the address.
    [[nodiscard]] static cutils::Result<EvTcpAcceptor> listen(EvLoop& loop, const nutils::SockAddr& address,
                                                              Handler handler, AcceptOptions options = {});
    [[nodiscard]] static cutils::Result<EvTcpAcceptor> listen_raw(EvLoop& loop,
                                                                  const nutils::SockAddr& address,
                                                                  RawHandler handler,
                                                                  AcceptOptions options = {});

    // Takes over a socket that listens already (socket activation, a parent's). It is made non-blocking. Of
    // the options, those about listening are ignored. Errors: EBADF, ENOTSOCK; EINVAL when it does not
    // listen.
    [[nodiscard]] static cutils::Result<EvTcpAcceptor> adopt(EvLoop& loop, nutils::UniqueFd listener,
                                                             Handler handler, AcceptOptions options = {});
    [[nodiscard]] static cutils::Result<EvTcpAcceptor> adopt_raw(EvLoop& loop, nutils::UniqueFd listener,
                                                                 RawHandler handler,
                                                                 AcceptOptions options = {});

    EvTcpAcceptor(EvTcpAcceptor&&) noexcept;
    EvTcpAcceptor& operator=(EvTcpAcceptor&&) noexcept;
    ~EvTcpAcceptor();

    // Stops accepting until resume(); the listen queue goes on filling. Idempotent.
    void pause();
    void resume();
    // Stops listening; idempotent. May be called in a handler.
    void close();

    [[nodiscard]] bool is_open() const;
    [[nodiscard]] const nutils::SockAddr& local_address() const;
    // Connections accepted so far, the refused ones not counted.
    [[nodiscard]] std::uint64_t accepted() const;

  private:
    struct Impl;
    explicit EvTcpAcceptor(std::unique_ptr<Impl> impl);
    static cutils::Result<EvTcpAcceptor> make(EvLoop& loop, nutils::UniqueFd listener,
                                              std::shared_ptr<Handler> handler, RawHandler raw,
                                              AcceptOptions options, bool own_file);
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
