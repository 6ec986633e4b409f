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
#include "nutils/unsent_queue.h"
#include "webby/exchange.h"
#include "webby/forget_input_internal.h"
#include "webby/limits.h"
#include "webby/output_steps_internal.h"
#include "webby/peer_gone_internal.h"

namespace webby {

// How a session with a client goes on: nothing of a next request is there (park); in the middle of something
// the client has to send more (wait), or to take more (wait_writable), or somebody else has to answer
// (wait_answer: only where there is an AnswerWaiter), until Conversation::until; or it is over.
enum class SessionEnd { park, wait, wait_writable, wait_answer, close };

// What a connection has of its conversation while nobody works on it.
struct Conversation {
    Exchange* exchange = nullptr;  // in the middle of something
    cutils::TimePoint until{};
    ConnectionMemory memory{};
    std::uint64_t sent = 0;      // of the engine's output, which is being sent
    Exchange::Want want{};       // what comes after that; or what the answer is waited for with
    std::uint32_t lingered = 0;  // bytes forgotten
    nutils::UnsentQueue queue;   // looked at when the kernel took no more, and when `until` has passed
    bool writing = false;        // the client has to take more
    bool answering = false;      // somebody else has to answer
    bool lingering = false;      // answered for the last time: waits for the client to close
    bool expired = false;        // `until` has passed
    [[nodiscard]] bool is_under_way() const { return writing | answering | lingering | expired; }
};

// Moves bytes between a socket and an exchange as long as there are some. Nothing here waits but servlets
// that read or write bodies themselves: then each wait of the Socket's send functions is limited by the I/O
// timeout. LoopSocket is a Socket, ThreadSocket another.
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
        Exchange::Want want = Exchange::Want::input;
        if (conversation_.is_under_way()) [[unlikely]]
            if (const std::optional<SessionEnd> end = take_up(want)) return *end;
        for (int sends = 1;; want = exchange_.advance(), ++sends) {
            switch (try_send_output()) {
                case Sent::all: break;
                case Sent::some: return wait_for_room(want);
                case Sent::failure: exchange_.count_cut(); return SessionEnd::close;
            }
            if (want == Exchange::Want::input) [[likely]] {
                if (engine_.is_idle() && !may_recv()) return SessionEnd::park;
                switch (receive()) {
                    case Received::something: continue;
                    case Received::nothing: return engine_.is_idle() ? SessionEnd::park : wait();
                    case Received::failure: return SessionEnd::close;
                }
            }
            switch (want) {
                case Exchange::Want::send:
                    if (sends % kStepsInARow == 0 || engine_.take_worked())
                        socket_.let_others_go_first();  // a fast client with much to take, or much to make
                    break;
                case Exchange::Want::deferred:
                    if (exchange_.has_answer()) break;
                    return wait_for_answer(want, exchange_.answer_deadline().at());
                case Exchange::Want::source:
                    if (!exchange_.can_be_told()) {
                        if (!exchange_.wait_for_source()) return SessionEnd::close;
                    } else if (exchange_.watch_source()) {
                        return wait_for_answer(want, now() + Exchange::kSlowSource);
                    }
                    break;
                case Exchange::Want::input: break;  // above
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
    int fd() const override { return socket_.fd(); }
    nutils::SockAddr peer() const override { return socket_.peer().value_or(nutils::SockAddr()); }
    std::optional<evcorothread::TlsInfo> tls() const override { return socket_.tls(); }
    cutils::TimePoint now() const override { return socket_.lately(); }
    cutils::TimePoint precise_now() const override { return socket_.now(); }

  private:
    using Deadline = cutils::Deadline;
    using IoResult = nutils::IoResult;
    enum class Received { something, nothing, failure };
    enum class Sent { all, some, failure };

    // Where it was left off. Nothing: go on with `want`.
    [[gnu::noinline]] std::optional<SessionEnd> take_up(Exchange::Want& want) {
        if (conversation_.lingering) return conversation_.expired ? SessionEnd::close : linger();
        if (std::exchange(conversation_.writing, false)) {
            if (conversation_.expired) {
                exchange_.write_timed_out();
                return SessionEnd::close;
            }
            want = conversation_.want;
        } else if (std::exchange(conversation_.answering, false)) {
            if (!go_on_answering()) return SessionEnd::close;
            want = exchange_.advance();
        } else if (std::exchange(conversation_.expired, false)) {
            exchange_.time_out();
            want = exchange_.advance();
        }
        return {};
    }

    // As much as the kernel takes. A slow client holds no stack and no thread.
    Sent try_send_output() {
        if (!engine_.has_output()) return Sent::all;
        if (engine_.must_send() || conversation_.sent > 0) return send_further();
        const std::string_view text = engine_.output_text();
        const IoResult some = socket_.try_send(text);
        if (some.error && !some.would_block()) return Sent::failure;
        conversation_.sent = some.bytes;
        return some.bytes == text.size() ? flush_output() : send_further();
    }
    [[gnu::noinline]] Sent send_further() {
        const Http1Engine::Output output = engine_.output();
        const std::uint64_t all = total_size(output);
        for (int steps = 1; conversation_.sent < all; ++steps) {
            const IoResult some = socket_.send_step(output, conversation_.sent);
            conversation_.sent += some.bytes;
            if (some.would_block()) return Sent::some;
            if (some.error) return Sent::failure;
            if (steps % kStepsInARow == 0) socket_.let_others_go_first();
        }
        return flush_output();
    }
    Sent flush_output() {
        if constexpr (Socket::kKeepsOutput)
            if (const std::error_code error = socket_.try_flush())
                return error == nutils::NetError::would_block ? Sent::some : Sent::failure;
        exchange_.sent_all(conversation_.sent);
        conversation_.sent = 0;
        return Sent::all;
    }
    SessionEnd wait_for_room(Exchange::Want next) {
        conversation_.want = next;
        conversation_.writing = true;
        conversation_.queue.look(socket_.fd());
        conversation_.until = now() + timeouts_.io;
        return SessionEnd::wait_writable;
    }

    SessionEnd wait_for_answer(Exchange::Want what, cutils::TimePoint until) {
        conversation_.want = what;
        conversation_.answering = true;
        conversation_.until = until;
        return SessionEnd::wait_answer;
    }
    // The answer goes on, or does not come, or the client has gone (false).
    bool go_on_answering() {
        const bool late = std::exchange(conversation_.expired, false);
        if (conversation_.want == Exchange::Want::deferred) {
            if (late) (void)exchange_.expire_deferred();
            return true;
        }
        if (late) exchange_.source_is_slow();
        return !peer_gone(socket_.fd());
    }

    // For a servlet that waits. The socket's I/O timeout limits each wait: a client that takes a little now
    // and then may take all day.
    IoResult send_output(Deadline deadline = Deadline::never) {
        if (!engine_.has_output()) return {};
        const IoResult sent = socket_.send_all(engine_.output_text(), deadline);
        exchange_.sent(sent);
        return sent;
    }

    // Spares the socket the question after a short read; what ends the stream is seen by whoever parks it. A
    // TLS record says nothing of the next one.
    [[nodiscard]] bool may_recv() const {
        if constexpr (!Socket::kKeepsOutput)
            if (drained_) return false;
        return socket_.may_recv();
    }
    Received receive() {
        const std::span<char> room = engine_.input_space();
        const IoResult got = socket_.try_recv(room);
        drained_ = got.bytes < room.size();
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

    // Waits for the client to close first, forgetting what it still sends.
    SessionEnd begin_to_linger() {
        if (!socket_.shutdown_send()) return SessionEnd::close;
        conversation_.lingering = true;
        conversation_.until = now() + timeouts_.linger;
        return linger();
    }
    SessionEnd linger() {
        const bool more = forget_input(conversation_.lingered,
                                       [this](std::span<char> room) { return socket_.try_recv(room); });
        return more ? SessionEnd::wait : SessionEnd::close;
    }

    const Timeouts& timeouts_;
    Socket& socket_;
    Conversation& conversation_;
    Exchange& exchange_;
    Http1Engine& engine_;
    bool drained_ = false;  // the last read took all there was
};

}  // namespace webby
