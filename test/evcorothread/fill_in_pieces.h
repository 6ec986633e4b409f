// A socket that the kernel takes no more for, with a queue that becomes shorter piece by piece.
#pragma once

#include <sys/socket.h>

#include <string>

#include "evcorothread/ev_socket.h"
#include "test/support/harness.h"

namespace test_support {

// Reading one of its thousand bytes leaves the kernel with that much less.
inline void fill_in_pieces(evcorothread::EvSocket& socket) {
    const std::string piece(1000, 'f');
    while (socket.try_send(piece)) {
    }
}

// The peer does, with one of them.
inline void take_a_piece(int peer) {
    char piece[1000];
    CHECK(::recv(peer, piece, sizeof piece, MSG_DONTWAIT) > 0);
}

}  // namespace test_support
