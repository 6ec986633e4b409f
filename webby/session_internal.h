// Session: a connection at work, for drivers whose caller waits: the coroutine's and the thread's. Internal.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cutils/clock.h"
#include "cutils/deadline.h"
#include "evcorothread/tls_socket.h"
#include "nutils/io_result.h"
#include "nutils/sock_addr.h"
#include "webby/exchange.h"
#include "webby/limits.h"

namespace webby {

// How a session with a client goes on.
enum class SessionEnd { park, close };

// Moves bytes between a socket and an exchange until there is nothing more to do. Each wait of a Socket's
// send functions is limited by the I/O timeout. LoopSocket is one, ThreadSocket another.
template <class Socket>
class Session final : public Wire {
  public:
    Session(const Timeouts& timeouts, Socket& socket, Exchange& exchange)
        : timeouts_(timeouts), socket_(socket), exchange_(exchange), engine_(exchange.engine()) {}

    SessionEnd run() {
        for (Exchange::Want want = Exchange::Want::input;; want = exchange_.advance()) {
            if (!send_output()) return SessionEnd::close;
            switch (want) {
                case Exchange::Want::send:
                case Exchange::Want::deferred: break;
                case Exchange::Want::input:
                    if (engine_.is_idle() && !socket_.may_recv()) return SessionEnd::park;
                    switch (receive()) {
                        case Received::something: break;
                        case Received::nothing: return SessionEnd::park;
                        case Received::failure: return SessionEnd::close;
                    }
                    break;
                case Exchange::Want::close:
                    if (engine_.lingers()) linger();
                    return SessionEnd::close;
            }
        }
    }

    nutils::IoResult refill(cutils::Deadline deadline) override {
        if (!send_output()) return {0, std::make_error_code(std::errc::broken_pipe)};
        const nutils::IoResult got = socket_.recv(engine_.input_space(), deadline);
        if (got) engine_.received(got.bytes);
        if (!got.eof()) return got;
        engine_.end_of_input();
        return {};
    }
    nutils::SockAddr peer() const override { return socket_.peer().value_or(nutils::SockAddr()); }
    std::optional<evcorothread::TlsInfo> tls() const override { return socket_.tls(); }
    cutils::TimePoint now() const override { return socket_.lately(); }

  private:
    using Deadline = cutils::Deadline;
    using IoResult = nutils::IoResult;
    enum class Received { something, nothing, failure };

    // The socket's I/O timeout limits each wait: a client that takes a little now and then may take all day.
    bool send_output() {
        if (!engine_.has_output()) return true;
        const IoResult sent =
            engine_.must_send() ? send_large() : socket_.send_all(engine_.output_text(), Deadline::never);
        engine_.sent();
        return static_cast<bool>(sent);
    }

    [[gnu::noinline]] IoResult send_large() {
        const Http1Engine::Output output = engine_.output();
        std::array<iovec, 2> pieces = {iovec{const_cast<char*>(output.text.data()), output.text.size()},
                                       iovec{const_cast<char*>(output.body.data()), output.body.size()}};
        if (output.file < 0) return socket_.send_all_v(pieces, Deadline::never);
        return socket_.send_file(output);
    }

    Received receive() {
        const std::span<char> space = engine_.input_space();
        const IoResult got = engine_.is_idle() ? socket_.try_recv(space) : socket_.recv(space, deadline());
        if (got) [[likely]] {
            engine_.received(got.bytes);
            return Received::something;
        }
        if (got.would_block()) return Received::nothing;
        if (got.eof())
            engine_.end_of_input();
        else if (got.timed_out())
            engine_.time_out();
        else
            return Received::failure;
        return Received::something;
    }

    // A head, and what is left of a body that nobody reads, have one deadline from beginning to end, so that
    // dribbling does not help; a body that is read has to make progress, which the socket's I/O timeout sees
    // to.
    Deadline deadline() {
        const bool in_head = engine_.is_reading_head();
        if (!in_head && !engine_.is_draining()) return Deadline::never;
        if (!deadline_ || deadline_of_ != engine_.requests() || deadline_is_of_head_ != in_head) {
            deadline_of_ = engine_.requests();
            deadline_is_of_head_ = in_head;
            deadline_ = now() + (in_head ? timeouts_.head : timeouts_.io);
        }
        return *deadline_;
    }

    // Waits for the client to close first, forgetting what it still sends: closing a socket with unread input
    // resets the connection, and the reset may overtake the answer.
    void linger() {
        std::array<char, 2048> forgotten;
        if (!socket_.shutdown_send()) return;
        const Deadline until = now() + timeouts_.linger;
        for (std::size_t bytes = 0; bytes < kLingerBytes;) {
            const IoResult got = socket_.recv(forgotten, until);
            if (!got) return;
            bytes += got.bytes;
        }
    }

    const Timeouts& timeouts_;
    Socket& socket_;
    Exchange& exchange_;
    Http1Engine& engine_;
    std::optional<cutils::TimePoint> deadline_;
    std::uint64_t deadline_of_ = 0;
    bool deadline_is_of_head_ = false;
};

// An exchange of a pool, for as long as its connection works.
class ExchangeLease {
  public:
    explicit ExchangeLease(ExchangePool& pool) : pool_(pool), exchange_(pool.take()) {}
    ExchangeLease(const ExchangeLease&) = delete;
    ExchangeLease& operator=(const ExchangeLease&) = delete;
    ~ExchangeLease() { pool_.give(exchange_); }
    Exchange& operator*() const { return *exchange_; }

  private:
    ExchangePool& pool_;
    Exchange* exchange_;
};

}  // namespace webby
