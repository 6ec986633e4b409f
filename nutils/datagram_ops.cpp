#include "nutils/datagram_ops.h"

#include <sys/socket.h>

#include <cerrno>

namespace nutils {

cutils::Result<UniqueFd> socket_datagram(int family) {
    UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) return cutils::Error::from_errno("socket");
    return fd;
}

cutils::Result<UniqueFd> bind_datagram(const SockAddr& address) {
    cutils::Result<UniqueFd> made = socket_datagram(address.family());
    if (!made) return cutils::Error(made.error().code(), "socket for " + address.to_string());
    if (::bind(made->get(), address.data(), address.size()) == 0) return made;
    const std::error_code error = errno_code(errno);
    return cutils::Error(error, "bind " + address.to_string());
}

IoResult recv_from(int fd, std::span<char> buffer, SockAddr* from) noexcept {
    sockaddr_storage address;
    iovec piece = {buffer.data(), buffer.size()};
    msghdr message = {};
    ssize_t result = -1;
    do {
        message.msg_name = from == nullptr ? nullptr : &address;
        message.msg_namelen = from == nullptr ? 0 : sizeof address;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        result = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return {0, errno_code(errno)};
    if (from != nullptr)
        *from = SockAddr::from_sockaddr(reinterpret_cast<const sockaddr*>(&address), message.msg_namelen);
    const bool cut = (message.msg_flags & MSG_TRUNC) != 0;
    return {static_cast<std::size_t>(result), cut ? make_error_code(NetError::too_long) : std::error_code()};
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
