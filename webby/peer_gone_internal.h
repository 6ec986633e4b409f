// Whether a socket's peer has closed. Internal.
#pragma once

#include <poll.h>

namespace webby {

// It has closed its half at least, or the connection is broken.
inline bool peer_gone(int fd) {
    pollfd asked = {fd, POLLRDHUP, 0};
    return ::poll(&asked, 1, 0) > 0;
}

}  // namespace webby
