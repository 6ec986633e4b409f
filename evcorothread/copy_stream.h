// copy_stream, relay: everything that comes from one stream goes to another; one way, or both ways at once.
#pragma once

#include <cstdint>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/ev_socket.h"
#include "nutils/byte_stream.h"

namespace evcorothread {

// How a copy in one direction ended; true when it came to the end of the stream and passed that on.
struct [[nodiscard]] CopyResult {
    std::uint64_t bytes = 0;  // that the receiving stream took
    // That were received and could not be sent before it ended: they are lost, unlike what was not received.
    std::uint64_t undelivered = 0;
    bool finished = false;        // the end came, and has been passed on
    std::error_code read_error;   // why receiving went no further
    std::error_code write_error;  // why sending did not

    explicit operator bool() const noexcept { return finished; }
    [[nodiscard]] std::error_code error() const noexcept { return read_error ? read_error : write_error; }
};

// Receives from `from` and sends to `to`, until `from` ends; then ends our half of `to`, which can still be
// received from.
//
//   if (CopyResult copied = copy_stream(upload, store, 10min); !copied)
//       log("gave up after %llu bytes: %s", copied.bytes, copied.error().message().c_str());
//
// Before:   called in a coroutine thread of the sockets' loop; nobody receives from `from` or sends to `to`
//           meanwhile.
// Suspends: when there is nothing to receive, or the receiver does not take more: it holds a pipe's worth of
//           bytes at most (64 KiB), however much is copied. Lets others run after each MiB.
// After:    finished, or one of the errors is set. The streams stay open in any case.
// Errors:   read_error   what recv says, but for eof
//           write_error  what send says
//           timed_out, canceled, busy, closed, and what pipe2(2) says, stand with the side it waited for.
// Idle:     sockets' idle timeouts (EvSocket::set_idle_timeout) apply: nothing moved for that long.
// Lifetime: both sockets must stay where they are until it returns; they may be closed.
// Cost:     two splice(2) and a guard against SIGPIPE for up to 64 KiB, which are not copied through this
//           process; a pipe for its duration. The descriptors are made non-blocking.
EVC_API CopyResult copy_stream(EvSocket& from, EvSocket& to, Deadline deadline);

// The same for any two streams, TLS among them, through a buffer of 16 KiB.
EVC_API CopyResult copy_stream(nutils::ByteStream& from, nutils::ByteStream& to, Deadline deadline);

struct [[nodiscard]] RelayResult {
    CopyResult forth;  // from a to b
    CopyResult back;   // from b to a
    explicit operator bool() const noexcept { return forth.finished && back.finished; }
};

// Copies both ways at once until both have ended: what a proxy does. An end in one direction is passed on,
// and the other direction goes on.
//
//   RelayResult done = relay(client, upstream, Deadline::never);
//
// A peer that is gone (a read error), the deadline, a cancel or a close ends both directions; so does a write
// error of this machine (no memory, no buffers). Any other one ends its own: what the peer had sent before it
// went is still delivered. A direction that was ended by the other one's error says `canceled`. Nothing is
// closed: whether the other peer is to see a clean end after an error (close) or a broken one
// (nutils::set_reset_on_close) is the caller's choice.
//
// Otherwise as copy_stream. Cost: no coroutine but the caller's; two pipes.
EVC_API RelayResult relay(EvSocket& a, EvSocket& b, Deadline deadline);

// The same for any two streams that take a reader and a writer at once; in two coroutines of their own.
// Errors: busy, at once, when there are no stacks for those.
EVC_API RelayResult relay(nutils::ByteStream& a, nutils::ByteStream& b, Deadline deadline);

}  // namespace evcorothread
