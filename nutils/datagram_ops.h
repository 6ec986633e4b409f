// The system calls of datagram sockets, under the same rules as nutils/socket_ops.h: EINTR never comes out,
// EAGAIN is NetError::would_block, nothing waits, descriptors are born close-on-exec and non-blocking.
//
// A datagram is all or nothing, and an empty one is a datagram too: there is no end of stream here.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <system_error>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/io_result.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

namespace nutils {

// An unbound datagram socket. `family`: AF_INET, AF_INET6 or AF_UNIX.
// Errors: the errno of socket(2).
[[nodiscard]] EVC_API cutils::Result<UniqueFd> socket_datagram(int family);

// A datagram socket bound to `address`. Port 0 takes any free one.
// Errors: the errno of the call that failed, with its name and the address in the context.
[[nodiscard]] EVC_API cutils::Result<UniqueFd> bind_datagram(const SockAddr& address);

// Takes one datagram, and who sent it.
//
// After:  bytes of it are in `buffer`; *from is set when asked for.
// Errors: would_block; too_long when it did not fit: bytes is what did, the rest is lost; the errno of
//         recvmsg(2), ECONNREFUSED among them: an earlier datagram found nobody.
// Cost:   one recvmsg(2); no allocation.
[[nodiscard]] EVC_API IoResult recv_from(int fd, std::span<char> buffer, SockAddr* from = nullptr) noexcept;

// Sends one datagram, to `to` or, when null, to whom the socket is connected.
//
// After:  on success bytes == data.size().
// Errors: would_block; the errno of sendto(2): EMSGSIZE when it is too large for the network.
// Cost:   one sendto(2); no allocation.
[[nodiscard]] EVC_API IoResult send_to(int fd, std::string_view data, const SockAddr* to = nullptr) noexcept;

}  // namespace nutils
