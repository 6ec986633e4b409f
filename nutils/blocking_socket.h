// BlockingSocket, BlockingListener: sockets for ordinary OS threads. The thread waits in poll(2), with a
// deadline.
#pragma once

#include <span>
#include <string_view>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/byte_stream.h"
#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

namespace nutils {

// A connected stream socket.
//
//   auto peer = BlockingSocket::connect(SockAddr::loopback(9999), 3s).value();
//   peer.send_all("hello\n", 3s).or_throw();
//
// Owner: of its descriptor; moves, never copies. Threads: one may receive while another sends; close(), and
//        moving it,
// only when no other thread uses it (shutdown_both(fd()) wakes one that waits).
// "Suspends" of ByteStream: blocks the OS thread. Not for use inside a coroutine: it stops all of its loop.
class EVC_API BlockingSocket final : public ByteStream {
  public:
    // Takes a connected stream socket, of any origin: its O_NONBLOCK makes no difference.
    explicit BlockingSocket(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    // Connects.
    // Errors: timed_out; the errno of socket(2) or connect(2); would_block when the queue of a unix listener
    //         is full (try again later). The address stands in the context.
    [[nodiscard]] static cutils::Result<BlockingSocket> connect(const SockAddr& peer, Deadline deadline);

    [[nodiscard]] IoResult recv(std::span<char> buffer, Deadline deadline) override;
    [[nodiscard]] IoResult send(std::string_view data, Deadline deadline) override;
    [[nodiscard]] IoResult sendv(std::span<const iovec> pieces, Deadline deadline) override;
    IoResult shutdown_send() override;
    void close() noexcept override { fd_.reset(); }

    // For socket options; still owned here. -1 once closed.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    // Gives the descriptor away.
    [[nodiscard]] UniqueFd release() noexcept { return std::move(fd_); }

  private:
    UniqueFd fd_;
};

// Accepts connections.
//
//   auto listener = BlockingListener::listen(SockAddr::any(9999)).value();
//   while (auto peer = listener.accept(Deadline::never)) std::thread(serve, std::move(*peer)).detach();
//
// Owner: of its descriptor; moves, never copies. Threads: several may accept at once.
class EVC_API BlockingListener {
  public:
    // Errors: those of listen_stream().
    [[nodiscard]] static cutils::Result<BlockingListener> listen(const SockAddr& address,
                                                                 const ListenOptions& options = {});

    // Takes a listening socket, which must be non-blocking when several threads or processes accept from it.
    explicit BlockingListener(UniqueFd fd) noexcept : fd_(std::move(fd)) {}

    // Waits for a connection. Connections that died in the queue are passed over.
    //
    // After:  on success *peer says who it is, when asked for.
    // Errors: timed_out; closed; EMFILE, ENFILE, ENOBUFS, ENOMEM: try again later, the connection still
    //         waits; another errno of accept(2): the listener is unusable.
    [[nodiscard]] cutils::Result<BlockingSocket> accept(Deadline deadline, SockAddr* peer = nullptr);

    // Where it listens: the port that was chosen for port 0.
    [[nodiscard]] cutils::Result<SockAddr> address() const { return SockAddr::local_of(fd_.get()); }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    void close() noexcept { fd_.reset(); }

  private:
    UniqueFd fd_;
};

}  // namespace nutils
