// relay and copy_stream between plain sockets: one coroutine, one WaitPoint that both sockets may wake.
#include <optional>
#include <utility>

#include "evcorothread/copy_stream.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/io_call_internal.h"
#include "evcorothread/relay_internal.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"
#include "nutils/splice_ops.h"
#include "nutils/unsent_queue.h"

namespace evcorothread {
namespace {

// What a pipe holds. A larger one would save calls and cost every relay that much memory of a limit for all
// pipes of the user (fs.pipe-user-pages-soft).
constexpr std::size_t kPiece = 64 * 1024;
// Pieces moved before others get their turn.
constexpr int kTurn = 16;

// One direction.
struct Pump {
    Pump(FdWatch& source, FdWatch& target, nutils::PipeEnds between)
        : from(source), to(target), pipe(std::move(between)) {}

    FdWatch& from;
    FdWatch& to;
    nutils::PipeEnds pipe;
    std::size_t held = 0;  // bytes in the pipe
    nutils::UnsentQueue queue;
    bool over = false;
    CopyResult result;

    // Moves what can be moved without waiting; false when there may be more.
    bool move() {
        for (int i = 0; i < kTurn; ++i)
            if (over || !(held > 0 ? put() : take())) return true;
        return false;
    }

    // These say whether there is any use in going on.
    bool take() {
        if (!from.may_read()) return false;
        from.unverified = false;
        const IoResult got = nutils::splice_in(from.fd, pipe, kPiece);
        held = got.bytes;
        if (!got.error) return true;
        if (got.would_block()) {
            from.readable = false;
        } else if (got.eof()) {
            // A peer that is gone cannot be told; all it sent has been delivered.
            const std::error_code told = nutils::shutdown_send(to.fd);
            if (told && told != std::errc::not_connected)
                end(result.write_error, told);
            else
                result.finished = over = true;
        } else {
            end(result.read_error, got.error);
        }
        return false;
    }
    bool put() {
        if (!to.writable) return false;
        const IoResult sent = nutils::splice_out(pipe, to.fd, held);
        if (sent.would_block())
            to.writable = false;
        else if (sent.error)
            end(result.write_error, sent.error);
        if (sent.error) return false;
        to.wrote();
        held -= sent.bytes;
        result.bytes += sent.bytes;
        return true;
    }

    void end(std::error_code& where, const std::error_code& why) {
        where = why;
        over = true;
    }
    [[nodiscard]] bool failed() const { return result.read_error || is_our_own_failure(result.write_error); }
    // It ends for a reason that is not its own.
    void stop(const std::error_code& why) {
        if (!over) end(held > 0 ? result.write_error : result.read_error, why);
    }
    CopyResult finish() {
        result.undelivered = held;
        return result;
    }

    [[nodiscard]] bool busy() const { return from.reader != nullptr || to.writer != nullptr; }
    void wait_at(WaitPoint& point) {
        if (over) return;
        from.reader = &point;
        to.writer = &point;
    }
    void leave(const WaitPoint& point) {
        if (from.reader == &point) from.reader = nullptr;
        if (to.writer == &point) to.writer = nullptr;
    }
};

// One direction or two, between the same sockets.
struct Pumps {
    Pump& forth;
    Pump* back;

    template <class F>
    void each(F&& f) {
        f(forth);
        if (back != nullptr) f(*back);
    }
    bool over() { return forth.over && (back == nullptr || back->over); }
    // Has a direction failed in a way that ends both?
    bool failed() { return forth.failed() || (back != nullptr && back->failed()); }
    void stop(const std::error_code& why) {
        each([&](Pump& pump) { pump.stop(why); });
    }

    std::error_code begin() {
        for (FdWatch* const watch : {&forth.from, &forth.to}) {
            if (const std::error_code error = refusal(watch)) return error;
            if (const std::error_code error = nutils::set_nonblocking(watch->fd, true)) return error;
            if (const std::error_code error = watch->ensure_registered()) return error;
        }
        bool busy = false;
        each([&](Pump& pump) { busy = busy || pump.busy(); });
        return busy ? NetError::busy : std::error_code();
    }

    // Until one of the sockets can do something again.
    std::error_code wait(Deadline deadline) {
        const Deadline own = deadline;
        const Duration idle = std::min(forth.from.idle_timeout, forth.to.idle_timeout);
        if (idle != Duration::max()) {
            each([](Pump& pump) { pump.queue.look(pump.to.fd); });
            deadline = Deadline::earlier(own, idle, forth.from.loop.precise_now());
        }
        bool busy = false;
        each([&](Pump& pump) { busy = busy || (!pump.over && pump.busy()); });
        if (busy) return NetError::busy;
        WaitPoint point("relay");
        each([&](Pump& pump) { pump.wait_at(point); });
        const Wake cause = point.wait(deadline);
        each([&](Pump& pump) { pump.leave(point); });
        if (cause != Wake::timed_out || own.passed(forth.from.loop.precise_now())) return to_error(cause);
        // Who takes what the kernel has for him is not idle, however long it takes until there is room.
        bool taken = false;
        each([&](Pump& pump) { taken = pump.queue.has_shrunk(pump.to.fd) || taken; });
        return taken ? std::error_code() : to_error(cause);
    }

    void run(Deadline deadline) {
        deadline = deadline.resolved(forth.from.loop.precise_now());
        if (const std::error_code error = begin()) return stop(error);
        for (;;) {
            bool waits = true;
            each([&](Pump& pump) { waits = pump.move() && waits; });
            if (over()) return;
            if (failed()) return stop(NetError::canceled);
            std::error_code error;
            if (waits)
                error = wait(deadline);
            else
                error = give_way(deadline);
            if (error) return stop(error);
        }
    }

    // There is more to do, but others, too, want to run.
    std::error_code give_way(Deadline deadline) {
        this_evthread::yield();
        for (const FdWatch* const watch : {&forth.from, &forth.to})
            if (const std::error_code error = refusal(watch)) return error;
        return deadline.passed(forth.from.loop.precise_now()) ? NetError::timed_out : std::error_code();
    }
};

// Both sockets have something to wait on, and there is a pipe.
std::error_code make_pump(std::optional<Pump>& pump, const EvSocket& from, const EvSocket& to) {
    if (from.watch() == nullptr || to.watch() == nullptr) return NetError::closed;
    cutils::Result<nutils::PipeEnds> pipe = nutils::make_splice_pipe();
    if (!pipe) return pipe.error().code();
    pump.emplace(*from.watch(), *to.watch(), *std::move(pipe));
    return {};
}

CopyResult failure(const std::error_code& error) {
    CopyResult result;
    result.read_error = error;
    return result;
}

}  // namespace

CopyResult copy_stream(EvSocket& from, EvSocket& to, Deadline deadline) {
    std::optional<Pump> pump;
    if (const std::error_code error = make_pump(pump, from, to)) return failure(error);
    Pumps{*pump, nullptr}.run(deadline);
    return pump->finish();
}

RelayResult relay(EvSocket& a, EvSocket& b, Deadline deadline) {
    std::optional<Pump> forth;
    std::optional<Pump> back;
    std::error_code error = make_pump(forth, a, b);
    if (!error) error = make_pump(back, b, a);
    if (error) return {failure(error), failure(error)};
    Pumps{*forth, &*back}.run(deadline);
    return {forth->finish(), back->finish()};
}

}  // namespace evcorothread
