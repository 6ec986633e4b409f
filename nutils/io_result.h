// IoResult: how many bytes moved, and what ended it. What every transfer of bytes returns.
#pragma once

#include <cstddef>
#include <system_error>

#include "nutils/net_error.h"

namespace nutils {

// A value of three words; true when there is no error. Both fields can be set: a deadline that passes
// half-way reports the bytes that did move, and the stream stays usable.
//
//   while (auto got = socket.recv(buffer, 30s)) handle({buffer, got.bytes});
//
//   IoResult sent = socket.send_all(page, 5s);
//   if (sent.timed_out()) log("gave up after %zu bytes", sent.bytes);
//   else if (!sent) return sent.error;
struct [[nodiscard]] IoResult {
    std::size_t bytes = 0;
    std::error_code error;

    explicit operator bool() const noexcept { return !error; }

    // Which error it is. timed_out() is our deadline only; a connection that the kernel gave up is ETIMEDOUT.
    [[nodiscard]] bool eof() const noexcept { return error == NetError::eof; }
    [[nodiscard]] bool timed_out() const noexcept { return error == NetError::timed_out; }
    [[nodiscard]] bool canceled() const noexcept { return error == NetError::canceled; }
    [[nodiscard]] bool busy() const noexcept { return error == NetError::busy; }
    [[nodiscard]] bool closed() const noexcept { return error == NetError::closed; }
    [[nodiscard]] bool would_block() const noexcept { return error == NetError::would_block; }

    // For those who want exceptions: the bytes, or std::system_error (which forgets how many bytes moved
    // before).
    std::size_t or_throw() const {
        if (error) throw std::system_error(error);
        return bytes;
    }
};

}  // namespace nutils
