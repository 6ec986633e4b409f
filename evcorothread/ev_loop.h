// EvLoop: runs coroutine threads on one OS thread, and wakes them when descriptors, timers and other threads
// have something for them. Built on a libevent event_base, owned or adopted.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "corothread/stack_pool.h"
#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/thread_report.h"
#include "nutils/net_error.h"

struct event_base;  // libevent's; its header is not needed here

namespace evcorothread {

struct LoopCore;

enum class LoopClock {
    monotonic,  // CLOCK_MONOTONIC
    // Time stands still while anything is ready, then jumps to the next deadline: a test of an hour takes a
    // millisecond, the same way every time. It does not know of what goes on elsewhere (offload(), another
    // OS thread or process): there any deadline passes first, so wait for that with Deadline::never.
    virtual_time,
};

struct EvLoopOptions {
    LoopClock clock = LoopClock::monotonic;
    // Ready coroutines run in an order drawn from this seed instead of first-come-first-served: finds code
    // that works only in the usual order. The same seed gives the same order.
    std::optional<std::uint64_t> shuffle_seed{};
};

// Usage:
//
//   corothread::StackPool stacks({.count = 100, .pages = 5});
//   EvLoop loop(stacks);
//   loop.spawn("hello", [] { (void)this_evthread::delay(1s); std::puts("hello"); });
//   loop.run();   // returns when nothing is left to do, or after stop()
//
// Owner:    the application; must outlive its acceptors, sockets and timers, and die before its StackPool.
//           Several loops may live in one process, each on its own OS thread.
// Thread:   all calls on the OS thread that runs it, except post() and stop(). Before run() that is the
//           thread that made it; run() may be called on another one as long as no coroutine has run yet.
// Order:    ready coroutines run first-come first-served; I/O is looked at about once a millisecond, after
//           128 switches at the least and 2,048 at the most.
// Idle:     costs no CPU.
class EVC_API EvLoop {
  public:
    using Options = EvLoopOptions;

    // A loop with an event_base of its own. Errors: std::system_error (no descriptors, no memory).
    explicit EvLoop(corothread::StackPool& stacks, Options options = {});

    // A loop inside an event_base that the application runs itself (event_base_dispatch): coroutines run from
    // its callbacks. The base is neither configured nor freed; it must use epoll (edge-triggered events) and
    // outlive the loop. Our events keep the base's dispatch going only while there is work (see run), an open
    // socket that was waited on, a signal that is watched, or a child process. Not for virtual time.
    EvLoop(corothread::StackPool& stacks, event_base* adopted, Options options = {});

    EvLoop(const EvLoop&) = delete;
    EvLoop& operator=(const EvLoop&) = delete;
    // shutdown(), without a limit. Suspended stacks are never destroyed: coroutines end by themselves,
    // canceled. Once none is left, a loop may end on any thread.
    ~EvLoop();

    // Runs until stop() is called or no work is left: no coroutine, open acceptor, parked connection, running
    // timer, or Hold. Before: an owned base; not inside a coroutine.
    void run();

    // Runs what is ready, and what becomes ready without waiting, then returns; never blocks, never moves
    // virtual time. So a test can say: this has *not* happened yet. Before: as run.
    void run_ready();

    // With a virtual clock: moves it on by `step`, running what becomes due on the way, in order. Before: as
    // run.
    void advance(Duration step);

    // Makes run() return soon; what is unfinished stays as it is, and a later run() goes on. Any thread;
    // on the loop's own also in a signal handler.
    void stop();

    // Cancels all coroutines and runs until none is left or the deadline passes. Returns whether none is
    // left. Names in the log, once, those that take longer than five seconds, and drops those that never had
    // a stack when other users of the pool keep them all. Before: not inside a coroutine.
    bool shutdown(Deadline deadline);

    // Runs `f` on a coroutine thread of its own. Never suspends the caller, and `f` does not start before the
    // caller waits or yields. With no free stack the new thread waits its turn for one
    // (EvThreadState::waiting_for_stack).
    // Errors:   std::bad_alloc. An exception that leaves `f` is logged with the name and reaches join().
    // Lifetime: `f` is moved to the new stack and destroyed there when it has returned.
    // Cost:     about 25 ns together with its end; no allocation unless it has to wait for a stack.
    template <std::invocable F>
    EvThread spawn(std::string_view name, F&& f) {
        std::decay_t<F> body(std::forward<F>(f));
        return EvThread(spawn_body(name, kBody<std::decay_t<F>>, &body));
    }
    template <std::invocable F>
    EvThread spawn(F&& f) {
        return spawn({}, std::forward<F>(f));
    }

    // The same, or `busy` when there is no free stack (or others wait for one).
    template <std::invocable F>
    cutils::Result<EvThread> try_spawn(std::string_view name, F&& f) {
        if (!stack_free_now()) return std::error_code(nutils::NetError::busy);
        return spawn(name, std::forward<F>(f));
    }

    // Calls `f` on the loop's thread, soon, outside any coroutine: it must not wait (spawn for that). The one
    // door for other OS threads. Any thread; in order for each of them. What is posted after the loop has
    // ended is destroyed unrun. In an adopted base, it runs only while the loop has work: keep a Hold.
    void post(std::function<void()> f);

    // The clock of this loop. now() is as of the current pass over the ready coroutines: cheap, and good
    // enough for deadlines of seconds.
    [[nodiscard]] TimePoint now() const;
    // Reads the clock.
    [[nodiscard]] TimePoint precise_now() const;

    [[nodiscard]] corothread::StackPool& stacks() const;
    [[nodiscard]] event_base* base() const;
    // How many coroutine threads live, those waiting for a stack included.
    [[nodiscard]] std::size_t thread_count() const;
    [[nodiscard]] bool on_loop_thread() const;

    // Calls `visit` for every coroutine thread that has a stack: to show what is going on.
    struct ThreadInfo {
        std::uint64_t id;
        std::string_view name;
        EvThreadState state;
        const char* waits_for;  // the reason of its WaitPoint, or null
        bool canceled;
    };
    void for_each_thread(const std::function<void(const ThreadInfo&)>& visit) const;

    // Where everybody is: every coroutine thread, by id, then those that wait for a stack; with name, state,
    // what it waits for, its deadline, its stack and its backtrace.
    [[nodiscard]] std::vector<ThreadReport> report_threads(DumpOptions options = {}) const;
    // The same as text, for people:
    //
    //   loop 0x55…: 2 coroutines; 2 of 100 stacks of 20.0 KiB in use
    //     1 "client" parked in recv (descriptor 9, peer 10.0.0.2:55310), deadline in 2.9 s; stack 1.1 of 20.0
    //     KiB
    //       #0 evcorothread::FdWatch::wait(…)+0x9d (/usr/bin/server+0x2f31c)
    //
    // On a signal: SignalWatch dump(loop, {SIGUSR1}, [](int) { EvLoop::request_dump_of_all(); });
    // Before: on the loop's thread; in a coroutine or not. See request_dump() for other threads. A loop that
    // is stuck in a coroutine cannot answer: see StallDetector, or ask a debugger (`evthreads` in gdb).
    // Cost:   see DumpOptions; the loop does nothing else meanwhile.
    [[nodiscard]] std::string dump(DumpOptions options = {}) const;
    // Logs a dump soon, as `info`. Any thread; as post().
    void request_dump(DumpOptions options = {});
    // The same of every loop of the process.
    static void request_dump_of_all(DumpOptions options = {});

    // From now on measures these, and only these: what would cost too much to be done always. Errors:
    // std::bad_alloc.
    void measure(LoopMeasures wanted);
    [[nodiscard]] LoopMeasures measures() const;
    // What LoopMeasures::stacks has found, by name.
    [[nodiscard]] std::vector<StackUse> stack_use() const;

    // While it lives, run() goes on although there is no work: for loops that others post to.
    class EVC_API Hold {
      public:
        explicit Hold(EvLoop& loop);
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        ~Hold();

      private:
        EvLoop& loop_;
    };

    // For the classes of this folder.
    [[nodiscard]] LoopCore& core() const { return *core_; }

    // How to handle a thread's function without knowing its type. It lies right below the control block,
    // which is aligned to 64 bytes.
    static constexpr std::size_t kBodyAlignment = 64;
    struct BodyType {
        std::size_t space;
        void (*move)(void* to, void* from);
        void (*run)(void* body);  // calls, then destroys
        void (*destroy)(void* body) noexcept;
    };

  private:
    template <class Body>
    static constexpr std::size_t space_for() {
        static_assert(alignof(Body) <= kBodyAlignment,
                      "what a coroutine captures is aligned to more than 64 bytes");
        constexpr std::size_t step = alignof(Body) <= 16 ? 16 : kBodyAlignment;
        return (sizeof(Body) + step - 1) / step * step;
    }
    template <class Body>
    static constexpr BodyType kBody{
        space_for<Body>(),
        [](void* to, void* from) { ::new (to) Body(std::move(*static_cast<Body*>(from))); },
        [](void* memory) {
            struct Destroy {
                Body& body;
                ~Destroy() { std::destroy_at(&body); }
            } destroy{*static_cast<Body*>(memory)};
            destroy.body();
        },
        [](void* memory) noexcept { std::destroy_at(static_cast<Body*>(memory)); }};

    friend class Bundle;
    ThreadLink& spawn_body(std::string_view name, const BodyType& type, void* body);
    [[nodiscard]] bool stack_free_now() const;

    std::unique_ptr<LoopCore> core_;
};

}  // namespace evcorothread
