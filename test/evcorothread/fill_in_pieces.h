// A socket that the kernel takes no more for, with a queue that becomes shorter piece by piece.
#pragma once

#include <string>

#include "evcorothread/ev_socket.h"

namespace test_support {

// Reading one of its thousand bytes leaves the kernel with that much less.
inline void fill_in_pieces(evcorothread::EvSocket& socket) {
    const std::string piece(1000, 'f');
    while (socket.try_send(piece)) {
    }
}

}  // namespace test_support
