#include "evcorothread/ev_parking.h"

#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/thread_start_internal.h"

namespace evcorothread {

struct EvParking::Impl {
    Impl(EvLoop& l, std::string_view n) : loop(l), core(l.core()), name(n) {}

    EvLoop& loop;
    LoopCore& core;
    const ThreadName name;  // of those who serve
    cutils::List<Guest::Bay, Guest::Bay> guests;
    std::size_t size = 0, parked = 0, in_between = 0, waiting = 0;
    bool draining = false;
    bool orders = false;  // keep_order() has been called
    std::function<void()> gone;
};

// Where a guest stands. Small: this is what an idle connection costs besides its socket.
struct EvParking::Guest::Bay final : cutils::ListHook<EvParking::Guest::Bay>,
                                     cutils::TimerNode,
                                     StackTurn,
                                     ReadableListener {
    Bay(Impl& p, Guest& g) : TimerNode(&Bay::on_deadline), parking(p), guest(g), room(p.core) {}
    ~Bay() {
        parking.core.leave_queue(*this);
        ListHook<Bay>::unlink();
        parking.core.timers.remove(*this);
    }
    FdWatch& watch() { return *guest.socket_.watch(); }

    std::error_code park(Deadline until, Next::Kind how = Next::Kind::park) {
        if (!watch().registered) [[unlikely]]
            if (const std::error_code error = watch().ensure_registered()) return error;
        watch().listener = this;
        if (until.is_never())
            parking.core.timers.disarm(*this);
        else
            parking.core.timers.arm(*this, until.resolved(parking.core.now()).at());
        if (!parking.core.owned) parking.core.kick();  // for its timer
        place = how == Next::Kind::park ? Place::parked : Place::in_between;
        waits_for = how;
        if (how == Next::Kind::park && parking.orders && ListHook<Bay>::linked()) {
            ListHook<Bay>::unlink();  // the one parked longest in front
            parking.guests.push_back(*this);
        }
        ++count();
        return {};
    }
    // Of those that are where it is.
    std::size_t& count() { return place == Place::parked ? parking.parked : parking.in_between; }

    void unpark() {
        watch().listener = nullptr;
        parking.core.timers.disarm(*this);
        --count();
        place = Place::elsewhere;
    }

    // Something has arrived: a coroutine, now or when there is a stack.
    void readable(FdWatch&) override {
        unpark();
        take_stack();
    }
    // What has arrived is not forgotten: the watch knows.
    void changed(FdWatch& its_watch, bool may_read, bool may_write) override {
        switch (waits_for) {
            case Next::Kind::wait_writable: return may_write ? readable(its_watch) : void();
            case Next::Kind::wait_woken: return may_read && guest.disturbed() ? readable(its_watch) : void();
            default: return may_read ? readable(its_watch) : void();
        }
    }
    void wake() {
        if (place == Place::in_between && waits_for == Next::Kind::wait_woken) return readable(watch());
        woken = true;  // it is being served, or about to be
    }
    void take_stack() {
        if (!parking.core.may_take_stack() || !start()) go_without_stack();
    }
    // Apart, as all that is rare here: this happens for every request.
    [[gnu::noinline]] void go_without_stack() {
        const std::optional<Next> instead = guest.without_stack();
        if (instead) return go_to(*instead);
        ++parking.waiting;
        since = parking.core.now();
        parking.core.wait_for_stack(*this);
    }
    // Whether it is to stay.
    bool wanted(const Next& next) const {
        return next.kind_ == Next::Kind::park ? !parking.draining : next.kind_ != Next::Kind::close;
    }
    // Without having been served.
    void go_to(const Next& next) {
        if (!wanted(next) || park(next.until_, next.kind_)) leave();
    }
    void stack_available() override {
        --parking.waiting;
        guest.waited_ = parking.core.now() - since;
        if (!start()) {
            ++parking.waiting;
            parking.core.wait_for_stack(*this);
        }
    }
    // A thread without a handle, and without the detour by a function object: this happens for every request.
    bool start() {
        static constexpr EvLoop::BodyType kServe{
            16, [](void* to, void* from) { *static_cast<Bay**>(to) = *static_cast<Bay**>(from); },
            [](void* bay) { (*static_cast<Bay**>(bay))->serve(); }, [](void*) noexcept {}};
        Bay* self = this;
        thread = parking.core.start_here(parking.name, kServe, &self);
        if (thread == nullptr) return false;  // another turn, when somebody has finished
        ++parking.core.thread_count;          // as add_thread(): the guest is work already
        return true;
    }

    // In the coroutine: serve until there is nothing more to read, then park or go.
    void serve() {
        Next next = Next::close();
        do {
            try {
                next = guest.serve();
            } catch (const std::exception& error) {
                cutils::log(cutils::LogLevel::error,
                            "a connection is closed because serving it ended by an exception: %s",
                            error.what());
                next = Next::close();
            } catch (...) {
                cutils::log(cutils::LogLevel::error,
                            "a connection is closed because serving it ended by an exception");
                next = Next::close();
            }
            const FdWatch* const watched = guest.socket_.watch();  // null: it was moved away
            const bool ended = thread->canceled() || watched == nullptr || watched->fd < 0;
            if (ended || !wanted(next)) return leave();
            if (!has_come(next.kind_)) break;
            this_evthread::yield();  // more has come already: others first
        } while (true);
        thread = nullptr;
        if (park(next.until_, next.kind_)) leave();
    }

    // Is it there already, what it is to wait for?
    bool has_come(Next::Kind kind) {
        switch (kind) {
            // The kernel has just refused to take more: when it does, that is an edge, on the next pass.
            case Next::Kind::wait_writable: return false;
            case Next::Kind::wait_woken:
                return std::exchange(woken, false) || (may_read() && guest.disturbed());
            default: return may_read();
        }
    }

    // Is there anything to serve? What is known may be old: a read that just filled its buffer, or one that
    // hid an error without an edge of its own. Then the kernel is asked once; not by a read, which would take
    // the error away.
    bool may_read() { return watch().may_read() && ask_for_input(); }
    [[gnu::noinline]] bool ask_for_input() {
        pollfd asked{watch().fd, POLLIN, 0};
        watch().unverified = false;
        return watch().readable = ::poll(&asked, 1, 0) != 0;
    }

    // Something that the loop has not heard of yet: asked only where closing would lose it.
    [[nodiscard]] bool has_input() {
        char byte;
        return ::recv(watch().fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    }

    // The connection's end. *this is gone afterwards.
    [[gnu::noinline]] void leave() {
        Impl& p = parking;
        delete &guest;
        --p.size;
        p.core.drop_work();
        try {
            if (p.gone) p.gone();
        } catch (...) {
            log_exception("the function that is told of a guest's end");
        }
    }

    void cancel() {
        if (place == Place::in_between) return leave_parked();
        if (thread != nullptr) parking.core.cancel(*thread);
    }

    static void on_deadline(cutils::TimerNode& node) {
        auto& self = static_cast<Bay&>(node);
        self.unpark();  // it must not be closed again by what expired() does
        bool serve_again = false;
        try {
            serve_again = self.guest.expired();
        } catch (...) {
            log_exception("a guest's expired()");
        }
        return serve_again ? self.take_stack() : self.leave();
    }
    void leave_parked() {
        --count();
        leave();
    }

    Impl& parking;
    Guest& guest;
    TimerRoom room;
    TimePoint since{};             // it waits for a stack
    ThreadCore* thread = nullptr;  // that serves; null: parked, or waiting for a stack
    enum class Place : std::uint8_t { elsewhere, parked, in_between } place = Place::elsewhere;
    Next::Kind waits_for = Next::Kind::park;
    bool woken = false;  // wake() has come before wait_woken()
};

EvParking::Guest::Guest(EvSocket socket) : socket_(std::move(socket)) {}
EvParking::Guest::~Guest() = default;
void EvParking::Guest::wake() {
    if (bay_ == nullptr) return;
    bay_->parking.core.check_thread_while_running();
    bay_->wake();
}

EvParking::EvParking(EvLoop& loop, std::string_view name) : impl_(std::make_unique<Impl>(loop, name)) {}

EvParking::~EvParking() {
    impl_->guests.for_each([](Guest::Bay& bay) {
        if (bay.place == Guest::Bay::Place::parked) bay.leave_parked();
    });
    EVC_CHECK(impl_->size == 0,
              "an EvParking is destroyed while it serves guests: drain, and shut the loop down first");
}

std::error_code EvParking::adopt(std::unique_ptr<Guest> guest, Deadline idle) {
    EVC_CHECK(guest != nullptr && guest->bay_ == nullptr,
              "EvParking::adopt() wants a guest that is nobody's yet");
    impl_->core.check_thread();
    if (!guest->socket_.is_open() || impl_->draining) return NetError::closed;
    guest->bay_ = std::make_unique<Guest::Bay>(*impl_, *guest);
    Guest::Bay& bay = *guest->bay_;
    const bool was_registered = bay.watch().registered;
    if (const std::error_code error = bay.park(idle)) return error;
    impl_->guests.push_back(bay);
    ++impl_->size;
    impl_->core.add_work();
    (void)guest.release();  // its bay knows it: leave() deletes
    // What a socket in use has left unread makes no event any more.
    if (was_registered && bay.may_read()) bay.readable(bay.watch());
    return {};
}

std::size_t EvParking::size() const { return impl_->size; }
std::size_t EvParking::parked() const { return impl_->parked; }
std::size_t EvParking::in_between() const { return impl_->in_between; }
std::size_t EvParking::waiting() const { return impl_->waiting; }
std::size_t EvParking::active() const {
    return impl_->size - impl_->parked - impl_->in_between - impl_->waiting;
}

void EvParking::keep_order() { impl_->orders = true; }

bool EvParking::close_oldest() {
    impl_->core.check_thread_while_running();
    Guest::Bay* const oldest = impl_->guests.find_if([](Guest::Bay& bay) {
        return bay.place == Guest::Bay::Place::parked && !bay.may_read() && !bay.has_input();
    });
    if (oldest == nullptr) return false;
    oldest->leave_parked();
    return true;
}

void EvParking::close_parked() {
    impl_->core.check_thread_while_running();
    impl_->guests.for_each([](Guest::Bay& bay) {
        if (bay.place != Guest::Bay::Place::parked) return;
        if (bay.has_input())
            bay.readable(bay.watch());
        else
            bay.leave_parked();
    });
}

void EvParking::drain() {
    impl_->core.check_thread_while_running();
    impl_->draining = true;
    close_parked();
}

void EvParking::cancel_active() {
    impl_->core.check_thread_while_running();
    impl_->guests.for_each([](Guest::Bay& bay) { bay.cancel(); });
}

void EvParking::shutdown() {
    LoopCore& core = impl_->core;
    EVC_CHECK(t_here.thread == nullptr, "EvParking::shutdown() is called inside a coroutine");
    drain();
    cancel_active();
    if (impl_->size == 0) return;
    using namespace std::chrono_literals;
    const TimePoint complain_at = core.virtual_time ? TimePoint::max() : core.precise_now() + 5s;
    core.run_while(
        [this] {
            cancel_active();  // those, too, that had no stack before
            return impl_->size > 0;
        },
        complain_at,
        [this] {
            log(cutils::LogLevel::warning,
                "%zu parked connections are still being served, canceled five seconds ago", impl_->size);
        });
}

void EvParking::on_gone(std::function<void()> function) { impl_->gone = std::move(function); }

}  // namespace evcorothread
