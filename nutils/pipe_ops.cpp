#include "nutils/pipe_ops.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cutils/check.h"
#include "nutils/iovecs.h"
#include "nutils/net_error.h"
#include "nutils/sigpipe_guard.h"

namespace nutils {
namespace {

constexpr std::size_t kMaxPieces = 1024;

// `write_now`, of `count` bytes, as often as a signal interrupts it, and without the SIGPIPE it may raise:
// also when the reader goes away in the middle and the call only says how much went before.
template <class WriteNow>
IoResult write_guarded(std::size_t count, WriteNow&& write_now) noexcept {
    SigpipeGuard guard;
    ssize_t result = -1;
    do result = write_now();
    while (result < 0 && errno == EINTR);
    if (result < static_cast<ssize_t>(count)) guard.consume();
    if (result >= 0) return {static_cast<std::size_t>(result), {}};
    return {0, errno_code(errno)};
}

}  // namespace

cutils::Result<PipeEnds> make_pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) return cutils::Error::from_errno("pipe");
    return PipeEnds{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

IoResult read_some(int fd, std::span<char> buffer) noexcept {
    EVC_CHECK(!buffer.empty(), "read into an empty buffer, which looks like the end of the stream");
    ssize_t result = -1;
    do result = ::read(fd, buffer.data(), buffer.size());
    while (result < 0 && errno == EINTR);
    if (result > 0) return {static_cast<std::size_t>(result), {}};
    if (result == 0) return {0, NetError::eof};
    return {0, errno_code(errno)};
}

IoResult write_some(int fd, std::string_view data) noexcept {
    return write_guarded(data.size(), [&] { return ::write(fd, data.data(), data.size()); });
}

IoResult writev_some(int fd, std::span<const iovec> pieces) noexcept {
    if (pieces.size() > kMaxPieces) pieces = without_empty_front(pieces);
    const auto count = static_cast<int>(std::min(pieces.size(), kMaxPieces));
    return write_guarded(total_size(pieces), [&] { return ::writev(fd, pieces.data(), count); });
}

}  // namespace nutils
