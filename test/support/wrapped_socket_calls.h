// The stand-ins of all calls that test/nutils/wrap.txt names; see test/support/fault_injection.h.
//
// Include it in exactly one file of a test program, and name the same calls in that program's wrap.txt.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <array>
#include <cstdarg>
#include <cstddef>

#include "test/support/fault_injection.h"

namespace test_support {

// A copy of `message` whose pieces hold at most `limit` bytes together. Lifetime: that of `pieces` and
// `message`.
inline msghdr cut_message(const msghdr& message, std::size_t limit, std::array<iovec, 1024>& pieces) {
    msghdr copy = message;
    copy.msg_iov = pieces.data();
    copy.msg_iovlen = 0;
    for (std::size_t i = 0; i < message.msg_iovlen && i < pieces.size() && limit > 0; ++i) {
        iovec& piece = pieces[copy.msg_iovlen++];
        piece = message.msg_iov[i];
        if (piece.iov_len > limit) piece.iov_len = limit;
        limit -= piece.iov_len;
    }
    return copy;
}

}  // namespace test_support

// Making and ending.
TEST_SUPPORT_WRAP(int, socket, (int family, int type, int protocol), (family, type, protocol))
TEST_SUPPORT_WRAP(int, socketpair, (int family, int type, int protocol, int* fds),
                  (family, type, protocol, fds))
TEST_SUPPORT_WRAP(int, bind, (int fd, const sockaddr* address, socklen_t size), (fd, address, size))
TEST_SUPPORT_WRAP(int, listen, (int fd, int backlog), (fd, backlog))
TEST_SUPPORT_WRAP(int, connect, (int fd, const sockaddr* address, socklen_t size), (fd, address, size))
TEST_SUPPORT_WRAP(int, accept4, (int fd, sockaddr* address, socklen_t* size, int flags),
                  (fd, address, size, flags))
TEST_SUPPORT_WRAP(int, shutdown, (int fd, int how), (fd, how))
TEST_SUPPORT_WRAP(int, unlink, (const char* path), (path))
TEST_SUPPORT_WRAP(int, chmod, (const char* path, mode_t mode), (path, mode))
TEST_SUPPORT_WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
TEST_SUPPORT_WRAP(int, pipe2, (int* fds, int flags), (fds, flags))

// A close that reports an error has closed all the same.
extern "C" int __real_close(int fd);
extern "C" int __wrap_close(int fd);
static ::test_support::FaultSite fault_site_close("close");
int __wrap_close(int fd) {
    const auto fault = fault_site_close.enter();
    const int result = __real_close(fd);
    return fault ? static_cast<int>(fault->take()) : result;
}

// Asking and setting.
TEST_SUPPORT_WRAP(int, getsockname, (int fd, sockaddr* address, socklen_t* size), (fd, address, size))
TEST_SUPPORT_WRAP(int, getpeername, (int fd, sockaddr* address, socklen_t* size), (fd, address, size))
TEST_SUPPORT_WRAP(int, getsockopt, (int fd, int level, int option, void* value, socklen_t* size),
                  (fd, level, option, value, size))
TEST_SUPPORT_WRAP(int, setsockopt, (int fd, int level, int option, const void* value, socklen_t size),
                  (fd, level, option, value, size))
TEST_SUPPORT_WRAP(int, poll, (pollfd * fds, nfds_t count, int timeout), (fds, count, timeout))

extern "C" int __real_fcntl(int fd, int command, ...);
extern "C" int __wrap_fcntl(int fd, int command, ...);
static ::test_support::FaultSite fault_site_fcntl("fcntl");
int __wrap_fcntl(int fd, int command, ...) {
    if (const auto fault = fault_site_fcntl.enter()) return static_cast<int>(fault->take());
    std::va_list arguments;
    va_start(arguments, command);
    void* const argument = va_arg(arguments, void*);  // as libc does: a word, whatever it means
    va_end(arguments);
    return __real_fcntl(fd, command, argument);
}

// Transfers.
TEST_SUPPORT_WRAP_SIZED(ssize_t, recv, (int fd, void* buffer, size_t size, int flags), size,
                        (fd, buffer, size, flags))
TEST_SUPPORT_WRAP_SIZED(ssize_t, send, (int fd, const void* data, size_t size, int flags), size,
                        (fd, data, size, flags))
TEST_SUPPORT_WRAP_SIZED(ssize_t, read, (int fd, void* buffer, size_t size), size, (fd, buffer, size))
TEST_SUPPORT_WRAP_SIZED(ssize_t, write, (int fd, const void* data, size_t size), size, (fd, data, size))
TEST_SUPPORT_WRAP_SIZED(ssize_t, sendfile, (int out, int in, off_t* offset, size_t size), size,
                        (out, in, offset, size))
TEST_SUPPORT_WRAP_SIZED(ssize_t, pread, (int fd, void* buffer, size_t size, off_t offset), size,
                        (fd, buffer, size, offset))
TEST_SUPPORT_WRAP_SIZED(ssize_t, splice,
                        (int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
                         unsigned int flags),
                        size, (from, from_offset, to, to_offset, size, flags))
TEST_SUPPORT_WRAP_SIZED(int, recvmmsg,
                        (int fd, mmsghdr* messages, unsigned int count, int flags, timespec* timeout), count,
                        (fd, messages, static_cast<unsigned int>(count), flags, timeout))
TEST_SUPPORT_WRAP_SIZED(int, sendmmsg, (int fd, mmsghdr* messages, unsigned int count, int flags), count,
                        (fd, messages, static_cast<unsigned int>(count), flags))
TEST_SUPPORT_WRAP(ssize_t, sendto,
                  (int fd, const void* data, size_t size, int flags, const sockaddr* to, socklen_t to_size),
                  (fd, data, size, flags, to, to_size))

extern "C" ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
extern "C" ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags);
static ::test_support::FaultSite fault_site_sendmsg("sendmsg");
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
    if (const auto fault = fault_site_sendmsg.enter()) return static_cast<ssize_t>(fault->take());
    const std::size_t limit = fault_site_sendmsg.limited(~std::size_t{0});
    if (limit == ~std::size_t{0}) return __real_sendmsg(fd, message, flags);
    std::array<iovec, 1024> pieces;
    const msghdr cut = ::test_support::cut_message(*message, limit, pieces);
    return __real_sendmsg(fd, &cut, flags);
}

extern "C" ssize_t __real_recvmsg(int fd, msghdr* message, int flags);
extern "C" ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags);
static ::test_support::FaultSite fault_site_recvmsg("recvmsg");
ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags) {
    if (const auto fault = fault_site_recvmsg.enter()) return static_cast<ssize_t>(fault->take());
    const std::size_t limit = fault_site_recvmsg.limited(~std::size_t{0});
    if (limit == ~std::size_t{0}) return __real_recvmsg(fd, message, flags);
    std::array<iovec, 1024> pieces;
    msghdr cut = ::test_support::cut_message(*message, limit, pieces);
    const ssize_t result = __real_recvmsg(fd, &cut, flags);
    message->msg_flags = cut.msg_flags;
    message->msg_namelen = cut.msg_namelen;
    message->msg_controllen = cut.msg_controllen;
    return result;
}
