// UnsentQueue: does a peer take what the kernel has for it?
#pragma once

#include <cstddef>

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

}  // namespace nutils
