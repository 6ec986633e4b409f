#include "nutils/datagram_ops.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "nutils/socket_file.h"
#include "nutils/socket_options.h"

namespace nutils {

cutils::Result<UniqueFd> socket_datagram(int family) {
    UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return cutils::Error::from_errno("socket");
    return fd;
}

namespace {

std::error_code apply(int fd, int family, const DatagramOptions& options) noexcept {
    std::error_code error;
    if (options.recv_buffer >= 0) error = set_recv_buffer(fd, options.recv_buffer);
    if (!error && options.send_buffer >= 0) error = set_send_buffer(fd, options.send_buffer);
    if (family == AF_UNIX) return error;
    if (!error && options.broadcast) error = set_broadcast(fd, true);
    if (!error && options.reuse_address) error = set_reuse_address(fd, true);
    if (!error && options.reuse_port) error = set_reuse_port(fd, true);
    if (!error && family == AF_INET6) error = set_ipv6_only(fd, options.ipv6_only);
    return error;
}

}  // namespace

cutils::Result<UniqueFd> open_datagram(int family, const DatagramOptions& options) {
    cutils::Result<UniqueFd> made = socket_datagram(family);
    if (!made) return made;
    if (const std::error_code error = apply(made->get(), family, options))
        return cutils::Error(error, "socket options");
    return made;
}

cutils::Result<UniqueFd> bind_datagram(const SockAddr& address, const DatagramOptions& options) {
    cutils::Result<UniqueFd> made = open_datagram(address.family(), options);
    if (!made)
        return cutils::Error(made.error().code(), made.error().context() + " for " + address.to_string());
    if (cutils::Result<void> bound = bind_socket(made->get(), address, options.permissions); !bound)
        return bound.error();
    return made;
}

namespace {

SockAddr local_address(int fd) noexcept { return SockAddr::local_of(fd).value_or(SockAddr()); }

// The kernel takes a port that it has chosen itself back when the connection ends; the socket would be deaf.
std::error_code keep_port(int fd, const SockAddr& before) noexcept {
    if (!before.is_ip() || before.port() == 0) return {};
    const SockAddr now = local_address(fd);
    if (!now.is_ip() || now.port() != 0) return {};
    const SockAddr again = SockAddr::from(now.ip(), before.port());
    return ::bind(fd, again.data(), again.size()) == 0 ? std::error_code() : errno_code(errno);
}

}  // namespace

std::error_code connect_datagram(int fd, const SockAddr& peer) noexcept {
    const SockAddr before = peer.is_none() ? local_address(fd) : SockAddr();
    int result = -1;
    do result = ::connect(fd, peer.data(), peer.size());
    while (result != 0 && errno == EINTR);
    return result == 0 ? keep_port(fd, before) : errno_code(errno);
}

DatagramResult recv_from(int fd, std::span<char> buffer, SockAddr* from) noexcept {
    sockaddr_storage address;
    iovec piece = {buffer.data(), buffer.size()};
    msghdr message = {};
    ssize_t result = -1;
    do {
        message.msg_name = from == nullptr ? nullptr : &address;
        message.msg_namelen = from == nullptr ? 0 : sizeof address;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        // MSG_TRUNC: tell the datagram's own size, not that of the part that fits.
        result = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return {{0, errno_code(errno)}, 0};
    if (from != nullptr)
        *from = SockAddr::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), message.msg_namelen);
    const auto full_size = static_cast<std::size_t>(result);
    if (full_size <= buffer.size()) return {{full_size, {}}, full_size};
    return {{buffer.size(), NetError::too_long}, full_size};
}

IoResult send_to(int fd, std::string_view data, const SockAddr* to) noexcept {
    const sockaddr* const address = to == nullptr ? nullptr : to->data();
    const socklen_t size = to == nullptr ? 0 : to->size();
    ssize_t result = -1;
    do result = ::sendto(fd, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address, size);
    while (result < 0 && errno == EINTR);
    if (result < 0) return {0, errno_code(errno)};
    return {static_cast<std::size_t>(result), {}};
}

}  // namespace nutils
