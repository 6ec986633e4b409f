// What a loop does in the child of a fork. Descriptors that are more than a number — the epoll set, the
// timerfd, the eventfd, the socket pair of libevent's signal handler — are shared with the parent then: what
// one process arms, drains or is told would be the other's. The child gets its own.
#include <event2/event.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

std::error_code LoopCore::make_spares(ForkSpares& spares) {
    spares.timer.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (spares.timer) spares.wake.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    return spares.wake ? std::error_code() : std::error_code(errno, std::generic_category());
}

namespace {

std::vector<event*> signal_watches(event_base* base) {
    std::vector<event*> watches;
    event_base_foreach_event(
        base,
        [](const event_base*, const event* found, void* list) {
            if ((event_get_events(found) & EV_SIGNAL) != 0)
                static_cast<std::vector<event*>*>(list)->push_back(const_cast<event*>(found));
            return 0;
        },
        &watches);
    return watches;
}

// A child whose loop has something of its parent's must not go on: it would drain what the parent waits for.
// Nobody here can be told, so the parent learns it from the exit code, and people from the log.
[[noreturn]] void end_child(const char* what) {
    cutils::log(cutils::LogLevel::error, "fork_child: process %d cannot %s: %s; it ends with %d",
                static_cast<int>(::getpid()), what, std::generic_category().message(errno).c_str(),
                EXIT_FAILURE);
    ::_exit(EXIT_FAILURE);
}

}  // namespace

void LoopCore::after_fork(ForkSpares spares, bool watch_signals) {
    // Under the old numbers, which the events know; before the new epoll set is filled.
    if (::dup3(spares.timer.get(), timer_fd.get(), O_CLOEXEC) < 0 ||
        ::dup3(spares.wake.get(), wake_fd.get(), O_CLOEXEC) < 0)
        end_child("replace its loop's descriptors");
    // Signals out and in again: event_reinit counts them twice, and libevent would say for ever that this
    // base watches some. Those a loop that will not run again watches would never reach anybody.
    const std::vector<event*> signals = signal_watches(base);
    for (event* watch : signals) event_del(watch);
    if (event_reinit(base) != 0) end_child("make an epoll set of its own");
    if (watch_signals)
        for (event* watch : signals)
            if (event_add(watch, nullptr) != 0) end_child("watch signals again");
    armed_at = TimePoint::max();
    last_fired = {};
    cached_now_valid = false;
    if (!owned) kick();
    fork_listeners.for_each([](ForkListener& listener) { listener.forked(); });
}

void LoopCore::cancel_others() {
    turns.for_each([](StackTurn& turn) { turn.forked(); });
    threads.for_each([this](ThreadCore& other) {
        if (&other == t_here.thread) return;
        void_shields(other);
        cancel(other);
    });
}

void LoopCore::continue_alone(LaterTask& task) {
    // Nobody else has a turn any more: the loop, at whose switch to here it goes on, comes to the task next.
    last_ready = nullptr;
    stack_came_back = false;
    later_tasks.push_front(task);
    run_loop(*t_here.thread);
    EVC_CHECK(false, "a forked child's main function has not ended the process");
    __builtin_unreachable();
}

}  // namespace evcorothread
