// UnsentQueue: does a peer take what the kernel has for it?
#pragma once

#include <cstddef>
#include <system_error>

#include "nutils/net_error.h"
#include "nutils/socket_ops.h"

namespace nutils {

// A socket that the kernel takes no more for becomes writable again when a third of its send buffer has gone.
// That may be megabytes: a peer that reads slowly, but steadily, takes longer for them than one is ready to
// wait for a peer that reads nothing. This tells the two apart.
//
//   UnsentQueue queue;
//   queue.look(fd);                          // the kernel took no more
//   …                                        // not writable for so long
//   if (queue.has_shrunk(fd)) …              // it reads: wait on
//
// Owner: a value. Cost: one ioctl(2) a look, see unsent_bytes().
class UnsentQueue {
  public:
    void look(int socket) { bytes_ = unsent_bytes(socket); }
    // Has the peer taken something since the last look? This is one, too.
    [[nodiscard]] bool has_shrunk(int socket) {
        const std::size_t before = bytes_;
        look(socket);
        return bytes_ < before;
    }

  private:
    std::size_t bytes_ = 0;
};

// Waits for room on `socket`, again and again as long as the peer takes some of what the kernel has for it
// meanwhile. `wait()` waits once, for as long as one is ready to see nothing happen: timed_out. `is_over()`,
// asked after that only, says whether the caller has no time for another wait.
template <class Wait, class IsOver>
std::error_code wait_while_taken(int socket, Wait&& wait, IsOver&& is_over) {
    UnsentQueue queue;
    queue.look(socket);
    for (;;) {
        const std::error_code error = wait();
        if (error != NetError::timed_out || is_over() || !queue.has_shrunk(socket)) return error;
    }
}

}  // namespace nutils
