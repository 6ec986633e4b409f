// listen_stream: a socket that others can connect to.
#pragma once

#include <chrono>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/sock_addr.h"
#include "nutils/unique_fd.h"

namespace nutils {

// A size of -1 leaves the kernel's automatic tuning on. Sizes pass on to accepted TCP connections; those of a
// unix socket start with the system's default.
struct ListenOptions {
    int backlog = 511;          // connections that may wait to be accepted; capped by net.core.somaxconn
    int recv_buffer = -1;       // bytes
    int send_buffer = -1;       // bytes
    bool reuse_address = true;  // a restart need not wait until old connections have left TIME_WAIT
    bool reuse_port = false;    // several listeners share the port, the kernel spreads connections over them
    bool ipv6_only = true;      // an IPv6 socket leaves IPv4 to another one; false: it takes both
    // TCP: a connection is not there to be accepted before its client has sent something, or about this long
    // has passed. For protocols in which the client speaks first: a wake-up less for each connection.
    std::chrono::seconds defer_accept{0};
    int permissions = -1;  // of a socket file (0660); -1: what the process's umask leaves
};

// Binds and listens. Port 0 takes any free one; SockAddr::local_of() tells which.
//
// A unix path: the socket file that a killed server left behind (nobody accepts there) is replaced; one that
// is in use is errc::address_in_use; what is not a socket is never touched. Two servers that start on the
// same stale file at the same instant can both believe that they replaced it; the later one has it. The file
// stays when the socket closes: see nutils/socket_file.h. Its permissions stand before anybody can connect.
//
// After:  the descriptor is listening, non-blocking and close-on-exec.
// Errors: the errno of the call that failed, with its name and the address in the context: address_in_use,
//         address_not_available, permission_denied (a port below 1024), …
[[nodiscard]] EVC_API cutils::Result<UniqueFd> listen_stream(const SockAddr& address,
                                                             const ListenOptions& options = {});

}  // namespace nutils
