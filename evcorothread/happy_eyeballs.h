// connect_any: the first of several addresses that answers (Happy Eyeballs, RFC 8305).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "nutils/connect_stream.h"
#include "nutils/sock_addr.h"

namespace evcorothread {

// Which addresses are tried, and of which family first.
enum class Families : std::uint8_t {
    as_sorted,  // all, beginning with the first one's: what the system prefers (RFC 6724)
    ipv4_first,
    ipv6_first,
    ipv4_only,
    ipv6_only,
};

struct HappyEyeballsOptions {
    // The next address is tried when the last one has not answered for so long, or at once when it failed.
    // At least 10 ms (RFC 8305, section 5).
    std::chrono::milliseconds attempt_delay{250};
    // How many addresses of the first one's family come before the first of another family.
    std::size_t first_family_count = 1;
    Families families = Families::as_sorted;
    nutils::ConnectOptions connect{};
};

// The order in which connect_any() tries addresses (RFC 8305, section 4): that of the list, which the
// resolver has sorted by preference, but with the families taking turns, so that one that does not work here
// costs one delay and not one for each of its addresses. Doubles are dropped.
[[nodiscard]] EVC_API std::vector<nutils::SockAddr> interleaved(std::span<const nutils::SockAddr> addresses,
                                                                std::size_t first_family_count = 1);

// Connects to whichever of `addresses` answers first; all of them are tried, one after the other, without
// waiting for the failure of those before.
//
//   auto socket = connect_any(loop, addresses, {}, 5s);
//
// Before:   called in a coroutine thread of `loop`.
// Suspends: until the first has answered or the last has failed.
// After:    the other attempts are closed.
// Errors:   timed_out and canceled stand for all; otherwise the code of the first address's failure. The
//           message tells what happened at each address. errc::invalid_argument when there is none,
//           errc::address_family_not_supported when there is none of the families asked for.
// Cost:     no coroutine but the caller's; a socket for each address tried, until one has answered.
[[nodiscard]] EVC_API cutils::Result<EvSocket> connect_any(EvLoop& loop,
                                                           std::span<const nutils::SockAddr> addresses,
                                                           const HappyEyeballsOptions& options,
                                                           Deadline deadline);

}  // namespace evcorothread
