#include "nutils/blocking_socket.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "cutils/clock.h"
#include "nutils/socket_ops.h"

namespace nutils {
namespace {

using cutils::Error;
using cutils::Result;

// In whole milliseconds, rounded up: never early. Cut off at what poll(2) takes; whoever waits looks again.
int poll_timeout(cutils::Duration left) {
    constexpr cutils::Duration kLongest = std::chrono::hours(24);
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(std::min(left, kLongest)).count());
}

// Waits until `fd` is ready for `events` (or broken, which the next system call will tell).
std::error_code wait_until_ready(int fd, short events, Deadline end) {
    for (;;) {
        const cutils::Duration left =
            end.is_never() ? end.remaining({}) : end.remaining(cutils::monotonic_now());
        if (left == cutils::Duration::zero()) return NetError::timed_out;
        pollfd waiting = {fd, events, 0};
        const int ready = ::poll(&waiting, 1, poll_timeout(left));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return errno_code(errno);
    }
}

// Tries, and waits for `events` as long as there is nothing to be had. Reads no clock when the first try
// succeeds.
template <class Try>
IoResult try_or_wait(int fd, short events, Deadline deadline, Try attempt) {
    if (fd < 0) return {0, NetError::closed};
    for (;;) {
        const IoResult result = attempt(fd);
        if (!result.would_block()) return result;
        if (deadline.is_relative()) deadline = deadline.resolved(cutils::monotonic_now());
        if (auto error = wait_until_ready(fd, events, deadline)) return {0, error};
    }
}

std::error_code connect_and_wait(int fd, const SockAddr& peer, Deadline deadline) {
    std::error_code error = connect_start(fd, peer);
    if (error != NetError::in_progress) return error;
    const Deadline end = deadline.resolved(cutils::monotonic_now());
    do {
        if (auto failed = wait_until_ready(fd, POLLOUT, end)) return failed;
        error = connect_result(fd);
    } while (error == NetError::in_progress);
    return error;
}

}  // namespace

Result<BlockingSocket> BlockingSocket::connect(const SockAddr& peer, Deadline deadline) {
    Result<UniqueFd> made = socket_stream(peer.family());
    if (!made) return Error(made.error().code(), "socket for " + peer.to_string());
    if (auto error = connect_and_wait(made->get(), peer, deadline))
        return Error(error, "connect " + peer.to_string());
    return BlockingSocket(std::move(*made));
}

IoResult BlockingSocket::recv(std::span<char> buffer, Deadline deadline) {
    return try_or_wait(fd_.get(), POLLIN, deadline, [&](int fd) { return recv_some(fd, buffer); });
}

IoResult BlockingSocket::send(std::string_view data, Deadline deadline) {
    return try_or_wait(fd_.get(), POLLOUT, deadline, [&](int fd) { return send_some(fd, data); });
}

IoResult BlockingSocket::sendv(std::span<const iovec> pieces, Deadline deadline) {
    return try_or_wait(fd_.get(), POLLOUT, deadline, [&](int fd) { return sendv_some(fd, pieces); });
}

IoResult BlockingSocket::shutdown_send() {
    if (!fd_) return {0, NetError::closed};
    return {0, nutils::shutdown_send(fd_.get())};
}

Result<BlockingListener> BlockingListener::listen(const SockAddr& address, const ListenOptions& options) {
    Result<UniqueFd> made = listen_stream(address, options);
    if (!made) return made.error();
    return BlockingListener(std::move(*made));
}

Result<BlockingSocket> BlockingListener::accept(Deadline deadline, SockAddr* peer) {
    if (!fd_) return make_error_code(NetError::closed);
    for (;;) {
        Accepted connection = accept_one(fd_.get(), peer);
        switch (connection.outcome()) {
            case AcceptOutcome::accepted: return BlockingSocket(std::move(connection.fd));
            case AcceptOutcome::exhausted:
            case AcceptOutcome::broken: return Error(connection.error, "accept");
            case AcceptOutcome::lost:  // the next one is there at once, but the deadline has its say
            case AcceptOutcome::empty: break;
        }
        deadline = deadline.resolved(cutils::monotonic_now());
        if (auto error = wait_until_ready(fd_.get(), POLLIN, deadline)) return error;
    }
}

}  // namespace nutils
