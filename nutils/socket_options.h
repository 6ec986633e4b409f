// What can be set on, and asked of, a socket that exists.
//
// Each function is one or a few setsockopt(2). Any thread. Errors: the errno of setsockopt(2); options of TCP
// are EOPNOTSUPP or ENOPROTOOPT on a unix socket.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <system_error>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/ip_address.h"

namespace nutils {

// Sends small pieces at once instead of waiting for more (TCP_NODELAY). For request-response protocols: on.
[[nodiscard]] EVC_API std::error_code set_no_delay(int fd, bool on) noexcept;

// Holds incomplete segments back until it is turned off (TCP_CORK): headers and the sendfile behind them in
// one piece.
[[nodiscard]] EVC_API std::error_code set_cork(int fd, bool on) noexcept;

// Asks a silent peer whether it is still there: after `idle`, then every `interval`, and gives it up with
// ETIMEDOUT after `count` questions without an answer.
// Units: whole seconds, from 1 to 32,767; the count to 127. Anything else is EINVAL.
struct KeepAlive {
    std::chrono::seconds idle{60};
    std::chrono::seconds interval{10};
    int count = 6;
};
[[nodiscard]] EVC_API std::error_code set_keep_alive(int fd, const KeepAlive& keep_alive) noexcept;
[[nodiscard]] EVC_API std::error_code clear_keep_alive(int fd) noexcept;

// Gives a peer up with ETIMEDOUT that acknowledges nothing for this long (TCP_USER_TIMEOUT); zero: the
// system's choice.
[[nodiscard]] EVC_API std::error_code set_user_timeout(int fd, std::chrono::milliseconds timeout) noexcept;

// The kernel's buffers. The kernel doubles the number for its own bookkeeping and caps it at
// net.core.{r,w}mem_max; a fixed size turns off its automatic tuning.
// Units: bytes.
[[nodiscard]] EVC_API std::error_code set_recv_buffer(int fd, int bytes) noexcept;
[[nodiscard]] EVC_API std::error_code set_send_buffer(int fd, int bytes) noexcept;

// Sharing an address: see ListenOptions and DatagramOptions, which set them before bind(2).
[[nodiscard]] EVC_API std::error_code set_reuse_address(int fd, bool on) noexcept;
[[nodiscard]] EVC_API std::error_code set_reuse_port(int fd, bool on) noexcept;
[[nodiscard]] EVC_API std::error_code set_ipv6_only(int fd, bool on) noexcept;

// A TCP listener, tcp(7), TCP_DEFER_ACCEPT: see ListenOptions. Zero: connections come as they are made.
[[nodiscard]] EVC_API std::error_code set_defer_accept(int fd, std::chrono::seconds longest) noexcept;

// Is it a socket that listens? Errors: EBADF, ENOTSOCK; EINVAL when it does not listen.
[[nodiscard]] EVC_API std::error_code check_listens(int fd) noexcept;

// Datagrams to broadcast addresses are refused (EACCES) without it.
[[nodiscard]] EVC_API std::error_code set_broadcast(int fd, bool on) noexcept;

// Receives what is sent to the multicast address `group`, on the network interface of that index (0: the
// system's choice), until it leaves, or closes. Errors: EINVAL when it is not a multicast address; ENODEV.
[[nodiscard]] EVC_API std::error_code join_group(int fd, const IpAddress& group,
                                                 unsigned interface = 0) noexcept;
[[nodiscard]] EVC_API std::error_code leave_group(int fd, const IpAddress& group,
                                                  unsigned interface = 0) noexcept;

// What close() does with bytes not yet sent. Do not make it wait (a timeout would block the thread in close);
// a reset throws them away and tells the peer so (RST), which frees the port at once: for peers that
// misbehave.
[[nodiscard]] EVC_API std::error_code set_reset_on_close(int fd, bool on) noexcept;

// O_NONBLOCK, for descriptors that came from elsewhere; ours are born with it.
[[nodiscard]] EVC_API std::error_code set_nonblocking(int fd, bool on) noexcept;

// Who is at the other end of a unix socket, as the kernel saw it when the connection was made.
struct PeerCredentials {
    pid_t pid = 0;  // 0: of a process that is not visible from here: in another container, say
    uid_t uid = 0;
    gid_t gid = 0;
};
// Errors: the errno of getsockopt(2); errc::operation_not_supported when fd is not a unix socket, or has no
//         peer.
[[nodiscard]] EVC_API cutils::Result<PeerCredentials> peer_credentials(int fd);

}  // namespace nutils
