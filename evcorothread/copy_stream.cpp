#include "evcorothread/copy_stream.h"

#include <exception>
#include <memory>
#include <utility>

#include "evcorothread/byte_turns_internal.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/relay_internal.h"

namespace evcorothread {
namespace {

using nutils::ByteStream;

// What a TLS record holds.
constexpr std::size_t kBuffer = 16 * 1024;

// Streams that are always ready suspend nobody, and so never look at the deadline.
std::error_code give_way(const ByteStream& from, Deadline deadline) {
    if (this_evthread::in_evthread()) this_evthread::yield();
    return deadline.passed(from.now()) ? NetError::timed_out : std::error_code();
}

}  // namespace

CopyResult copy_stream(ByteStream& from, ByteStream& to, Deadline deadline) {
    const auto buffer = std::make_unique_for_overwrite<char[]>(kBuffer);
    deadline = deadline.resolved(from.now());
    CopyResult result;
    ByteTurns turns;
    for (;;) {
        if (turns.is_over(result.bytes)) {
            result.read_error = give_way(from, deadline);
            if (result.read_error) return result;
        }
        const IoResult got = from.recv({buffer.get(), kBuffer}, deadline);
        if (got.eof()) break;
        if (got.error) {
            result.read_error = got.error;
            return result;
        }
        const IoResult sent = to.send_all({buffer.get(), got.bytes}, deadline);
        result.bytes += sent.bytes;
        if (sent.error) {
            result.write_error = sent.error;
            result.undelivered = got.bytes - sent.bytes;
            return result;
        }
    }
    const IoResult told = to.finish_send(deadline);
    // A peer that is gone cannot be told; all it sent has been delivered.
    if (told.error && told.error != std::errc::not_connected)
        result.write_error = told.error;
    else
        result.finished = true;
    return result;
}

namespace {

// A direction in a coroutine of its own.
struct Direction {
    ByteStream& from;
    ByteStream& to;
    CopyResult result{};
    std::exception_ptr thrown{};
    bool over = false;
    EvThread thread{};

    bool start(EvLoop& loop, WaitPoint& done, const Direction& other, Deadline deadline) {
        auto started = loop.try_spawn("relay", [this, &done, &other, deadline] {
            try {
                result = copy_stream(from, to, deadline);
            } catch (...) {
                thrown = std::current_exception();
            }
            over = true;
            // A peer that takes no more leaves the other direction alone: it may have sent more before it
            // went.
            if (other.over || thrown || result.read_error || is_our_own_failure(result.write_error))
                done.wake();
        });
        if (started) thread = *std::move(started);
        return started.ok();
    }
    // Whatever happens to the caller, its stack must not go before this has ended.
    void end() {
        thread.cancel();
        const LastingShield shield(Deadline::never);
        (void)thread.join(Deadline::never);
    }
};

}  // namespace

RelayResult relay(ByteStream& a, ByteStream& b, Deadline deadline) {
    deadline = deadline.resolved(a.now());
    EvLoop& loop = this_evthread::loop();
    WaitPoint done("relay");
    Direction forth{a, b};
    Direction back{b, a};
    const bool started = forth.start(loop, done, back, deadline) && back.start(loop, done, forth, deadline);
    Wake cause = Wake::event;
    if (started) cause = done.wait(Deadline::never);
    forth.end();
    back.end();
    for (const std::exception_ptr& thrown : {forth.thrown, back.thrown})
        if (thrown) std::rethrow_exception(thrown);
    if (!started) forth.result.read_error = back.result.read_error = NetError::busy;
    if (cause == Wake::canceled)
        for (Direction* const each : {&forth, &back})
            if (!each->result.finished && !each->result.error()) each->result.read_error = NetError::canceled;
    return {forth.result, back.result};
}

}  // namespace evcorothread
