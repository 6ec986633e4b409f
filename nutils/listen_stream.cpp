#include "nutils/listen_stream.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "nutils/address_error_internal.h"
#include "nutils/net_error.h"
#include "nutils/socket_file.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"

namespace nutils {
namespace {

using cutils::Error;
using cutils::Result;
using detail::failed;

std::error_code apply(int fd, const SockAddr& address, const ListenOptions& options) {
    if (address.is_ip()) {
        if (auto error = set_reuse_address(fd, options.reuse_address)) return error;
        // Not asked for, it is not touched: that way a kernel without it does.
        if (options.reuse_port)
            if (auto error = set_reuse_port(fd, true)) return error;
        if (options.defer_accept.count() != 0)
            if (auto error = set_defer_accept(fd, options.defer_accept)) return error;
    }
    // Said either way: the system's default (net.ipv6.bindv6only) must not decide what a server accepts.
    if (address.family() == AF_INET6)
        if (auto error = set_ipv6_only(fd, options.ipv6_only)) return error;
    // Before listen(2): accepted sockets inherit them, and TCP offers its window by them in the first packet.
    if (options.recv_buffer >= 0)
        if (auto error = set_recv_buffer(fd, options.recv_buffer)) return error;
    if (options.send_buffer >= 0)
        if (auto error = set_send_buffer(fd, options.send_buffer)) return error;
    return {};
}

}  // namespace

Result<UniqueFd> listen_stream(const SockAddr& address, const ListenOptions& options) {
    Result<UniqueFd> made = socket_stream(address.family());
    if (!made) return Error(made.error().code(), "socket for " + address.to_string());
    const int fd = made->get();
    if (auto error = apply(fd, address, options)) return Error(error, "options of " + address.to_string());
    if (Result<void> bound = bind_socket(fd, address, options.permissions); !bound) return bound.error();
    if (::listen(fd, options.backlog) == 0) return made;
    return failed(errno, "listen", address);
}

}  // namespace nutils
