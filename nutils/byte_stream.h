// ByteStream: a two-way stream of bytes whose other end may make you wait: a socket of a coroutine, a TLS
// connection, a socket of an ordinary thread. Protocol code written against it runs on all of them.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

#include "cutils/clock.h"
#include "cutils/deadline.h"
#include "cutils/export.h"
#include "nutils/byte_buffer.h"
#include "nutils/io_result.h"

namespace nutils {

using cutils::Deadline;

// What protocol code gets by reference and neither owns nor closes:
//
//   bool greet(ByteStream& peer, Deadline deadline) {
//       ByteBuffer input(4096);
//       auto line = peer.recv_until(input, "\n", 1024, deadline);
//       if (!line) return false;
//       std::string answer = "Hello, " + std::string(input.readable().substr(0, line.bytes));
//       return bool(peer.send_all(answer, deadline));
//   }
//
// Whoever implements it says where it waits: that is "Suspends" below. One reader and one writer may use a
// stream at the same time when the implementation says so.
//
// A deadline that passes harms nothing: bytes that have moved are counted in the result together with
// timed_out, and the stream is still usable. Each call looks at its deadline as one for the whole call,
// however many steps it takes.
class EVC_API ByteStream {
  public:
    virtual ~ByteStream();

    // ---- what an implementation provides ----

    // Waits until there is something, then takes what is there.
    //
    // Before:   buffer not empty.
    // Suspends: only when nothing is there.
    // After:    on success 1 <= bytes <= buffer.size().
    // Errors:   eof        the peer finished sending; repeats on later calls
    //           timed_out  the deadline passed
    //           closed     close() was called
    //           other      the stream is broken; only close() is useful then
    // Lifetime: buffer must stay valid until the call returns.
    [[nodiscard]] virtual IoResult recv(std::span<char> buffer, Deadline deadline) = 0;

    // Waits until some of `data` can go, and hands that over.
    //
    // Suspends: only when nothing can go.
    // After:    on success 1 <= bytes <= data.size(); empty data succeeds at once with 0.
    // Errors:   as recv; never eof. Bytes handed over may still not reach the peer.
    // Lifetime: data must stay valid until the call returns.
    [[nodiscard]] virtual IoResult send(std::string_view data, Deadline deadline) = 0;

    // The same from several pieces. By default it sends of the first piece that is not empty.
    [[nodiscard]] virtual IoResult sendv(std::span<const iovec> pieces, Deadline deadline);

    // Ends our half: the peer reads eof behind what was sent. Receiving goes on. Never suspends.
    virtual IoResult shutdown_send() = 0;

    // The same for those who close next: waits until the kernel has that, too. By default it is
    // shutdown_send(), and all there is to it; over TLS the end is a message, which may have to wait for
    // room.
    //
    // Suspends: as send.
    // Errors:   those of send.
    [[nodiscard]] virtual IoResult finish_send(Deadline deadline);

    // Ends it. Every later call returns `closed`, and so does one that waits elsewhere. Idempotent; never
    // suspends.
    virtual void close() noexcept = 0;

    // The time by which deadlines are counted. By default the monotonic clock; a loop may have a virtual one.
    [[nodiscard]] virtual cutils::TimePoint now() const { return cutils::monotonic_now(); }

    // ---- what everybody gets on top; an implementation that knows better may override it ----

    // Fills the whole buffer.
    //
    // After:  on success bytes == buffer.size(); an empty buffer succeeds at once.
    // Errors: those of recv; bytes says how many at the front of the buffer were received before. eof with
    //         bytes > 0: the peer stopped in the middle.
    [[nodiscard]] virtual IoResult recv_exact(std::span<char> buffer, Deadline deadline);

    // Receives into `buffer` until `delimiter` is in it. What came behind stays in the buffer for the next
    // call, and what is there already is looked at first.
    //
    //   while (auto line = stream.recv_until(input, "\r\n", 8192, 30s)) {
    //       handle(input.readable().substr(0, line.bytes - 2));
    //       input.consume(line.bytes);
    //   }
    //
    // Before: delimiter not empty.
    // After:  on success the first `bytes` readable bytes end with the delimiter; bytes <= limit.
    // Errors: too_long   no delimiter within the first `limit` bytes, or the buffer is at its maximum
    //         those of recv, errc::not_enough_memory
    //         bytes is then what the buffer holds: all of it without a complete delimiter, unless too_long.
    //         eof with bytes > 0: the last line has no end. Nothing is lost; the call can be repeated.
    [[nodiscard]] virtual IoResult recv_until(ByteBuffer& buffer, std::string_view delimiter,
                                              std::size_t limit, Deadline deadline);

    // Sends all of `data`.
    //
    // After:  on success bytes == data.size(); empty data succeeds at once.
    // Errors: those of send; bytes says how many went before.
    [[nodiscard]] virtual IoResult send_all(std::string_view data, Deadline deadline);

    // Sends all pieces, in their order.
    //
    // After:  on success bytes is their total size, and what the pieces say is no use any more. On an error
    //         they describe what is left, those that went being empty: the call can be repeated with them.
    // Errors: those of send; bytes says how many went before.
    [[nodiscard]] virtual IoResult send_all_v(std::span<iovec> pieces, Deadline deadline);

  protected:
    ByteStream() = default;
    ByteStream(const ByteStream&) = default;
    ByteStream& operator=(const ByteStream&) = default;
    ByteStream(ByteStream&&) = default;
    ByteStream& operator=(ByteStream&&) = default;
};

}  // namespace nutils
