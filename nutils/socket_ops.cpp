#include "nutils/socket_ops.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include <cerrno>

#include "cutils/check.h"
#include "nutils/sigpipe_guard.h"

namespace nutils {
namespace {

constexpr int kNewSocket = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

// What a failed transfer returns, once EINTR is out of the way.
IoResult failure() noexcept { return {0, errno_code(errno)}; }

IoResult success(ssize_t bytes) noexcept { return {static_cast<std::size_t>(bytes), {}}; }

bool interrupted(ssize_t result) noexcept { return result < 0 && errno == EINTR; }

std::error_code outcome(int result) noexcept { return result == 0 ? std::error_code() : errno_code(errno); }

bool all_empty(std::span<const iovec> buffers) noexcept {
    for (const iovec& buffer : buffers)
        if (buffer.iov_len > 0) return false;
    return true;
}

}  // namespace

namespace detail {

IoResult recv_again(int fd, std::span<char> buffer, int flags, ssize_t result) noexcept {
    EVC_CHECK(!buffer.empty(), "recv into an empty buffer, which looks like the end of the stream");
    while (interrupted(result)) result = ::recv(fd, buffer.data(), buffer.size(), flags | MSG_DONTWAIT);
    if (result > 0) return success(result);
    if (result == 0) return {0, NetError::eof};
    return failure();
}

IoResult send_again(int fd, std::string_view data, int flags, ssize_t result) noexcept {
    while (interrupted(result))
        result = ::send(fd, data.data(), data.size(), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return result >= 0 ? success(result) : failure();
}

IoResult sendv_again(int fd, const msghdr& message, int flags, ssize_t result) noexcept {
    while (interrupted(result)) result = ::sendmsg(fd, &message, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    return result >= 0 ? success(result) : failure();
}

}  // namespace detail

std::size_t unsent_bytes(int fd) noexcept {
    int bytes = 0;
    return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

IoResult recvv_some(int fd, std::span<const iovec> buffers) noexcept {
    if (buffers.size() > detail::kMaxPieces) buffers = without_empty_front(buffers);
    msghdr message = {};
    message.msg_iov = const_cast<iovec*>(buffers.data());  // recvmsg(2) writes through it, not to it
    message.msg_iovlen = buffers.size() < detail::kMaxPieces ? buffers.size() : detail::kMaxPieces;
    ssize_t result = -1;
    do result = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (interrupted(result));
    if (result > 0) return success(result);
    if (result < 0) return failure();
    EVC_CHECK(!all_empty(buffers), "recv into empty buffers, which looks like the end of the stream");
    return {0, NetError::eof};
}

IoResult sendfile_some(int out, int in, off_t& offset, std::size_t count) noexcept {
    SigpipeGuard guard;
    ssize_t result = -1;
    do result = ::sendfile(out, in, &offset, count);
    while (interrupted(result));
    // A peer that goes away in the middle raises SIGPIPE, too, although the call says how much went before.
    if (result < static_cast<ssize_t>(count)) guard.consume();
    if (result > 0 || count == 0) return success(result > 0 ? result : 0);
    if (result == 0) return {0, NetError::eof};
    return failure();
}

IoResult read_at(int file, std::span<char> buffer, off_t offset) noexcept {
    ssize_t result = -1;
    do result = ::pread(file, buffer.data(), buffer.size(), offset);
    while (interrupted(result));
    if (result > 0) return success(result);
    if (result < 0) return failure();
    EVC_CHECK(!buffer.empty(), "read into an empty buffer, which looks like the end of the file");
    return {0, NetError::eof};
}

cutils::Result<UniqueFd> socket_stream(int family) {
    UniqueFd fd(::socket(family, kNewSocket, 0));
    if (!fd) return cutils::Error::from_errno("socket");
    return fd;
}

cutils::Result<std::pair<UniqueFd, UniqueFd>> stream_pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, kNewSocket, 0, fds) != 0) return cutils::Error::from_errno("socketpair");
    return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

std::error_code connect_start(int fd, const SockAddr& peer) noexcept {
    if (::connect(fd, peer.data(), peer.size()) == 0) return {};
    // Interrupted means that it goes on without us; a second connect(2) would say EALREADY.
    if (errno == EINPROGRESS || errno == EINTR || errno == EALREADY) return NetError::in_progress;
    return errno_code(errno);
}

std::error_code connect_result(int fd) noexcept {
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno_code(errno);
    if (error != 0) return errno_code(error);
    // No error is also what a socket says that has not finished.
    sockaddr_storage peer;
    size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0) return {};
    return errno == ENOTCONN ? make_error_code(NetError::in_progress) : errno_code(errno);
}

AcceptOutcome accept_outcome(const std::error_code& error) noexcept {
    switch (to_errno(error)) {
        case 0: return AcceptOutcome::accepted;
        case EAGAIN: return AcceptOutcome::empty;
        // accept(2) hands out what the network said about the new connection; that is not the listener's
        // fault.
        case ECONNABORTED:
        case ECONNRESET:
        case EPERM:  // a firewall rule
        case EPROTO:
        case ENOPROTOOPT:
        case ENETDOWN:
        case ENETUNREACH:
        case ENONET:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ETIMEDOUT: return AcceptOutcome::lost;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return AcceptOutcome::exhausted;
        default: return AcceptOutcome::broken;
    }
}

Accepted accept_one(int listener, SockAddr* peer) noexcept {
    sockaddr_storage address;
    socklen_t size = sizeof address;
    sockaddr* const wanted = peer == nullptr ? nullptr : reinterpret_cast<sockaddr*>(&address);
    int fd = -1;
    do {
        size = sizeof address;
        fd = ::accept4(listener, wanted, peer == nullptr ? nullptr : &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (interrupted(fd));
    if (fd < 0) return {UniqueFd(), errno_code(errno)};
    if (peer != nullptr) *peer = SockAddr::from_sockaddr(wanted, size);
    return {UniqueFd(fd), {}};
}

std::error_code shutdown_send(int fd) noexcept { return outcome(::shutdown(fd, SHUT_WR)); }
std::error_code shutdown_both(int fd) noexcept { return outcome(::shutdown(fd, SHUT_RDWR)); }

}  // namespace nutils
