#include "nutils/splice_ops.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "nutils/sigpipe_guard.h"

namespace nutils {
namespace {

ssize_t splice_now(int from, int to, std::size_t count) noexcept {
    ssize_t result = -1;
    do result = ::splice(from, nullptr, to, nullptr, count, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (result < 0 && errno == EINTR);
    return result;
}

}  // namespace

cutils::Result<PipeEnds> make_splice_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return cutils::Error::from_errno("pipe2");
    return PipeEnds{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

IoResult splice_in(int socket, const PipeEnds& pipe, std::size_t count) noexcept {
    const ssize_t result = splice_now(socket, pipe.writing.get(), count);
    if (result > 0) return {static_cast<std::size_t>(result), {}};
    if (result == 0) return {0, NetError::eof};
    return {0, errno_code(errno)};
}

IoResult splice_out(const PipeEnds& pipe, int socket, std::size_t count) noexcept {
    SigpipeGuard guard;
    const ssize_t result = splice_now(pipe.reading.get(), socket, count);
    // A peer that goes away in the middle raises SIGPIPE, too, although the call says how much went before.
    if (result < static_cast<ssize_t>(count)) guard.consume();
    if (result >= 0) return {static_cast<std::size_t>(result), {}};
    return {0, errno_code(errno)};
}

}  // namespace nutils
