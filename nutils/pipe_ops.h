// The system calls on pipes, terminals and other descriptors that are no sockets, with the traps closed as in
// nutils/socket_ops.h: EINTR never comes out, EAGAIN is would_block, the end of the stream is eof, nothing
// raises SIGPIPE, every new descriptor is close-on-exec.
//
// Any thread. The descriptors stay the caller's. There is no MSG_DONTWAIT here: what must not wait needs a
// non-blocking descriptor (nutils::set_nonblocking).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/io_result.h"
#include "nutils/unique_fd.h"

namespace nutils {

// The two ends of a pipe. Both are blocking, as a child process expects of its own; each end has a mode of
// its own, so set_nonblocking() on one leaves the other as it is.
struct PipeEnds {
    UniqueFd reading;
    UniqueFd writing;
};

// Errors: the errno of pipe2(2).
[[nodiscard]] EVC_API cutils::Result<PipeEnds> make_pipe();

// Takes what is there, up to the size of the buffer.
//
// Before: buffer not empty (an empty one would look like the end of the stream, and aborts).
// After:  on success 1 <= bytes <= buffer.size().
// Errors: would_block, eof (nobody can write any more), or the errno of read(2).
// Cost:   one read(2).
[[nodiscard]] EVC_API IoResult read_some(int fd, std::span<char> buffer) noexcept;

// Hands over as much as the kernel takes now: of a span of pieces, of the first 1024.
//
// After:  on success bytes is 0 only when there is nothing to write.
// Errors: would_block, or the errno of write(2): EPIPE when nobody can read any more.
// Cost:   one write(2), and two signal-mask calls: write has no MSG_NOSIGNAL.
[[nodiscard]] EVC_API IoResult write_some(int fd, std::string_view data) noexcept;
[[nodiscard]] EVC_API IoResult writev_some(int fd, std::span<const iovec> pieces) noexcept;

}  // namespace nutils
