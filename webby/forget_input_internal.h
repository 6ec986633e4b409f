// What a client still sends that nobody reads any more. Internal.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "nutils/io_result.h"
#include "webby/limits.h"

namespace webby {

// Reads it as far as it is there and forgets it: closing a socket with unread input resets the connection,
// and the reset may overtake the answer. `lingered` counts the bytes, from one call to the next. False: the
// client has closed, or has said more than kLingerBytes.
template <class TryRecv>
[[nodiscard]] bool forget_input(std::uint32_t& lingered, TryRecv&& try_recv) {
    std::array<char, 1024> forgotten;
    for (;;) {
        const nutils::IoResult got = try_recv(std::span<char>(forgotten));
        if (got.would_block()) return true;
        lingered += static_cast<std::uint32_t>(got.bytes);
        if (!got || lingered >= kLingerBytes) return false;
    }
}

}  // namespace webby
