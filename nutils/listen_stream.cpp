#include "nutils/listen_stream.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "nutils/net_error.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"

namespace nutils {
namespace {

using cutils::Error;
using cutils::Result;

// Takes errno as it was: making the words may change it.
Error failed(int number, const char* call, const SockAddr& address) {
    return {errno_code(number), call + (" " + address.to_string())};
}

Error in_use(const std::string& why) { return {std::make_error_code(std::errc::address_in_use), why}; }

std::error_code set_flag(int fd, int level, int option, bool on) {
    const int value = on;
    if (::setsockopt(fd, level, option, &value, sizeof value) == 0) return {};
    return errno_code(errno);
}

std::error_code apply(int fd, const SockAddr& address, const ListenOptions& options) {
    if (address.is_ip()) {
        if (auto error = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, options.reuse_address)) return error;
        // Not asked for, it is not touched: that way a kernel without it does.
        if (options.reuse_port)
            if (auto error = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, true)) return error;
    }
    // Said either way: the system's default (net.ipv6.bindv6only) must not decide what a server accepts.
    if (address.family() == AF_INET6)
        if (auto error = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, options.ipv6_only)) return error;
    // Before listen(2): accepted sockets inherit them, and TCP offers its window by them in the first packet.
    if (options.recv_buffer >= 0)
        if (auto error = set_recv_buffer(fd, options.recv_buffer)) return error;
    if (options.send_buffer >= 0)
        if (auto error = set_send_buffer(fd, options.send_buffer)) return error;
    return {};
}

// Removes the socket file that nobody accepts on any more; refuses to remove anything else.
Result<void> remove_stale_socket(const SockAddr& address) {
    const std::string path(address.path());
    struct stat before = {};
    if (::lstat(path.c_str(), &before) != 0) {
        if (errno == ENOENT) return {};  // gone meanwhile: bind(2) may try again
        return failed(errno, "lstat", address);
    }
    if (!S_ISSOCK(before.st_mode)) return in_use("a file that is not a socket is at " + path);
    Result<UniqueFd> probe = socket_stream(AF_UNIX);
    if (!probe) return probe.error();
    // Only "connection refused" proves that nobody listens. A full queue, a missing permission or a datagram
    // socket prove that somebody may.
    if (connect_start(probe->get(), address) != std::errc::connection_refused)
        return in_use("somebody is listening at " + path);
    struct stat after = {};
    if (::lstat(path.c_str(), &after) != 0 || after.st_ino != before.st_ino || after.st_dev != before.st_dev)
        return in_use("somebody has just begun to use " + path);
    if (::unlink(path.c_str()) != 0) return failed(errno, "unlink", address);
    return {};
}

Result<void> bind_to(int fd, const SockAddr& address) {
    if (::bind(fd, address.data(), address.size()) == 0) return {};
    const Error refused = failed(errno, "bind", address);
    const bool file_in_the_way =
        refused == std::errc::address_in_use && address.is_unix() && !address.is_abstract();
    if (!file_in_the_way) return refused;
    Result<void> removed = remove_stale_socket(address);
    if (!removed) return removed;
    if (::bind(fd, address.data(), address.size()) == 0) return {};
    return failed(errno, "bind", address);
}

}  // namespace

Result<UniqueFd> listen_stream(const SockAddr& address, const ListenOptions& options) {
    Result<UniqueFd> made = socket_stream(address.family());
    if (!made) return Error(made.error().code(), "socket for " + address.to_string());
    const int fd = made->get();
    if (auto error = apply(fd, address, options)) return Error(error, "options of " + address.to_string());
    if (Result<void> bound = bind_to(fd, address); !bound) return bound.error();
    if (::listen(fd, options.backlog) == 0) return made;
    return failed(errno, "listen", address);
}

}  // namespace nutils
