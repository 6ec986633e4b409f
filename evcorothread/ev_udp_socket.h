// EvUdpSocket: a datagram socket whose calls wait like a blocking socket's, while the loop serves others.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "nutils/datagram_batch.h"
#include "nutils/datagram_ops.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_file.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

struct FdWatch;
using nutils::BatchResult;
using nutils::DatagramBatch;
using nutils::DatagramResult;
using nutils::IoResult;
using nutils::NetError;

struct UdpOptions : nutils::DatagramOptions {
    // Receive datagrams that came together as one (nutils::set_coalescing): for those who receive with
    // recv_batch() into rooms of DatagramBatch::kCoalesced bytes only. Where the system cannot, it is
    // ignored.
    bool coalesce = false;
};

// Usage:
//
//   auto socket = EvUdpSocket::bind(loop, SockAddr::any(5353)).value();
//   char buffer[2048];
//   SockAddr from;
//   while (auto got = socket.recv_from(buffer, from, 30s))
//       (void)socket.send_to({buffer, got.bytes}, from, 1s);
//
// A server under load takes many at once; see DatagramBatch:
//
//   DatagramBatch batch(64, DatagramBatch::kCoalesced);
//   while (socket.recv_batch(batch, 30s)) (void)socket.send_batch(batch, 1s);
//
// A datagram arrives whole or not at all, and an empty one is a datagram; there is no end of stream. IPv4,
// IPv6 and unix datagram sockets.
//
// Owner:    a value; closes when destroyed. Movable, not while somebody waits on it.
// Sharing:  one coroutine may receive and another send at the same time; a second one in the same direction
//           gets `busy`. close() may be called by any coroutine of the loop and wakes both with `closed`.
// Thread:   its loop's.
// Cancel:   in a canceled coroutine, calls with a Deadline return `canceled` without moving anything.
// Cost:     per call one syscall when the kernel is ready, and no epoll_ctl ever after the first wait.
class EVC_API EvUdpSocket {
  public:
    // Closed; every call returns `closed`.
    EvUdpSocket();
    // Adopts a datagram socket. Errors: std::bad_alloc (then the descriptor is closed).
    EvUdpSocket(EvLoop& loop, nutils::UniqueFd fd);
    EvUdpSocket(EvUdpSocket&&) noexcept;
    EvUdpSocket& operator=(EvUdpSocket&&) noexcept;
    ~EvUdpSocket();

    // Receives what is sent to `local`; port 0 takes a free one, see local(). A stale socket file is
    // replaced, and ours is removed when this socket closes. Never suspends.
    // Errors: EADDRINUSE, EACCES, … of the call that failed; the message names it and the address.
    [[nodiscard]] static cutils::Result<EvUdpSocket> bind(EvLoop& loop, const nutils::SockAddr& local,
                                                          const UdpOptions& options = {});

    // A socket for talking with `peer` alone, on a free port. Nothing is sent: whether somebody is there
    // shows later, as ECONNREFUSED of a recv or send. Never suspends. (A unix socket has no name then and
    // gets no answers: bind() one and connect that.)
    [[nodiscard]] static cutils::Result<EvUdpSocket> connect(EvLoop& loop, const nutils::SockAddr& peer,
                                                             const UdpOptions& options = {});
    // The same for a socket there is already; again for another peer, SockAddr() for everybody (the system
    // then takes back a port that it has chosen itself).
    [[nodiscard]] std::error_code connect(const nutils::SockAddr& peer);

    // Waits for a datagram, and takes it.
    //
    // Before:   called in a coroutine thread of this socket's loop.
    // Suspends: only when the kernel has none.
    // After:    bytes of it are in `buffer`, 0 for an empty one; `from` says who sent it.
    // Errors:   too_long   it did not fit: bytes is what did, full_size what it was; the rest is lost
    //           timed_out  the deadline passed
    //           canceled   this coroutine was asked to stop; so will be every later wait
    //           busy       another coroutine is already receiving
    //           closed     close() was called, here or elsewhere
    //           ECONNREFUSED  (connected) an earlier datagram found nobody; the socket is still usable
    //           other      the errno of recvmsg(2)
    // Lifetime: buffer must stay valid until the call returns.
    // Cost:     one recvmsg(2) when there is one; no allocation.
    [[nodiscard]] DatagramResult recv_from(std::span<char> buffer, nutils::SockAddr& from, Deadline deadline);
    [[nodiscard]] DatagramResult recv(std::span<char> buffer, Deadline deadline);
    // Takes what is there now; would_block when nothing is. Never suspends.
    [[nodiscard]] DatagramResult try_recv_from(std::span<char> buffer, nutils::SockAddr& from);

    // Sends a datagram to `to`; send: to whom this socket is connected.
    //
    // Suspends: only when the kernel's buffer is full, or, on unix sockets, the receiver's.
    // After:    on success bytes == data.size(). It may still get lost.
    // Errors:   as recv_from; EMSGSIZE when it is too long for the network; EDESTADDRREQ without a target.
    // Cost:     one sendto(2); no allocation.
    [[nodiscard]] IoResult send_to(std::string_view data, const nutils::SockAddr& to, Deadline deadline);
    [[nodiscard]] IoResult send(std::string_view data, Deadline deadline);
    [[nodiscard]] IoResult try_send_to(std::string_view data, const nutils::SockAddr& to);

    // Waits until there is a datagram, then takes as many as there are and the batch has rooms for, instead
    // of what it held.
    //
    // Errors: those of recv_from but too_long: a datagram that did not fit says so itself.
    // Cost:   one recvmmsg(2); no allocation.
    [[nodiscard]] BatchResult recv_batch(DatagramBatch& batch, Deadline deadline);

    // Sends the datagrams of the batch from the `first`-th on, each to its own peer.
    //
    // After:  on success all went. On an error `count` of them did before; the error may belong to the one
    //         behind those: to go on without it, begin at first + count + 1.
    // Errors: those of send_to.
    // Cost:   one sendmmsg(2) for as many as the kernel takes.
    [[nodiscard]] BatchResult send_batch(DatagramBatch& batch, Deadline deadline) {
        return send_batch(batch, 0, deadline);
    }
    [[nodiscard]] BatchResult send_batch(DatagramBatch& batch, std::size_t first, Deadline deadline);

    // Receives what is sent to a multicast address, until leave_group() or close(). On the network interface
    // of that index; 0: the system's choice.
    [[nodiscard]] std::error_code join_group(const nutils::IpAddress& group, unsigned interface = 0);
    [[nodiscard]] std::error_code leave_group(const nutils::IpAddress& group, unsigned interface = 0);

    // Closes; idempotent. Coroutines that wait on it return `closed`, now.
    void close() noexcept;

    [[nodiscard]] bool is_open() const;
    explicit operator bool() const { return is_open(); }
    [[nodiscard]] int fd() const;  // -1 when closed; for nutils/socket_options.h
    // Errors: of getsockname(2), getpeername(2).
    [[nodiscard]] cutils::Result<nutils::SockAddr> local() const;
    [[nodiscard]] cutils::Result<nutils::SockAddr> peer() const;

    // Takes the descriptor out of the loop, still open; a socket file stays. Before: nobody waits on it.
    [[nodiscard]] nutils::UniqueFd release();

  private:
    DatagramResult receive(std::span<char> buffer, nutils::SockAddr* from, Deadline deadline);
    IoResult transmit(std::string_view data, const nutils::SockAddr* to, Deadline deadline);
    std::error_code wait_to_send(const nutils::SockAddr* to, Deadline deadline);

    std::unique_ptr<FdWatch> watch_;
    nutils::SocketFile file_;
    bool segmentation_ = false;  // as far as is known, the kernel takes several datagrams as one
};

}  // namespace evcorothread
