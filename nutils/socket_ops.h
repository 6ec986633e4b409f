// The socket system calls as they should have been: what can go wrong is a value, and the traps are closed.
//
//   * EINTR never comes out; EAGAIN is NetError::would_block; the end of a stream is NetError::eof.
//   * Nothing ever waits: every transfer carries MSG_DONTWAIT, so even a descriptor that somebody else made
//     blocking, or shares with another process, does not stall the caller (sendfile_some is the exception).
//   * Every new descriptor is close-on-exec and non-blocking, without a moment in between.
//   * No call raises SIGPIPE, and none touches the process's signal dispositions.
//
// Any thread. The descriptors stay the caller's. Listening sockets: nutils/listen_stream.h; options:
// nutils/socket_options.h; datagrams: nutils/datagram_ops.h.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/io_result.h"
#include "nutils/iovecs.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

namespace nutils {

// ---- transfers on a connected stream ----

namespace detail {
// What to do when the first try did not succeed; `result` is what it returned.
EVC_API IoResult recv_again(int fd, std::span<char> buffer, int flags, ssize_t result) noexcept;
EVC_API IoResult send_again(int fd, std::string_view data, int flags, ssize_t result) noexcept;
EVC_API IoResult sendv_again(int fd, const msghdr& message, int flags, ssize_t result) noexcept;
// More pieces than the kernel takes at once are left for the next call.
inline constexpr std::size_t kMaxPieces = 1024;
}  // namespace detail

// Takes what is there, up to the size of the buffer.
//
// Before: buffer not empty (an empty one would look like the end of the stream, and aborts).
// After:  on success 1 <= bytes <= buffer.size(), and error is not set.
// Errors: would_block, eof, or the errno of recv(2). `flags`: those of recv(2), for instance MSG_PEEK.
// Cost:   one recv(2); no allocation.
[[nodiscard]] inline IoResult recv_some(int fd, std::span<char> buffer, int flags = 0) noexcept {
    const ssize_t result = ::recv(fd, buffer.data(), buffer.size(), flags | MSG_DONTWAIT);
    if (result > 0) [[likely]]
        return {static_cast<std::size_t>(result), {}};
    return detail::recv_again(fd, buffer, flags, result);
}

// Hands over as much of `data` as the kernel takes now.
//
// After:  on success bytes <= data.size(), and 0 only when data is empty.
// Errors: would_block (nothing was taken), or the errno of send(2): EPIPE and ECONNRESET when the peer is
//         gone. `flags`: those of send(2), for instance MSG_MORE.
// Cost:   one send(2); no allocation.
[[nodiscard]] inline IoResult send_some(int fd, std::string_view data, int flags = 0) noexcept {
    const ssize_t result = ::send(fd, data.data(), data.size(), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result >= 0) [[likely]]
        return {static_cast<std::size_t>(result), {}};
    return detail::send_again(fd, data, flags, result);
}

// What the kernel still has of what was sent: bytes that the peer's has not acknowledged. It has taken some
// when this is less than it was. 0 where nobody knows. Cost: one ioctl(2), SIOCOUTQ in tcp(7).
[[nodiscard]] EVC_API std::size_t unsent_bytes(int fd) noexcept;

// The same as send_some() for several pieces in one call; at most 1024 of them are looked at, from the first
// on that is not empty.
[[nodiscard]] inline IoResult sendv_some(int fd, std::span<const iovec> pieces, int flags = 0) noexcept {
    if (pieces.size() > detail::kMaxPieces) [[unlikely]]
        pieces = without_empty_front(pieces);
    msghdr message = {};
    message.msg_iov = const_cast<iovec*>(pieces.data());  // sendmsg(2) does not write to it
    message.msg_iovlen = pieces.size() < detail::kMaxPieces ? pieces.size() : detail::kMaxPieces;
    const ssize_t result = ::sendmsg(fd, &message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (result >= 0) [[likely]]
        return {static_cast<std::size_t>(result), {}};
    return detail::sendv_again(fd, message, flags, result);
}

// Takes what is there into several buffers, filled one after the other; at most 1024 of them are looked at.
// Before: not all of them empty.
[[nodiscard]] EVC_API IoResult recvv_some(int fd, std::span<const iovec> buffers) noexcept;

// Sends up to `count` bytes of the file `in`, from `offset` on, without copying them through this process.
//
// Before: `out` is non-blocking; there is no MSG_DONTWAIT for it. The disk may still make it wait.
// After:  offset is moved forward by `bytes`.
// Errors: would_block; eof when the file ends at or before offset; the errno of sendfile(2), EINVAL for a
//         file that cannot be sent this way (then read it and use send_some).
// Cost:   one sendfile(2), and two signal-mask calls: sendfile has no MSG_NOSIGNAL.
[[nodiscard]] EVC_API IoResult sendfile_some(int out, int in, off_t& offset, std::size_t count) noexcept;

// Reads what is at `offset` of a file; the file's own position stays.
// Before: buffer not empty (as recv_some). The disk may make it wait.
// Errors: eof when the file ends at or before offset; the errno of pread(2).
[[nodiscard]] EVC_API IoResult read_at(int file, std::span<char> buffer, off_t offset) noexcept;

// ---- making streams ----

// An unconnected stream socket. `family`: AF_INET, AF_INET6 or AF_UNIX.
// Errors: the errno of socket(2).
[[nodiscard]] EVC_API cutils::Result<UniqueFd> socket_stream(int family);

// Two unix stream sockets connected to each other.
// Errors: the errno of socketpair(2).
[[nodiscard]] EVC_API cutils::Result<std::pair<UniqueFd, UniqueFd>> stream_pair();

// Begins to connect; never waits.
//
// After:  no error: connected. in_progress: wait until the socket is writable, then ask connect_result().
// Errors: in_progress; the errno of connect(2). would_block, from a unix socket: its listener's queue is full
//         and nothing was begun; try again later.
[[nodiscard]] EVC_API std::error_code connect_start(int fd, const SockAddr& peer) noexcept;

// How it ended, once the socket has become writable after connect_start() said in_progress.
// Errors: in_progress when it has not ended yet (a spurious wake-up: wait on); the errno of the failed
//         connect.
[[nodiscard]] EVC_API std::error_code connect_result(int fd) noexcept;

// ---- accepting ----

// What an acceptor has to tell apart.
enum class AcceptOutcome {
    accepted,   // there is a connection: go on accepting
    empty,      // nobody is waiting (would_block): wait until the listener is readable
    lost,       // one connection died in the queue (ECONNABORTED and the like): go on accepting
    exhausted,  // no descriptor or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM): still readable, so back off
    broken,     // the listener itself is unusable (EBADF, EINVAL, …): give up
};

[[nodiscard]] EVC_API AcceptOutcome accept_outcome(const std::error_code& error) noexcept;

// A new connection, or why there is none.
struct [[nodiscard]] Accepted {
    UniqueFd fd;
    std::error_code error;

    explicit operator bool() const noexcept { return !error; }
    [[nodiscard]] AcceptOutcome outcome() const noexcept { return accept_outcome(error); }
};

// Takes one waiting connection; never waits.
//
//   SockAddr peer;
//   while (Accepted connection = accept_one(listener.get(), &peer)) start(std::move(connection.fd), peer);
//
// After:  on success fd is set, and so is *peer when asked for.
// Errors: would_block, or the errno of accept(2).
// Cost:   one accept4(2); no allocation.
[[nodiscard]] EVC_API Accepted accept_one(int listener, SockAddr* peer = nullptr) noexcept;

// ---- ending streams ----

// Ends our half: the peer reads eof once it has taken what was sent. We can still receive.
// Errors: ENOTCONN when the peer is already gone.
EVC_API std::error_code shutdown_send(int fd) noexcept;

// Ends both halves at once; whoever waits on the descriptor, in any process that shares it, wakes up.
EVC_API std::error_code shutdown_both(int fd) noexcept;

}  // namespace nutils
