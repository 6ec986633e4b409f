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
#include "webby/peer_gone_internal.h"

namespace webby {

// How a session with a client goes on: nothing of a next request is there (park); in the middle of something
// the client has to send more, until Conversation::until (wait); or it is over.
enum class SessionEnd { park, wait, close };

// What a connection has of its conversation while nobody works on it.
struct Conversation {
    Exchange* exchange = nullptr;  // in the middle of something
    cutils::TimePoint until{};
    ConnectionMemory memory{};
    std::uint32_t lingered = 0;  // bytes forgotten
    bool lingering = false;      // answered for the last time: waits for the client to close
    bool expired = false;        // `until` has passed
};

// Moves bytes between a socket and an exchange as long as there are some. Each wait of a Socket's send
// functions is limited by the I/O timeout; nothing else here waits but servlets. LoopSocket is one,
// ThreadSocket another.
template <class Socket>
class Session final : public Wire {
  public:
    // Before: conversation.exchange has begun, or resumed, with this session as its wire.
    Session(ExchangeContext& context, Socket& socket, Conversation& conversation)
        : timeouts_(context.timeouts),
          socket_(socket),
          conversation_(conversation),
          exchange_(*conversation.exchange),
          engine_(exchange_.engine()) {}

    SessionEnd run() {
        if (conversation_.lingering) return conversation_.expired ? SessionEnd::close : linger();
        Exchange::Want want = Exchange::Want::input;
        if (std::exchange(conversation_.expired, false)) {
            exchange_.time_out();
            want = exchange_.advance();
        }
        for (;; want = exchange_.advance()) {
            if (!send_output()) return SessionEnd::close;
            switch (want) {
                case Exchange::Want::send:
                case Exchange::Want::deferred: break;
                case Exchange::Want::source:
                    if (!exchange_.wait_for_source()) return SessionEnd::close;
                    break;
                case Exchange::Want::input:
                    if (engine_.is_idle() && !socket_.may_recv()) return SessionEnd::park;
                    switch (receive()) {
                        case Received::something: break;
                        case Received::nothing: return engine_.is_idle() ? SessionEnd::park : wait();
                        case Received::failure: return SessionEnd::close;
                    }
                    break;
                case Exchange::Want::close: return engine_.lingers() ? begin_to_linger() : SessionEnd::close;
            }
        }
    }

    nutils::IoResult refill(cutils::Deadline deadline) override {
        if (!send_output(deadline)) return {0, std::make_error_code(std::errc::broken_pipe)};
        const nutils::IoResult got = socket_.recv(engine_.input_space(), deadline);
        if (got) exchange_.received(got.bytes);
        if (!got.eof()) return got;
        engine_.end_of_input();
        return {};
    }
    std::error_code flush(cutils::Deadline deadline) override { return send_output(deadline).error; }
    bool peer_gone() const override { return webby::peer_gone(socket_.fd()); }
    nutils::SockAddr peer() const override { return socket_.peer().value_or(nutils::SockAddr()); }
    std::optional<evcorothread::TlsInfo> tls() const override { return socket_.tls(); }
    cutils::TimePoint now() const override { return socket_.lately(); }
    cutils::TimePoint precise_now() const override { return socket_.now(); }

  private:
    using Deadline = cutils::Deadline;
    using IoResult = nutils::IoResult;
    enum class Received { something, nothing, failure };

    // The socket's I/O timeout limits each wait: a client that takes a little now and then may take all day.
    IoResult send_output(Deadline deadline = Deadline::never) {
        if (!engine_.has_output()) return {};
        const IoResult sent =
            engine_.must_send() ? send_large(deadline) : socket_.send_all(engine_.output_text(), deadline);
        exchange_.sent(sent);
        return sent;
    }

    [[gnu::noinline]] IoResult send_large(Deadline deadline) {
        const Http1Engine::Output output = engine_.output();
        std::array<iovec, 2> pieces = {iovec{const_cast<char*>(output.text.data()), output.text.size()},
                                       iovec{const_cast<char*>(output.body.data()), output.body.size()}};
        if (output.file < 0) return socket_.send_all_v(pieces, deadline);
        return socket_.send_file(output);
    }

    Received receive() {
        const IoResult got = socket_.try_recv(engine_.input_space());
        if (got) [[likely]] {
            exchange_.received(got.bytes);
            return Received::something;
        }
        if (got.would_block()) return Received::nothing;
        if (!got.eof()) return Received::failure;
        engine_.end_of_input();
        return Received::something;
    }

    SessionEnd wait() {
        conversation_.until = exchange_.input_deadline(now());
        return SessionEnd::wait;
    }

    // Waits for the client to close first, forgetting what it still sends: closing a socket with unread input
    // resets the connection, and the reset may overtake the answer.
    SessionEnd begin_to_linger() {
        if (!socket_.shutdown_send()) return SessionEnd::close;
        conversation_.lingering = true;
        conversation_.until = now() + timeouts_.linger;
        return linger();
    }
    SessionEnd linger() {
        std::array<char, 2048> forgotten;
        for (;;) {
            const IoResult got = socket_.try_recv(forgotten);
            if (got.would_block()) return SessionEnd::wait;
            conversation_.lingered += static_cast<std::uint32_t>(got.bytes);
            if (!got || conversation_.lingered >= kLingerBytes) return SessionEnd::close;
        }
    }

    const Timeouts& timeouts_;
    Socket& socket_;
    Conversation& conversation_;
    Exchange& exchange_;
    Http1Engine& engine_;
};

}  // namespace webby
