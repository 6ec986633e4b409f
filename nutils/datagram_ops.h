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

// What is said to a datagram socket before it is bound. A size of -1 leaves the system's default.
struct DatagramOptions {
    int recv_buffer = -1;        // bytes; a burst that does not fit is lost
    int send_buffer = -1;        // bytes
    bool broadcast = false;      // may send to broadcast addresses
    bool reuse_address = false;  // several sockets, all with this option, share the address: for multicast
    bool reuse_port = false;     // several sockets share the port, the kernel spreads the senders over them
    bool ipv6_only = true;       // an IPv6 socket leaves IPv4 to another one; false: it takes both
    int permissions = -1;        // of a socket file (0660); -1: what the process's umask leaves
};

// An unbound datagram socket with these options.
[[nodiscard]] EVC_API cutils::Result<UniqueFd> open_datagram(int family, const DatagramOptions& options);

// A datagram socket bound to `address`. Port 0 takes any free one. A unix path: the file that a killed
// process left behind is replaced, one in use is errc::address_in_use, as in nutils/listen_stream.h.
// Errors: the errno of the call that failed, with its name and the address in the context.
[[nodiscard]] EVC_API cutils::Result<UniqueFd> bind_datagram(const SockAddr& address,
                                                             const DatagramOptions& options = {});

// Connects: from now on the socket hears only `peer`, sends to it when no other target is given, and is told
// when nobody is there (ECONNREFUSED). Never waits; says nothing to the peer. No address (SockAddr()) ends
// it; the socket stays bound to its port.
[[nodiscard]] EVC_API std::error_code connect_datagram(int fd, const SockAddr& peer) noexcept;

// What recv_from returns: also how long the datagram was when it was sent. Longer than `bytes` when it did
// not fit; error is too_long then.
struct [[nodiscard]] DatagramResult : IoResult {
    std::size_t full_size = 0;
};

// Takes one datagram, and who sent it.
//
// After:  bytes of it are in `buffer`; *from is set when asked for.
// Errors: would_block; too_long when it did not fit: bytes is what did, full_size what it was, the rest is
//         lost; the errno of recvmsg(2), ECONNREFUSED among them: an earlier datagram found nobody.
// Cost:   one recvmsg(2); no allocation.
[[nodiscard]] EVC_API DatagramResult recv_from(int fd, std::span<char> buffer,
                                               SockAddr* from = nullptr) noexcept;

// Sends one datagram, to `to` or, when null, to whom the socket is connected.
//
// After:  on success bytes == data.size().
// Errors: would_block; the errno of sendto(2): EMSGSIZE when it is too large for the network.
// Cost:   one sendto(2); no allocation.
[[nodiscard]] EVC_API IoResult send_to(int fd, std::string_view data, const SockAddr* to = nullptr) noexcept;

}  // namespace nutils
