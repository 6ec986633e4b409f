// ThreadTlsSocket: what a Session wants of a socket, for an OS thread that may wait, over TLS. Internal.
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "evcorothread/tls_layer.h"
#include "webby/thread_socket_internal.h"

namespace webby {

// TLS between a connection and its socket; it stays while the connection is idle.
struct ThreadTlsSide final : evcorothread::TlsTransport {
    explicit ThreadTlsSide(nutils::BlockingSocket& below) : socket(below) {}

    nutils::IoResult try_recv(std::span<char> buffer) override {
        const nutils::IoResult got = nutils::recv_some(socket.fd(), buffer);
        may_recv = got.bytes == buffer.size();
        return got;
    }
    nutils::IoResult try_send(std::string_view data) override {
        return nutils::send_some(socket.fd(), data, 0);
    }

    nutils::BlockingSocket& socket;
    evcorothread::TlsLayer layer;
    bool may_recv = true;  // the last reading did not take all there was
};

// Every wait is limited by the I/O timeout, counted from the last progress.
class ThreadTlsSocket {
  public:
    using Deadline = cutils::Deadline;
    using IoResult = nutils::IoResult;

    ThreadTlsSocket(ThreadTlsSide& side, cutils::Duration io_timeout)
        : side_(side), tls_(side.layer), io_timeout_(io_timeout) {
        side.may_recv = true;  // something has woken us
    }

    std::error_code shake_hands(Deadline deadline) {
        for (;;) {
            const std::error_code error = tls_.shake_hands();
            if (error != nutils::NetError::would_block) return error;
            if (const std::error_code waited = wait(POLLIN, deadline)) return waited;
        }
    }

    [[nodiscard]] bool may_recv() const { return side_.may_recv || tls_.has_pending(); }
    IoResult try_recv(std::span<char> buffer) { return tls_.try_recv(buffer); }
    IoResult recv(std::span<char> buffer, Deadline deadline) {
        deadline = limited(deadline);
        for (;;) {
            const IoResult got = tls_.try_recv(buffer);
            if (!got.would_block()) return got;
            if (const std::error_code error = wait(POLLIN, deadline)) return {0, error};
        }
    }

    IoResult send_all(std::string_view data, Deadline deadline) {
        if (const std::error_code error = send_records(data, deadline)) return {0, error};
        return {data.size(), flush(deadline)};
    }
    IoResult try_send(std::string_view data) { return tls_.try_send(data); }
    IoResult send_step(const Http1Engine::Output& output, std::uint64_t sent) {
        const IoResult record = next_record(output, sent, record_);
        return record.error ? IoResult{0, record.error} : tls_.try_send({record_.data(), record.bytes});
    }
    static constexpr bool kKeepsOutput = true;  // until try_flush()
    std::error_code try_flush() { return tls_.flush(); }
    static void let_others_go_first() {}
    IoResult shutdown_send() {
        tls_.say_goodbye();
        return {};
    }
    [[nodiscard]] cutils::Result<nutils::SockAddr> peer() const {
        return nutils::SockAddr::peer_of(side_.socket.fd());
    }
    [[nodiscard]] std::optional<evcorothread::TlsInfo> tls() const { return tls_.info(); }
    [[nodiscard]] int fd() const { return side_.socket.fd(); }
    [[nodiscard]] static cutils::TimePoint lately() { return cutils::monotonic_now(); }
    [[nodiscard]] static cutils::TimePoint now() { return cutils::monotonic_now(); }

  private:
    [[nodiscard]] Deadline limited(Deadline deadline) const {
        return Deadline::earlier(deadline, io_timeout_, lately());
    }
    // What TLS itself has to say goes out on the way.
    std::error_code wait(short events, Deadline deadline) {
        const bool room = tls_.wants_room();
        const short all = static_cast<short>(room ? events | POLLOUT : events);
        const std::error_code error = events == POLLOUT
                                          ? wait_for_room(side_.socket.fd(), all, io_timeout_, deadline)
                                          : poll_until(side_.socket.fd(), all, deadline);
        if (error || !room) return error;
        const std::error_code flushed = tls_.flush();
        return flushed == nutils::NetError::would_block ? std::error_code() : flushed;
    }
    std::error_code send_records(std::string_view data, Deadline deadline = Deadline::never) {
        while (!data.empty()) {
            const IoResult some = tls_.try_send(data);
            data.remove_prefix(some.bytes);
            if (!some.error) continue;
            if (!some.would_block()) return some.error;
            if (const std::error_code error = wait(POLLOUT, deadline)) return error;
        }
        return {};
    }
    std::error_code flush(Deadline deadline = Deadline::never) {
        for (;;) {
            const std::error_code error = tls_.flush();
            if (error != nutils::NetError::would_block) return error;
            if (const std::error_code waited = wait(POLLOUT, deadline)) return waited;
        }
    }
    ThreadTlsSide& side_;
    evcorothread::TlsLayer& tls_;
    const cutils::Duration io_timeout_;
    std::array<char, kRecordSize> record_;  // an OS thread has stack enough
};

}  // namespace webby
