// Moving bytes from socket to socket through a pipe, inside the kernel. Under the rules of
// nutils/socket_ops.h: EINTR never comes out, EAGAIN is NetError::would_block, no SIGPIPE.
#pragma once

#include <cstddef>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/io_result.h"
#include "nutils/pipe_ops.h"

namespace nutils {

// A pipe for splice(2): both ends are non-blocking and close-on-exec.
// Errors: the errno of pipe2(2).
[[nodiscard]] EVC_API cutils::Result<PipeEnds> make_splice_pipe();

// Moves up to `count` bytes that wait at `socket` into `pipe`, without copying them.
//
// Before: `socket` is non-blocking, the pipe is empty: with something in it, would_block could mean that it
//         is full.
// Errors: would_block; eof; the errno of splice(2).
// Cost:   one splice(2).
[[nodiscard]] EVC_API IoResult splice_in(int socket, const PipeEnds& pipe, std::size_t count) noexcept;

// Moves up to `count` bytes from `pipe` to `socket`.
//
// Before: `socket` is non-blocking; the pipe holds that many.
// Errors: would_block; the errno of splice(2): EPIPE and ECONNRESET when the peer is gone. What did not go is
//         still in the pipe.
// Cost:   one splice(2), and two signal-mask calls: splice has no MSG_NOSIGNAL.
[[nodiscard]] EVC_API IoResult splice_out(const PipeEnds& pipe, int socket, std::size_t count) noexcept;

}  // namespace nutils
