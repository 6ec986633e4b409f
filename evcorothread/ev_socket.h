// EvSocket: a connected stream socket whose calls wait like a blocking socket's, while the loop serves
// others.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "nutils/byte_stream.h"
#include "nutils/connect_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_options.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

struct FdWatch;
using nutils::IoResult;
using nutils::NetError;

// Usage:
//
//   void echo(EvSocket socket) {
//       char buffer[4096];
//       while (auto got = socket.recv(buffer, 3s))
//           if (!socket.send_all({buffer, got.bytes}, 3s)) break;
//   }   // the socket closes here
//
// Owner:    a value, usually a local of the coroutine it belongs to; closes when destroyed. Movable, not
//           while somebody waits on it.
// Sharing:  one coroutine may receive and another send at the same time (full duplex); a second one in the
//           same direction gets `busy`. close() may be called by any coroutine of the loop and wakes both
//           with `closed`.
// Thread:   its loop's.
// Cancel:   in a canceled coroutine, calls with a Deadline return `canceled` without moving anything; the
//           try_ calls go on working.
// Cost:     per call one syscall when the kernel is ready, and no epoll_ctl ever after the first wait.
class EVC_API EvSocket final : public nutils::ByteStream {
  public:
    // Closed; every call returns `closed`.
    EvSocket();
    // Adopts a connected stream socket. Receiving and sending never block even if the descriptor is a
    // blocking one; sendfile_all needs a non-blocking one (nutils::set_nonblocking). Errors: std::bad_alloc
    // (then the descriptor is closed).
    EvSocket(EvLoop& loop, nutils::UniqueFd fd);
    EvSocket(EvSocket&&) noexcept;
    EvSocket& operator=(EvSocket&&) noexcept;
    ~EvSocket() override;

    // Connects to a TCP or unix address.
    //
    // Before:   called in a coroutine thread of `loop`.
    // Suspends: until the peer has answered.
    // Errors:   timed_out  the deadline passed and nobody had answered (errc::timed_out, from the kernel, is
    //                      a network that has given up)
    //           canceled   this coroutine was asked to stop
    //           ECONNREFUSED, ENETUNREACH, EHOSTUNREACH, ENOENT, … of connect(2)
    //           The message names the address, and says what to look at.
    [[nodiscard]] static cutils::Result<EvSocket> connect(EvLoop& loop, const nutils::SockAddr& peer,
                                                          Deadline deadline);
    [[nodiscard]] static cutils::Result<EvSocket> connect(EvLoop& loop, const nutils::SockAddr& peer,
                                                          const nutils::ConnectOptions& options,
                                                          Deadline deadline);
    // The same with a stream socket that there is already, not connected yet: bound, marked, in another
    // network namespace. It is made non-blocking; no option is changed. On an error it is closed.
    [[nodiscard]] static cutils::Result<EvSocket> connect(EvLoop& loop, nutils::UniqueFd fd,
                                                          const nutils::SockAddr& peer, Deadline deadline);

    // Waits until the peer has sent something, then takes what is there.
    //
    // Before:   called in a coroutine thread of this socket's loop; buffer not empty.
    //           Breaking either is a bug in the caller and aborts.
    // Suspends: only when the kernel has nothing to give.
    // After:    on success 1 <= bytes <= buffer.size().
    // Errors:   eof        the peer finished sending; repeats on later calls
    //           timed_out  the deadline (or the idle timeout) passed; the socket is still usable
    //           canceled   this coroutine was asked to stop; so will be every later wait
    //           busy       another coroutine is already receiving
    //           closed     close() was called, here or elsewhere
    //           other      the errno of recv(2); only close() is useful then
    // Lifetime: buffer must stay valid until the call returns.
    // Cost:     one recv(2) when data is ready; no allocation.
    [[nodiscard]] IoResult recv(std::span<char> buffer, Deadline deadline) override;

    // Takes what is there now: would_block when nothing is. Never suspends, and makes no syscall when the
    // kernel has already said that nothing can be there.
    [[nodiscard]] IoResult try_recv(std::span<char> buffer);

    // May try_recv give anything but would_block, as far as is known without asking? False means no, once
    // somebody has waited on this socket, or try_recv has said would_block: only then does the kernel tell.
    [[nodiscard]] bool may_recv() const;

    // Waits until the kernel takes some of `data`, and hands that over; `busy` when another coroutine is
    // sending.
    [[nodiscard]] IoResult send(std::string_view data, Deadline deadline) override;
    [[nodiscard]] IoResult sendv(std::span<const iovec> pieces, Deadline deadline) override;
    // Hands over what the kernel takes now. Never suspends. `flags`: those of send(2).
    [[nodiscard]] IoResult try_send(std::string_view data, int flags = 0);
    [[nodiscard]] IoResult try_sendv(std::span<const iovec> pieces);
    // The same of a file; `offset` moves on. Errors: as nutils::sendfile_some, closed.
    [[nodiscard]] IoResult try_sendfile(int file, off_t& offset, std::size_t count);

    // Sends all; on an error, bytes says how many went before. `flags`: those of send(2), for instance
    // MSG_MORE when more is about to follow.
    [[nodiscard]] IoResult send_all(std::string_view data, Deadline deadline) override;
    [[nodiscard]] IoResult send_all(std::string_view data, int flags, Deadline deadline);
    [[nodiscard]] IoResult send_all_v(std::span<iovec> pieces, Deadline deadline) override;
    [[nodiscard]] IoResult send_all_v(std::span<iovec> pieces, int flags, Deadline deadline);

    // Sends `count` bytes of an open file from `offset` on, without copying them through this process.
    // A file that sendfile(2) does not take (in /proc, some filesystems) is read and sent.
    // Suspends: when the kernel has no room; after each MiB, for others to run.
    // Errors: those of send; eof when the file is shorter than that; ESPIPE for what is no file; bytes says
    //         how many went, so that it can go on at offset + bytes.
    // Cost:   one sendfile(2) and two signal-mask calls whenever the kernel has room, up to 1 MiB each.
    // Note:   a file that is not in the page cache stalls the loop while the disk is read.
    [[nodiscard]] IoResult sendfile_all(int file, off_t offset, std::size_t count, Deadline deadline);

    // Ends our half: the peer reads eof once it has taken what was sent.
    IoResult shutdown_send() override;

    // Closes; idempotent. Coroutines that wait on it return `closed`, now.
    void close() noexcept override;

    // A limit on every wait from now on, besides its own deadline: nothing came, or could go, for that long.
    // Who reads slowly, but reads, is not idle: the kernel's queue for him becomes shorter. Duration::max()
    // turns it off.
    void set_idle_timeout(Duration timeout);

    [[nodiscard]] bool is_open() const;
    explicit operator bool() const { return is_open(); }
    [[nodiscard]] int fd() const;  // -1 when closed; for getsockopt(2) and the like
    // Errors: of getpeername(2), getsockname(2).
    [[nodiscard]] cutils::Result<nutils::SockAddr> peer() const;
    [[nodiscard]] cutils::Result<nutils::SockAddr> local() const;

    // Who is at the other end of a unix socket, as the kernel saw it when the connection was made.
    // Errors: errc::operation_not_supported for any other socket.
    [[nodiscard]] cutils::Result<nutils::PeerCredentials> peer_credentials() const;

    // Takes the descriptor out of the loop, still open. Before: nobody waits on it.
    [[nodiscard]] nutils::UniqueFd release();

    [[nodiscard]] TimePoint now() const override;

    // For the classes of this folder.
    [[nodiscard]] FdWatch* watch() const { return watch_.get(); }

  private:
    explicit EvSocket(std::unique_ptr<FdWatch> watch);

    std::unique_ptr<FdWatch> watch_;
};

}  // namespace evcorothread
