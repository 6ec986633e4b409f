#include "nutils/socket_file.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "nutils/address_error_internal.h"
#include "nutils/net_error.h"
#include "nutils/socket_ops.h"

namespace nutils {
namespace {

using cutils::Error;
using cutils::Result;
using detail::failed;

Error in_use(const std::string& why) { return {std::make_error_code(std::errc::address_in_use), why}; }

bool has_file(const SockAddr& address) noexcept {
    return address.is_unix() && !address.is_abstract() && !address.path().empty();
}

// A SockAddr keeps a zero behind the path, but for a path that fills it; this has one always.
struct Path {
    explicit Path(const SockAddr& address) noexcept {
        text[address.path().copy(text, sizeof text - 1)] = '\0';
    }
    char text[sizeof(sockaddr_un::sun_path) + 1];
};

// Only "connection refused" proves that nobody listens. A full queue, a missing permission or a socket of
// another kind prove that somebody may.
bool refused(const SockAddr& address, const UniqueFd& probe) noexcept {
    return connect_start(probe.get(), address) == std::errc::connection_refused;
}

// Removes the socket file that nobody accepts on any more; refuses to remove anything else.
Result<void> remove_stale_socket(const SockAddr& address) {
    const Path path(address);
    struct stat before = {};
    if (::lstat(path.text, &before) != 0) {
        if (errno == ENOENT) return {};  // gone meanwhile: bind(2) may try again
        return failed(errno, "lstat", address);
    }
    if (!S_ISSOCK(before.st_mode))
        return in_use(std::string("a file that is not a socket is at ") + path.text +
                      ": move it, or listen elsewhere");
    Result<UniqueFd> probe = socket_stream(AF_UNIX);
    if (!probe) return probe.error();
    if (!refused(address, *probe))
        return in_use(std::string("somebody is listening at ") + path.text +
                      ": stop that server, or listen elsewhere");
    struct stat after = {};
    if (::lstat(path.text, &after) != 0 || after.st_ino != before.st_ino || after.st_dev != before.st_dev)
        return in_use(std::string("somebody has just begun to use ") + path.text);
    if (::unlink(path.text) != 0) return failed(errno, "unlink", address);
    return {};
}

// The mode a socket has when it is bound is its file's, less the umask: so it is never wider than asked for.
// Then what the umask took away is given back.
Result<void> bind_with(int fd, const SockAddr& address, int permissions) {
    const bool modes = permissions >= 0 && has_file(address);
    const auto mode = static_cast<mode_t>(permissions);
    if (modes && ::fchmod(fd, mode) != 0) return failed(errno, "fchmod", address);
    if (::bind(fd, address.data(), address.size()) != 0) return failed(errno, "bind", address);
    if (!modes || ::chmod(Path(address).text, mode) == 0) return {};
    const int error = errno;
    ::unlink(Path(address).text);
    return failed(error, "chmod", address);
}

}  // namespace

Result<void> bind_socket(int fd, const SockAddr& address, int permissions) {
    Result<void> bound = bind_with(fd, address, permissions);
    if (bound || !has_file(address) || !(bound.error() == std::errc::address_in_use)) return bound;
    if (Result<void> removed = remove_stale_socket(address); !removed) return removed;
    return bind_with(fd, address, permissions);
}

SocketFile SocketFile::of(const SockAddr& bound) {
    SocketFile file;
    struct stat status = {};
    if (!has_file(bound) || ::lstat(Path(bound).text, &status) != 0 || !S_ISSOCK(status.st_mode)) return file;
    file.address_ = bound;
    file.device_ = status.st_dev;
    file.inode_ = status.st_ino;
    return file;
}

void SocketFile::remove() noexcept {
    if (empty()) return;
    const SockAddr address = address_;
    address_ = SockAddr();
    const Path path(address);
    struct stat now = {};
    if (::lstat(path.text, &now) != 0 || !S_ISSOCK(now.st_mode)) return;
    if (now.st_dev != device_ || now.st_ino != inode_) return;
    // A new file may have got the old one's number, and a descriptor of ours may live on in a successor.
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (probe && refused(address, probe)) ::unlink(path.text);
}

}  // namespace nutils
