// ThreadSocket: what a Session wants of a socket, for an OS thread that may wait. Internal.
#pragma once

#include <poll.h>

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "cutils/clock.h"
#include "cutils/deadline.h"
#include "evcorothread/tls_socket.h"
#include "nutils/blocking_socket.h"
#include "nutils/socket_ops.h"
#include "nutils/unsent_queue.h"
#include "webby/http1_engine.h"
#include "webby/output_steps_internal.h"

namespace webby {

// Waits until one of `events` of poll(2) is there. Errors: timed_out, and those of poll(2).
inline std::error_code poll_until(int fd, short events, cutils::Deadline deadline) {
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining(cutils::monotonic_now())).count();
        if (left <= 0) return nutils::NetError::timed_out;
        pollfd waiting = {fd, events, 0};
        const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<long long>(left, 86'400'000)));
        if (ready > 0) return {};
        if (ready < 0 && errno != EINTR) return {errno, std::generic_category()};
    }
}

// The same until there is room, as long as the client takes some of what the kernel has for it within
// `patience`.
inline std::error_code wait_for_room(int fd, short events, cutils::Duration patience,
                                     cutils::Deadline deadline) {
    using cutils::Deadline, cutils::monotonic_now;
    deadline = deadline.resolved(monotonic_now());
    return nutils::wait_while_taken(
        fd, [&] { return poll_until(fd, events, Deadline::earlier(deadline, patience, monotonic_now())); },
        [&] { return deadline.passed(monotonic_now()); });
}

// Every wait is limited by the I/O timeout, counted from the last progress.
class ThreadSocket {
  public:
    using Deadline = cutils::Deadline;
    using IoResult = nutils::IoResult;

    ThreadSocket(nutils::BlockingSocket& socket, cutils::Duration io_timeout)
        : socket_(socket), io_timeout_(io_timeout) {}

    // Whether asking again may give something: the last read took all there was. Where it was wrong, the
    // epoll set says so at once.
    [[nodiscard]] bool may_recv() const { return may_recv_; }
    IoResult try_recv(std::span<char> buffer) {
        return noted(nutils::recv_some(socket_.fd(), buffer), buffer.size());
    }
    IoResult recv(std::span<char> buffer, Deadline deadline) {
        IoResult got = nutils::recv_some(socket_.fd(), buffer);
        if (got.would_block()) got = socket_.recv(buffer, limited(deadline));
        return noted(got, buffer.size());
    }

    IoResult send_all(std::string_view data, Deadline deadline) {
        std::size_t sent = 0;
        while (sent < data.size()) {
            const IoResult some =
                patiently([&] { return nutils::send_some(socket_.fd(), data.substr(sent), 0); }, deadline);
            if (some.error) return {sent, some.error};
            sent += some.bytes;
        }
        return {sent, {}};
    }
    IoResult try_send(std::string_view data, int flags = 0) {
        return nutils::send_some(socket_.fd(), data, flags);
    }
    IoResult try_sendv(std::span<const iovec> pieces) { return nutils::sendv_some(socket_.fd(), pieces); }
    IoResult try_sendfile(int file, off_t& offset, std::size_t count) {
        return nutils::sendfile_some(socket_.fd(), file, offset, count);
    }
    IoResult send_step(const Http1Engine::Output& output, std::uint64_t sent) {
        return webby::send_step(*this, output, sent);
    }
    static constexpr bool kKeepsOutput = false;
    static void let_others_go_first() {}  // the kernel sees to that
    [[nodiscard]] static std::optional<evcorothread::TlsInfo> tls() { return {}; }
    IoResult shutdown_send() { return socket_.shutdown_send(); }
    [[nodiscard]] cutils::Result<nutils::SockAddr> peer() const {
        return nutils::SockAddr::peer_of(socket_.fd());
    }
    [[nodiscard]] int fd() const { return socket_.fd(); }
    [[nodiscard]] static cutils::TimePoint lately() { return cutils::monotonic_now(); }
    [[nodiscard]] static cutils::TimePoint now() { return cutils::monotonic_now(); }

  private:
    IoResult noted(IoResult got, std::size_t asked) {
        may_recv_ = got.bytes == asked;
        return got;
    }
    [[nodiscard]] Deadline limited(Deadline deadline) const {
        return Deadline::earlier(deadline, io_timeout_, lately());
    }
    template <class Try>
    IoResult patiently(Try&& attempt, Deadline deadline) {
        for (;;) {
            const IoResult some = attempt();
            if (!some.would_block()) return some;
            if (const std::error_code error = wait_for_room(socket_.fd(), POLLOUT, io_timeout_, deadline))
                return {0, error};
        }
    }
    nutils::BlockingSocket& socket_;
    const cutils::Duration io_timeout_;
    bool may_recv_ = true;
};

}  // namespace webby
