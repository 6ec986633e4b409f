// Lists of pieces (iovec): how much they hold, and what is left of them after some bytes have gone.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace nutils {

// A piece that a send reads. iovec has no const: nothing that sends writes through it.
[[nodiscard]] inline iovec piece_of(std::string_view data) noexcept {
    return {const_cast<char*>(data.data()), data.size()};
}

[[nodiscard]] inline std::size_t total_size(std::span<const iovec> pieces) noexcept {
    std::size_t total = 0;
    for (const iovec& piece : pieces) total += piece.iov_len;
    return total;
}

// What is left of `pieces` once their first `bytes` bytes are done. Shortens the piece in which they end,
// empties those before it, so that the array still describes what is left, and drops them, and empty ones at
// the front: the result is empty when nothing is left.
//
// Before: bytes <= total_size(pieces).
[[nodiscard]] inline std::span<iovec> advanced(std::span<iovec> pieces, std::size_t bytes) noexcept {
    while (!pieces.empty() && bytes >= pieces.front().iov_len) {
        bytes -= pieces.front().iov_len;
        pieces.front().iov_len = 0;
        pieces = pieces.subspan(1);
    }
    if (!pieces.empty()) {
        pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + bytes;
        pieces.front().iov_len -= bytes;
    }
    return pieces;
}

// The same without the empty ones at the front, which count against what one system call takes.
[[nodiscard]] inline std::span<const iovec> without_empty_front(std::span<const iovec> pieces) noexcept {
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    return pieces;
}

}  // namespace nutils
