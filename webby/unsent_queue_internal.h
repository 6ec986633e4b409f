// UnsentQueue: does a client take what the kernel has for it? Internal.
#pragma once

#include <cstddef>
#include <utility>

#include "nutils/socket_ops.h"

namespace webby {

// Of a connection whose output the kernel takes no more of. It does again when a third of its megabytes has
// gone, and for a slow client that may take longer than the I/O timeout.
class UnsentQueue {
  public:
    void look(int socket) { bytes_ = nutils::unsent_bytes(socket); }
    // Has the client taken something since the last look? This is one, too.
    [[nodiscard]] bool has_shrunk(int socket) {
        const std::size_t before = bytes_;
        look(socket);
        return bytes_ < before;
    }

  private:
    std::size_t bytes_ = 0;
};

}  // namespace webby
