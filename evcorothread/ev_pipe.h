// EvPipe: one end of a pipe (or a FIFO, a terminal) whose calls wait like a blocking one's, while the loop
// serves others.
#pragma once

#include <sys/uio.h>

#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/ev_loop.h"
#include "nutils/byte_stream.h"
#include "nutils/pipe_ops.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

struct FdWatch;
using nutils::IoResult;
using nutils::NetError;

// Usage:
//
//   nutils::PipeEnds ends = nutils::make_pipe().value();
//   EvPipe from_child(loop, std::move(ends.reading));
//   char buffer[4096];
//   while (auto got = from_child.recv(buffer, 3s)) std::fwrite(buffer, 1, got.bytes, stdout);
//
// A nutils::ByteStream, so recv_until, recv_exact, send_all and protocol code work on it as on a socket. A
// pipe has one direction: what the descriptor was not opened for is EBADF. A writer whose reader has gone
// gets EPIPE, and no SIGPIPE.
//
// Owner:   a value; closes when destroyed, which is how the other side learns that nothing more will come.
//          Movable, not while somebody waits on it.
// Sharing: one coroutine may receive and another send at the same time; a second one in the same direction
//          gets `busy`. close() may be called by any coroutine of the loop and wakes both with `closed`.
// Thread:  its loop's.
// Cancel:  in a canceled coroutine, calls with a Deadline return `canceled` without moving anything.
// Cost:    per call one syscall when the kernel is ready; sending, two signal-mask calls more.
class EVC_API EvPipe final : public nutils::ByteStream {
  public:
    // Closed; every call returns `closed`.
    EvPipe();
    // Adopts a descriptor that can be polled: not a regular file (EPERM on the first wait). It is made
    // non-blocking; of a terminal or a FIFO that other processes have open, that is their mode, too, when
    // they have it from the same open(2). Errors: std::bad_alloc (then the descriptor is closed). Where it
    // cannot be made non-blocking, every call says why: one that blocked would stop the loop.
    EvPipe(EvLoop& loop, nutils::UniqueFd fd);
    EvPipe(EvPipe&&) noexcept;
    EvPipe& operator=(EvPipe&&) noexcept;
    ~EvPipe() override;

    // Waits until something was written, then takes what is there.
    // Before:   called in a coroutine thread of this pipe's loop; buffer not empty.
    // Suspends: only when the pipe is empty.
    // After:    on success 1 <= bytes <= buffer.size().
    // Errors:   eof (nobody can write any more; repeats), timed_out (the pipe is still usable), canceled,
    //           busy, closed; other: the errno of read(2), EIO where the other side of a pseudo-terminal has
    //           ended.
    // Lifetime: buffer must stay valid until the call returns.
    [[nodiscard]] IoResult recv(std::span<char> buffer, Deadline deadline) override;

    // Takes what is there now: would_block when nothing is. Never suspends.
    [[nodiscard]] IoResult try_recv(std::span<char> buffer);

    // Waits until the pipe takes some of `data`, and hands that over.
    // Errors: EPIPE when nobody can read any more; timed_out, canceled, busy, closed.
    [[nodiscard]] IoResult send(std::string_view data, Deadline deadline) override;
    [[nodiscard]] IoResult sendv(std::span<const iovec> pieces, Deadline deadline) override;
    // Hands over what the pipe takes now. Never suspends.
    [[nodiscard]] IoResult try_send(std::string_view data);

    // The end of what we say: a pipe has no half to close but itself, so this is close().
    IoResult shutdown_send() override;

    // Closes; idempotent. Coroutines that wait on it return `closed`, now.
    void close() noexcept override;

    [[nodiscard]] bool is_open() const;
    explicit operator bool() const { return is_open(); }
    [[nodiscard]] int fd() const;  // -1 when closed

    // Takes the descriptor out of the loop, still open, still non-blocking. Before: nobody waits on it.
    [[nodiscard]] nutils::UniqueFd release();

    [[nodiscard]] TimePoint now() const override;

  private:
    std::unique_ptr<FdWatch> watch_;
    std::error_code unusable_;
};

}  // namespace evcorothread
