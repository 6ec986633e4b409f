// EvWatch: a descriptor of the loop for those who write callbacks instead of coroutines.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/ev_loop.h"
#include "nutils/io_result.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

// Usage:
//
//   struct Echo {
//       explicit Echo(EvLoop& loop, UniqueFd fd)
//           : watch(loop, std::move(fd), {.readable = [this] { more(); }, .expired = [this] { delete this;
//           }}) {}
//       void more() {
//           char buffer[4096];
//           nutils::IoResult got;
//           while ((got = watch.try_recv(buffer))) (void)watch.try_send({buffer, got.bytes});
//           if (got.would_block()) return watch.expire(30s);
//           delete this;
//       }
//       EvWatch watch;
//   };
//   (new Echo(loop, std::move(fd)))->watch.start();
//
// It is watched edge-triggered: `readable` and `writable` are called when the kernel says something new, so
// whoever is called goes on until would_block, or calls again(). All functions run on the loop's own stack,
// outside any coroutine; they must be short, must not wait, and may close or destroy the watch.
//
// Owner:  whoever holds it; owns its descriptor, which must be non-blocking. A watch that was started is
//         work: EvLoop::run goes on while there is one.
// Thread: the loop's.
// Errors: an exception that leaves a function is logged.
// Cost:   one epoll_ctl(2) in its life, about 500 bytes, no coroutine and no stack; a deadline is a store or
//         O(log n).
class EVC_API EvWatch {
  public:
    struct Functions {
        std::function<void()> readable;    // data, the end of the stream, or an error
        std::function<void()> writable{};  // there is room again
        std::function<void()> expired{};   // the deadline has passed
    };

    // Errors: std::bad_alloc.
    EvWatch(EvLoop& loop, nutils::UniqueFd fd, Functions functions);
    EvWatch(const EvWatch&) = delete;
    EvWatch& operator=(const EvWatch&) = delete;
    ~EvWatch();

    // Begins to watch. What is there already is reported on the next pass. Errors: of epoll_ctl(2).
    [[nodiscard]] std::error_code start();

    // Calls `expired` once when the time comes, unless it is set anew before; Deadline::never takes it back.
    // Suspends: never, in spite of the Deadline.
    void expire(Deadline when);

    // Calls `readable` on the loop's next pass, whatever the kernel says: others first.
    void again();

    // What the kernel gives or takes now. Errors: would_block, and those of nutils/socket_ops.h; closed.
    [[nodiscard]] nutils::IoResult try_recv(std::span<char> buffer);
    [[nodiscard]] nutils::IoResult try_send(std::string_view data, int flags = 0);
    [[nodiscard]] nutils::IoResult try_sendv(std::span<const iovec> pieces);
    [[nodiscard]] nutils::IoResult try_sendfile(int file, off_t& offset, std::size_t count);

    // May try_recv give anything but would_block, as far as is known without asking? False means no.
    [[nodiscard]] bool may_recv() const;

    // Out of the loop, and closed; no function is called any more. Idempotent.
    void close();
    [[nodiscard]] bool is_open() const { return fd() >= 0; }
    // For socket options; still owned here. -1 once closed.
    [[nodiscard]] int fd() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
