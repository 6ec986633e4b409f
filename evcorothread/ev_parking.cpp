#include "evcorothread/ev_parking.h"

#include <string>
#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/fd_watch_internal.h"
#include "nutils/socket_ops.h"

namespace evcorothread {

struct EvParking::Impl {
    Impl(EvLoop& l, std::string_view n) : loop(l), core(l.core()), name(n) {}

    EvLoop& loop;
    LoopCore& core;
    std::string name;
    cutils::List<Guest::Bay, Guest::Bay> guests;
    std::size_t size = 0, parked = 0, waiting = 0;
    bool draining = false;
    std::function<void()> gone;
};

// Where a guest stands. Small: this is what an idle connection costs besides its socket.
struct EvParking::Guest::Bay final : cutils::ListHook<EvParking::Guest::Bay>, cutils::TimerNode, StackTurn, ReadableListener {
    Bay(Impl& p, Guest& g) : TimerNode(&Bay::on_deadline), parking(p), guest(g), room(p.core) {}
    ~Bay() {
        parking.core.leave_queue(*this);
        ListHook<Bay>::unlink();
        parking.core.timers.remove(*this);
    }
    FdWatch& watch() { return *guest.socket_.watch(); }

    std::error_code park(Deadline idle) {
        if (const std::error_code error = watch().ensure_registered()) return error;
        watch().listener = this;
        if (idle.is_never())
            parking.core.timers.disarm(*this);
        else
            parking.core.timers.arm(*this, idle.resolved(parking.core.now()).at());
        state = State::parked;
        ++parking.parked;
        return {};
    }

    void unpark() {
        watch().listener = nullptr;
        parking.core.timers.disarm(*this);
        state = State::waiting;
        --parking.parked;
    }

    // Something has arrived: a coroutine, now or when there is a stack.
    void readable(FdWatch&) override {
        unpark();
        if (!parking.core.stack_free_now() || !start()) {
            ++parking.waiting;
            parking.core.wait_for_stack(*this);
        }
    }
    void stack_available() override {
        --parking.waiting;
        if (!start()) {
            ++parking.waiting;
            parking.core.wait_for_stack(*this);
        }
    }
    bool start() {
        try {
            parking.loop.spawn(parking.name, [this] { serve(); });
            state = State::active;
            return true;
        } catch (const std::bad_alloc&) {
            return false;  // another turn, when somebody has finished
        }
    }

    // In the coroutine: serve until there is nothing more to read, then park or go.
    void serve() {
        thread = t_here.thread;
        if (canceled) thread->canceled = true;
        Next next = Next::close();
        do {
            try {
                next = guest.serve();
            } catch (const std::exception& error) {
                cutils::log(cutils::LogLevel::error, "a connection is closed because serving it ended by an exception: %s",
                            error.what());
                next = Next::close();
            } catch (...) {
                cutils::log(cutils::LogLevel::error, "a connection is closed because serving it ended by an exception");
                next = Next::close();
            }
            if (!next.keep_ || parking.draining || this_evthread::canceled() || !guest.socket_.is_open()) return leave();
            if (!may_read()) break;
            this_evthread::yield();  // more has come already: others first
        } while (true);
        thread = nullptr;
        if (park(next.idle_)) leave();
    }

    // A short read that nothing was sent after may hide an error without an edge of its own: ask once.
    bool may_read() {
        if (watch().unverified) {
            char byte;
            watch().unverified = false;
            if (!nutils::recv_some(watch().fd, {&byte, 1}, MSG_PEEK).would_block()) watch().readable = true;
        }
        return watch().readable;
    }

    // The connection's end. *this is gone afterwards.
    void leave() {
        Impl& p = parking;
        delete &guest;
        --p.size;
        p.core.drop_work();
        if (p.gone) p.gone();
    }

    void cancel() {
        if (state != State::active) return;
        if (thread != nullptr) return parking.core.cancel(*thread);
        canceled = true;  // it has not begun to run
    }

    static void on_deadline(cutils::TimerNode& node) {
        auto& self = static_cast<Bay&>(node);
        self.guest.expired();
        self.leave_parked();
    }
    void leave_parked() {
        --parking.parked;
        leave();
    }

    Impl& parking;
    Guest& guest;
    TimerRoom room;
    ThreadCore* thread = nullptr;  // that serves, once it runs
    enum class State : unsigned char { parked, waiting, active } state = State::parked;
    bool canceled = false;
};

EvParking::Guest::Guest(EvSocket socket) : socket_(std::move(socket)) {}
EvParking::Guest::~Guest() = default;

EvParking::EvParking(EvLoop& loop, std::string_view name) : impl_(std::make_unique<Impl>(loop, name)) {}

EvParking::~EvParking() {
    close_parked();
    EVC_CHECK(impl_->size == 0, "an EvParking is destroyed while it serves guests: drain, and shut the loop down first");
}

std::error_code EvParking::adopt(std::unique_ptr<Guest> guest, Deadline idle) {
    EVC_CHECK(guest != nullptr && guest->bay_ == nullptr, "EvParking::adopt() wants a guest that is nobody's yet");
    if (!guest->socket_.is_open() || impl_->draining) return NetError::closed;
    guest->bay_ = std::make_unique<Guest::Bay>(*impl_, *guest);
    if (const std::error_code error = guest->bay_->park(idle)) return error;
    impl_->guests.push_back(*guest->bay_);
    ++impl_->size;
    impl_->core.add_work();
    (void)guest.release();  // its bay knows it: leave() deletes
    return {};
}

std::size_t EvParking::size() const { return impl_->size; }
std::size_t EvParking::parked() const { return impl_->parked; }
std::size_t EvParking::waiting() const { return impl_->waiting; }
std::size_t EvParking::active() const { return impl_->size - impl_->parked - impl_->waiting; }

void EvParking::close_parked() {
    impl_->guests.for_each([](Guest::Bay& bay) {
        if (bay.state == Guest::Bay::State::parked) bay.leave_parked();
    });
}

void EvParking::drain() {
    impl_->draining = true;
    close_parked();
}

void EvParking::cancel_active() {
    impl_->guests.for_each([](Guest::Bay& bay) { bay.cancel(); });
}

void EvParking::on_gone(std::function<void()> function) { impl_->gone = std::move(function); }

}  // namespace evcorothread
