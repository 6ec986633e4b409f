#include "nutils/connect_stream.h"

#include <netinet/in.h>

#include <cerrno>
#include <string>

#include "nutils/net_error.h"
#include "nutils/socket_ops.h"

namespace nutils {
namespace {

std::error_code apply(int fd, const SockAddr& peer, const ConnectOptions& options) noexcept {
    std::error_code error;
    if (options.recv_buffer >= 0) error = set_recv_buffer(fd, options.recv_buffer);
    if (!error && options.send_buffer >= 0) error = set_send_buffer(fd, options.send_buffer);
    if (!peer.is_ip()) return error;
    if (options.no_delay) (void)set_no_delay(fd, true);  // a connection without it is still one
    if (!error && options.keep_alive) error = set_keep_alive(fd, *options.keep_alive);
    if (!error && options.user_timeout.count() != 0) error = set_user_timeout(fd, options.user_timeout);
    return error;
}

std::error_code bind_local(int fd, const SockAddr& local) noexcept {
    if (local.is_ip()) {
        // The port is chosen when the peer is known, so it need be unique for that peer only. Without it
        // (an old kernel) ports run out earlier.
        const int on = 1;
        if (local.port() == 0) (void)::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (const std::error_code error = set_reuse_address(fd, true)) return error;
    }
    return ::bind(fd, local.data(), local.size()) == 0 ? std::error_code() : errno_code(errno);
}

const char* advice(const std::error_code& code) noexcept {
    if (code == NetError::timed_out)
        return "no answer within the deadline: is the host up, or a firewall between?";
    switch (to_errno(code)) {
        case ECONNREFUSED: return "nobody listens there: is the server running?";
        case ENETUNREACH: return "no route to that network: is this machine connected?";
        case EHOSTUNREACH: return "the host cannot be reached: is the address right, the host up?";
        case ETIMEDOUT: return "the network gave up: is the host up, or a firewall between?";
        case ENOENT: return "no such socket file: is the server running?";
        case EACCES:
        case EPERM: return "not allowed: the permissions of the socket file, or a firewall's rule";
        case EADDRNOTAVAIL: return "no free local port or no such local address";
        case EPROTOTYPE: return "a socket of another kind";
        default: return nullptr;
    }
}

}  // namespace

cutils::Result<UniqueFd> open_stream(const SockAddr& peer, const ConnectOptions& options) {
    cutils::Result<UniqueFd> fd = socket_stream(peer.family());
    if (!fd) return cutils::Error(fd.error().code(), "socket to connect to " + peer.to_string());
    if (const std::error_code error = apply(fd->get(), peer, options))
        return cutils::Error(error, "options of a socket to connect to " + peer.to_string());
    if (options.local.is_none()) return fd;
    if (const std::error_code error = bind_local(fd->get(), options.local))
        return cutils::Error(error,
                             "bind " + options.local.to_string() + " to connect to " + peer.to_string());
    return fd;
}

cutils::Error connect_error(const std::error_code& code, const SockAddr& peer) {
    std::string context = "connect to " + peer.to_string();
    if (const char* const what_to_do = advice(code)) context.append(" (").append(what_to_do).append(")");
    return {code, context};
}

}  // namespace nutils
