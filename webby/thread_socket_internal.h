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
#include "webby/http1_engine.h"

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

    IoResult send_all(std::string_view data, Deadline deadline) { return send_all(data, 0, deadline); }
    IoResult send_all(std::string_view data, int flags, Deadline deadline) {
        std::size_t sent = 0;
        while (sent < data.size()) {
            const IoResult some = patiently(
                [&] { return nutils::send_some(socket_.fd(), data.substr(sent), flags); }, deadline);
            if (some.error) return {sent, some.error};
            sent += some.bytes;
        }
        return {sent, {}};
    }
    IoResult send_all_v(std::span<iovec> pieces, Deadline deadline) {
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const auto& piece = pieces[i];
            const int flags = i + 1 < pieces.size() ? MSG_MORE : 0;
            const IoResult sent =
                send_all({static_cast<const char*>(piece.iov_base), piece.iov_len}, flags, deadline);
            if (sent.error) return sent;
        }
        return {};
    }
    IoResult sendfile_all(int file, off_t offset, std::size_t count, Deadline deadline) {
        while (count > 0) {
            const IoResult some =
                patiently([&] { return nutils::sendfile_some(socket_.fd(), file, offset, count); }, deadline);
            if (some.error == std::errc::invalid_argument || some.error == std::errc::function_not_supported)
                return send_by_reading(file, offset, count, deadline);
            if (some.error) return some;
            count -= some.bytes;
        }
        return {};
    }
    IoResult send_file(const Http1Engine::Output& output) {
        const IoResult head = send_all(output.text, MSG_MORE, Deadline::never);
        if (!head) return head;
        return sendfile_all(output.file, output.offset, static_cast<std::size_t>(output.count),
                            Deadline::never);
    }
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
            if (const std::error_code error = poll_until(socket_.fd(), POLLOUT, limited(deadline)))
                return {0, error};
        }
    }
    IoResult send_by_reading(int file, off_t offset, std::size_t count, Deadline deadline) {
        std::array<char, 16 * 1024> piece;
        while (count > 0) {
            const IoResult got = nutils::read_at(file, {piece.data(), std::min(count, piece.size())}, offset);
            if (got.error) return got;
            if (const IoResult sent = send_all({piece.data(), got.bytes}, deadline); sent.error) return sent;
            offset += static_cast<off_t>(got.bytes);
            count -= got.bytes;
        }
        return {};
    }

    nutils::BlockingSocket& socket_;
    const cutils::Duration io_timeout_;
    bool may_recv_ = true;
};

}  // namespace webby
