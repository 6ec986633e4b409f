// What both kinds of relay() have to agree on.
#pragma once

#include <system_error>

namespace evcorothread {

// Is it this machine that cannot send, and not the peer who is gone? A peer that is gone shows where it is
// read from, and what it had sent before is still delivered there; of this, the other direction would never
// learn.
inline bool is_our_own_failure(const std::error_code& sending) {
    for (const std::errc ours :
         {std::errc::not_enough_memory, std::errc::no_buffer_space, std::errc::invalid_argument,
          std::errc::io_error, std::errc::operation_not_permitted, std::errc::permission_denied})
        if (sending == ours) return true;
    return false;
}

}  // namespace evcorothread
