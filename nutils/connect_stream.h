// What a connection is made with: options of the socket, and words for what went wrong.
#pragma once

#include <chrono>
#include <optional>
#include <system_error>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_options.h"
#include "nutils/unique_fd.h"

namespace nutils {

// A size of -1 leaves the kernel's automatic tuning on; of a unix socket, what is about TCP is ignored.
struct ConnectOptions {
    SockAddr local{};                           // connect from this address; port 0: any free one
    bool no_delay = true;                       // what is sent goes out at once (TCP_NODELAY)
    std::optional<KeepAlive> keep_alive{};      // ask a silent peer whether it is still there
    std::chrono::milliseconds user_timeout{0};  // see set_user_timeout(); 0: the system's choice
    int recv_buffer = -1;                       // bytes
    int send_buffer = -1;                       // bytes
};

// A stream socket for connecting to `peer`, with these options, bound when `local` says where. Several
// connections may share a local port, as long as they go to different peers.
//
// After:  the descriptor is non-blocking and close-on-exec.
// Errors: the errno of the call that failed, with what it was about in the context.
[[nodiscard]] EVC_API cutils::Result<UniqueFd> open_stream(const SockAddr& peer,
                                                           const ConnectOptions& options = {});

// What a failed connect is reported as: the code, with the address and what to look at in the context.
//
//   connect to 127.0.0.1:80 (nobody listens there: is the server running?): Connection refused
[[nodiscard]] EVC_API cutils::Error connect_error(const std::error_code& code, const SockAddr& peer);

}  // namespace nutils
