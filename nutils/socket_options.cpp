#include "nutils/socket_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "nutils/net_error.h"
#include "nutils/sock_addr.h"

namespace nutils {
namespace {

template <class T>
std::error_code set(int fd, int level, int option, const T& value) noexcept {
    if (::setsockopt(fd, level, option, &value, sizeof value) == 0) return {};
    return errno_code(errno);
}

// Too large for the kernel's int is as good as the largest: both mean "very long". So is any negative number.
template <class Rep, class Period>
int to_int(std::chrono::duration<Rep, Period> value) noexcept {
    constexpr Rep kLargest = std::numeric_limits<int>::max();
    return static_cast<int>(std::clamp<Rep>(value.count(), -1, kLargest));
}

std::error_code change_membership(int fd, int option, const IpAddress& group, unsigned interface) noexcept {
    const SockAddr address = SockAddr::from(group, 0);
    group_req request = {};
    request.gr_interface = interface;
    std::memcpy(&request.gr_group, address.data(), address.size());
    return set(fd, group.is_v4() ? IPPROTO_IP : IPPROTO_IPV6, option, request);
}

}  // namespace

std::error_code set_no_delay(int fd, bool on) noexcept { return set(fd, IPPROTO_TCP, TCP_NODELAY, int{on}); }
std::error_code set_cork(int fd, bool on) noexcept { return set(fd, IPPROTO_TCP, TCP_CORK, int{on}); }

std::error_code set_keep_alive(int fd, const KeepAlive& keep_alive) noexcept {
    // The times first, so that it never runs with the two hours of the default.
    if (auto error = set(fd, IPPROTO_TCP, TCP_KEEPIDLE, to_int(keep_alive.idle))) return error;
    if (auto error = set(fd, IPPROTO_TCP, TCP_KEEPINTVL, to_int(keep_alive.interval))) return error;
    if (auto error = set(fd, IPPROTO_TCP, TCP_KEEPCNT, keep_alive.count)) return error;
    return set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

std::error_code clear_keep_alive(int fd) noexcept { return set(fd, SOL_SOCKET, SO_KEEPALIVE, 0); }

std::error_code set_user_timeout(int fd, std::chrono::milliseconds timeout) noexcept {
    if (timeout.count() < 0) return errno_code(EINVAL);
    return set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, to_int(timeout));
}

std::error_code set_recv_buffer(int fd, int bytes) noexcept { return set(fd, SOL_SOCKET, SO_RCVBUF, bytes); }
std::error_code set_send_buffer(int fd, int bytes) noexcept { return set(fd, SOL_SOCKET, SO_SNDBUF, bytes); }

std::error_code set_reuse_address(int fd, bool on) noexcept {
    return set(fd, SOL_SOCKET, SO_REUSEADDR, int{on});
}
std::error_code set_reuse_port(int fd, bool on) noexcept {
    return set(fd, SOL_SOCKET, SO_REUSEPORT, int{on});
}
std::error_code set_ipv6_only(int fd, bool on) noexcept {
    return set(fd, IPPROTO_IPV6, IPV6_V6ONLY, int{on});
}
std::error_code set_defer_accept(int fd, std::chrono::seconds longest) noexcept {
    if (longest.count() < 0) return errno_code(EINVAL);
    return set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, to_int(longest));
}
std::error_code check_listens(int fd) noexcept {
    int listens = 0;
    socklen_t size = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) return errno_code(errno);
    return listens != 0 ? std::error_code() : errno_code(EINVAL);
}
std::error_code set_broadcast(int fd, bool on) noexcept { return set(fd, SOL_SOCKET, SO_BROADCAST, int{on}); }

std::error_code join_group(int fd, const IpAddress& group, unsigned interface) noexcept {
    return change_membership(fd, MCAST_JOIN_GROUP, group, interface);
}
std::error_code leave_group(int fd, const IpAddress& group, unsigned interface) noexcept {
    return change_membership(fd, MCAST_LEAVE_GROUP, group, interface);
}

std::error_code set_reset_on_close(int fd, bool on) noexcept {
    return set(fd, SOL_SOCKET, SO_LINGER, linger{on ? 1 : 0, 0});
}

std::error_code set_nonblocking(int fd, bool on) noexcept {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0) return errno_code(errno);
    const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (wanted == flags || ::fcntl(fd, F_SETFL, wanted) == 0) return {};
    return errno_code(errno);
}

cutils::Result<PeerCredentials> peer_credentials(int fd) {
    ucred credentials = {};
    socklen_t size = sizeof credentials;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return cutils::Error::from_errno("SO_PEERCRED");
    // What the kernel says of a socket that is not a unix socket, or has no peer. A pid of 0 alone is a peer
    // in a process namespace that we do not see.
    if (credentials.uid == static_cast<uid_t>(-1))
        return cutils::Error(std::make_error_code(std::errc::operation_not_supported), "SO_PEERCRED");
    return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace nutils
