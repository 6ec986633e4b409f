// The engine of EvLoop: ready queue, switching, timers, posts, turns. Internal.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "corothread/switch_internal.h"
#include "cutils/check.h"
#include "cutils/intrusive.h"
#include "cutils/timer_heap.h"
#include "evcorothread/bundle.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/here.h"
#include "evcorothread/inbox_internal.h"
#include "nutils/unique_fd.h"

namespace evcorothread {

struct ThreadCore;
struct LocalValues;
struct LoopMeasurements;

inline constexpr std::size_t kMostName = 31;  // bytes of a thread's name

// What every switch touches: one cache line.
struct alignas(64) ThreadHot : ThreadHead {
    ThreadHot(LoopCore& l, const EvLoop::BodyType& t, ThreadHead head, std::uint64_t number)
        : ThreadHead(head), loop(l), type(t), id(number) {}

    [[nodiscard]] bool has(ThreadFlags flag) const { return (flags & flag) != 0; }
    [[nodiscard]] bool canceled() const { return has(kCanceled); }
    // Canceled, and no shield lets it go on (any more): what every call with a Deadline answers with
    // `canceled`, also when it need not wait.
    [[nodiscard]] bool refuses_waits() const;

    corothread::Context context;
    ThreadCore* next_ready;  // while it is ready or runs
    LoopCore& loop;
    WaitPoint* waiting = nullptr;  // while it is parked
    CancelShield* shield = nullptr;
    const EvLoop::BodyType& type;  // its body lies right below
    const std::uint64_t id;
};

// The control block of a coroutine thread, at the top of its own stack: a parked one costs a page and no
// more. Starting one writes two cache lines, and a third one with its name.
struct ThreadCore final : ThreadHot, ThreadLink, cutils::TimerNode {
    // Name: a std::string_view, or a ThreadName (thread_start_internal.h).
    template <class Name>
    ThreadCore(LoopCore& l, std::uint32_t stack, const EvLoop::BodyType& t, const Name& thread_name);

    [[noreturn]] static void entry(corothread::Transfer transfer);
    [[noreturn]] void finish();
    // Tells those who look after a thread, with a stack or waiting for one, that it is over.
    static void tell_end(ThreadLink& link);
    void report(const std::exception_ptr& thrown);
    void limit_to(TimePoint end) {
        flags |= kLimited;
        limit_since_epoch = end.time_since_epoch();
    }
    [[nodiscard]] LocalValues* locals() const { return has_locals ? locals_table : nullptr; }
    LocalValues& make_locals();
    void destroy_locals();  // in coroutine_local.cpp; may run user code, so may suspend
    static void on_deadline(cutils::TimerNode& node);
    // The current thread, aborting when there is none.
    static ThreadCore& current();
    static void check_inside();  // the aborting alone
    // The body of WaitPoint::wait(), and a point without a lookup, for those who wait often.
    static Wake wait(WaitPoint& point, Deadline deadline);
    static bool wake(WaitPoint& point, Wake cause) { return wake(point, cause, *point.thread_); }
    static bool wake(WaitPoint& point, Wake cause, ThreadCore& waiter);
    // wait() without a deadline, in a coroutine that is neither canceled nor limited, at a fresh point.
    static Wake wait_for_ever(WaitPoint& point);
    // wake(event), if the waiter is parked there and somebody else is ready or running; else false.
    static bool wake_parked(WaitPoint& point, ThreadCore& waiter);
    static void wake_quickly(WaitPoint& point);
    static bool woken(const WaitPoint& point) { return point.woken_; }
    static WaitPoint point(ThreadCore& waiter, const char* reason, WaitKind kind, int number = 0) {
        return {waiter, reason, kind, number};
    }
    [[nodiscard]] std::string_view name() const { return {name_text, name_size}; }
    [[nodiscard]] EvThreadState state() const;
    [[nodiscard]] corothread::Stack stack() const;
    [[nodiscard]] void* body() { return reinterpret_cast<char*>(this) - type.space; }

    // Unwritten without kLimited, and without has_locals.
    [[nodiscard]] TimePoint limit() const { return TimePoint(limit_since_epoch); }
    Duration limit_since_epoch;
    LocalValues* locals_table;
    char name_text[kMostName + 1];
};

// A WaitPoint that knows at what it waits; its kind says so.
struct ObjectPoint : WaitPoint {
    ObjectPoint(ThreadCore& waiter, const char* reason, WaitKind kind, const void* what)
        : WaitPoint(waiter, reason, kind, 0), object(what) {}
    const void* const object;
};

// Says at what somebody waits, where the kind of the wait does not: for those who look inside, on the
// waiter's loop.
struct WaitDetail {
    WaitDetail() = default;
    WaitDetail(const WaitDetail&) = delete;
    WaitDetail& operator=(const WaitDetail&) = delete;
    [[nodiscard]] virtual std::string wait_detail() const = 0;

  protected:
    ~WaitDetail() = default;
};

// "held by "writer" (id 3)".
[[nodiscard]] std::string held_by(std::string_view name, std::uint64_t id);

// A wait of the current coroutine at something that can be asked.
struct DescribedPoint : ObjectPoint {
    DescribedPoint(const char* reason, const WaitDetail& what);
};

// The coroutine threads of a loop, by the index of their stack: nothing to link and unlink when they come and
// go.
class ThreadTable {
  public:
    explicit ThreadTable(std::size_t stacks);
    ThreadTable(const ThreadTable&) = delete;
    ThreadTable& operator=(const ThreadTable&) = delete;
    ~ThreadTable() { std::free(slots_); }

    void set(std::uint32_t stack, ThreadCore* thread) {
        slots_[stack] = thread;
        if (stack >= end_) [[unlikely]]
            end_ = stack + 1;
    }
    void clear(std::uint32_t stack) { slots_[stack] = nullptr; }
    template <class F>
    void for_each(F&& visit) const {
        for (std::size_t i = 0; i < end_; ++i)
            if (slots_[i] != nullptr) visit(*slots_[i]);
    }

    // One of a crowd is canceled, or ends so, probably as the next one of a row: brings the one a few steps
    // on into the cache. A crowd is spread over as many pages as it has threads; one after another, each
    // would be waited for.
    void visit_in_passing(std::uint32_t stack) {
        const std::uint32_t ahead = stack + kAhead * (stack - visited_);  // wraps when the row goes down
        visited_ = stack;
        if (ahead >= end_) return;
        const char* const thread = reinterpret_cast<const char*>(slots_[ahead]);
        if (thread == nullptr) return;
        for (std::ptrdiff_t line = -kLinesBelow; line < 2; ++line) __builtin_prefetch(thread + line * 64);
    }

  private:
    friend struct GdbLayout;
    static constexpr std::uint32_t kAhead = 8;
    static constexpr std::ptrdiff_t kLinesBelow = 3;  // the control block: what it runs and where it waits

    ThreadCore** slots_;  // from calloc: memory only where threads were
    std::size_t end_ = 0;
    std::uint32_t visited_ = 0;
};

// Something that goes on when a stack is free: a spawn that waits, an acceptor, a parked connection. First
// come, first served.
class StackTurn : public cutils::ListHook<> {
  public:
    // A stack is free: take it, or pass. Called by the loop, on its own stack, the turn already out of the
    // queue.
    virtual void stack_available() = 0;
    // There will be none any more: the loop ends. May leave the queue.
    virtual void loop_ends() {}
    // This is the child of a fork now. May leave the queue.
    virtual void forked() {}

  protected:
    ~StackTurn() = default;
};

// Something to go on with on the loop's next pass: others first.
class LaterTask : public cutils::ListHook<LaterTask> {
  public:
    virtual void run_later() = 0;

  protected:
    ~LaterTask() = default;
};

// A spawn for which there was no stack yet. Owns the body meanwhile; freed when it starts.
struct PendingSpawn final : StackTurn, ThreadLink {
    void stack_available() override;
    void loop_ends() override;
    void forget();  // by those who look after it, and by the loop
    void forked() override { drop(); }

    LoopCore* loop;
    const EvLoop::BodyType* type;
    bool canceled = false;
    std::uint8_t name_size = 0;
    char name_text[kMostName];
    void* body = nullptr;  // behind this object, in the same allocation
    std::string_view name() const { return {name_text, name_size}; }

    static PendingSpawn& create(LoopCore& loop, std::string_view name, const EvLoop::BodyType& type,
                                void* body);
    void drop();  // it never starts
    void destroy();
};

// Storage for a libevent event, so that its header stays in the .cpp files.
struct EventStorage {
    alignas(16) unsigned char bytes[128];
};

struct LoopCore final : corothread::StackObserver {
    LoopCore(EvLoop& face, corothread::StackPool& stacks, event_base* adopted, EvLoop::Options options);
    ~LoopCore();

    // Scheduling.
    void yield(ThreadCore& self);
    void leave(ThreadCore& self);                        // self is parked: run somebody else
    ThreadCore* first_ready_after(ThreadCore& leaving);  // takes the running one out of the ring
    bool batch_over() { return --budget == 0; }          // asked once a switch
    void run_loop(ThreadCore& from);
    void run_next(corothread::Context& from, ThreadCore& next);
    void run_batch();  // from the loop's own stack
    void run_pieces();
    void make_ready(ThreadCore& woken);
    ThreadCore* start_thread(std::string_view name, const EvLoop::BodyType& type,
                             void* body);  // null: no stack
    template <class Name>
    ThreadCore* start_here(const Name& name, const EvLoop::BodyType& type, void* body);  // the same, inlined
    static void cancel(ThreadLink& thread);
    void cancel(ThreadCore& thread);

    // A loop pass.
    void pass(bool may_block);
    void poll(bool block);
    void kick();  // an adopted base must come by soon
    bool anything_ready() const {
        return last_ready != nullptr || !later_tasks.empty() || (stack_came_back && !turns.empty()) ||
               inbox.pending();
    }
    void advance_to(TimePoint time);

    // Turns.
    void wait_for_stack(StackTurn& turn);
    void leave_queue(StackTurn& turn);
    // May somebody take a stack now, without overtaking others? Who is being served in its turn may take one.
    bool may_take_stack() { return its_turn || nobody_waits(); }
    bool stack_free_now() { return may_take_stack() && stacks.available() > 0; }
    bool nobody_waits() { return turns.empty() || &turns.front() == end_of_round; }
    bool take_turn();
    void serve_turns();
    void later(LaterTask& task) {
        if (!task.linked()) later_tasks.push_back(task);
        kick();
    }
    void run_later_tasks();
    void stack_returned() override {
        stack_came_back = true;
        kick();
    }

    // Time.
    TimePoint now() {
        if (cached_now_valid) [[likely]]
            return cached_now;
        return read_now();
    }
    TimePoint read_now();
    TimePoint precise_now() const { return virtual_time ? virtual_now : cutils::monotonic_now(); }
    void arm_timer();
    void on_timer();

    // What came from other threads.
    void empty_inbox();

    // In the child of a fork: nothing is shared with the parent any more (loop_core_fork.cpp).
    struct ForkSpares {  // made before, while failing is still possible
        nutils::UniqueFd timer, wake;
    };
    std::error_code make_spares(ForkSpares& spares);
    void after_fork(ForkSpares spares, bool watch_signals);
    void cancel_others();
    [[noreturn]] void continue_alone(LaterTask& task);

    // What keeps run() going.
    [[nodiscard]] bool has_work() const { return work + thread_count > 0; }
    void add_work() { add_to(work); }
    void drop_work() { drop_from(work); }
    void add_thread() { add_to(thread_count); }
    void drop_thread() { drop_from(thread_count); }
    void add_to(std::size_t& counter) {
        if (!owned && !has_work()) [[unlikely]]
            watch_adopted();
        ++counter;
    }
    void drop_from(std::size_t& counter) {
        --counter;
        if (!owned && !has_work()) [[unlikely]]
            (void)watch(false);
    }
    [[nodiscard]] bool watch(bool on);  // false and errno: only when switched on
    void watch_adopted();
    bool shutdown(Deadline deadline);
    // Runs while `left()` says so; calls `complain` once, if that takes longer than until then.
    void run_while(const std::function<bool()>& left, TimePoint complain_at,
                   const std::function<void()>& complain);
    void report_stragglers();
    bool on_thread() const;
    void check_thread() const;
    // For what may also end on another thread, once the loop no longer runs.
    void check_thread_while_running() const {
        if (running) check_thread();
    }
    void bind_thread();

    corothread::ThreadLocals locals{};
    corothread::StartFrame start_frame;
    corothread::Context context;  // the loop's own stack, while a coroutine runs
    // The ready coroutines in a ring, each knowing the next; the last one knows the first. While one runs it
    // is the first: so yielding moves this pointer on by one, and nothing else.
    ThreadCore* last_ready = nullptr;
    int budget = 0;
    int batch = 128;  // switches between two looks at I/O: as many as fit into a millisecond
    bool batch_used_up = false;
    const bool owned;
    const bool virtual_time;
    bool shuffle;
    std::uint64_t shuffle_state;

    EvLoop* const owner;  // the public face
    corothread::StackPool& stacks;
    // Before anything else that can fail to be made.
    struct FreeBase {
        void operator()(event_base* own) const;
    };
    const std::unique_ptr<event_base, FreeBase> own_base;
    event_base* const base;  // the own one, or the adopted
    ThreadTable threads;
    std::size_t thread_count = 0;  // those waiting for a stack included
    std::uint64_t next_id = 1;
    [[no_unique_address]] corothread::sanitizer::StackState ended;  // of the thread that ended last

    cutils::List<StackTurn> turns;
    bool stack_came_back = false;
    bool its_turn = false;                    // of whoever is being served, until it has taken a stack
    const StackTurn* end_of_round = nullptr;  // while turns are served: those behind it come next time
    cutils::List<LaterTask, LaterTask> later_tasks;

    cutils::TimerHeap timers;
    std::size_t timer_nodes = 0;  // room reserved in `timers`
    TimePoint virtual_now{};
    TimePoint cached_now{};
    bool cached_now_valid = false;
    TimePoint armed_at = TimePoint::max();  // what the timerfd is set to
    TimePoint last_fired{};
    nutils::UniqueFd timer_fd;
    nutils::UniqueFd wake_fd;
    EventStorage timer_event, wake_event, tick_event;
    bool tick_pending = false;
    bool in_pass = false;
    std::size_t callbacks = 0;    // of libevent's: what they did may have made more happen
    std::uint8_t born_with = 0;   // the flags of what is spawned now: canceled, while the loop shuts down
    std::uint64_t io_events = 0;  // that libevent brought
    // Whoever watches the loop from another OS thread reads these, and `budget` and `running`.
    std::uint64_t passes = 0;
    std::uint64_t io_events_before_poll = 0;
    bool in_poll = false;  // and asleep in the kernel, or about to be, as long as no event has come

    Inbox inbox;
    std::atomic<bool> stopping{false};
    bool running = false;
    bool ran_before = false;
    std::atomic<const void*> thread{nullptr};  // the address of that thread's t_here; stop() asks anywhere
    std::size_t work = 0;

    // For those who look inside (loop_watch_internal.h). The next one of all loops of the process, and what
    // has been asked to be measured.
    LoopCore* next_loop = nullptr;
    LoopCore** linked_from = nullptr;
    std::unique_ptr<LoopMeasurements> measurements;
    void note_wait(const ThreadCore& waiter);
    void note_end(const ThreadCore& ending);

    // Acceptors that wait for descriptors; told when one of this loop's sockets closes.
    struct FdWaiter : cutils::ListHook<> {
        virtual void descriptor_closed() = 0;

      protected:
        ~FdWaiter() = default;
    };
    cutils::List<FdWaiter> fd_waiters;

    // What goes on in the loop after its owner has gone, and goes with the loop.
    struct Leftover : cutils::ListHook<> {
        virtual void loop_ends() = 0;

      protected:
        ~Leftover() = default;
    };
    cutils::List<Leftover> leftovers;

    // Who hears of things that do not reach the child of a fork; told there.
    struct ForkListener : cutils::ListHook<> {
        virtual void forked() = 0;

      protected:
        ~ForkListener() = default;
    };
    cutils::List<ForkListener> fork_listeners;
    void descriptor_closed() {
        if (!fd_waiters.empty()) [[unlikely]]
            fd_waiters.for_each([](FdWaiter& waiter) { waiter.descriptor_closed(); });
    }
};

// Logs, in a handler, the exception that is being handled: "WHAT "NAME" ended by an exception: …". For
// functions of the application, whose exceptions must not cross libevent. Allocates nothing.
void log_exception(const char* what, std::string_view name = {}) noexcept;

// Room in the timer heap for one more node, so that arming it never allocates. May throw std::bad_alloc.
class TimerRoom {
  public:
    explicit TimerRoom(LoopCore& loop) : loop_(loop) {
        loop.timers.reserve(loop.timer_nodes + 1);
        ++loop.timer_nodes;
    }
    TimerRoom(const TimerRoom&) = delete;
    TimerRoom& operator=(const TimerRoom&) = delete;
    ~TimerRoom() { --loop_.timer_nodes; }

  private:
    LoopCore& loop_;
};

// While it lives, the loop is the one this OS thread is inside of.
class Inside {
  public:
    explicit Inside(LoopCore& loop) : outer_(t_here.loop) { t_here.loop = &loop; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside() { t_here.loop = outer_; }

  private:
    LoopCore* outer_;
};

// What a seed draws, for the order of ready coroutines and of a select's arms: xorshift64*.
inline std::uint64_t next_random(std::uint64_t& state) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 2685821657736338717ULL;
}

// Switching, inlined into every park.

// Behind all others that are ready, in front of who runs.
[[gnu::always_inline]] inline void LoopCore::make_ready(ThreadCore& woken) {
    if (last_ready == nullptr) {
        woken.next_ready = &woken;
        if (!owned) [[unlikely]]
            kick();  // who makes others ready beside it need not: whoever came first has
    } else {
        woken.next_ready = last_ready->next_ready;
        last_ready->next_ready = &woken;
    }
    last_ready = &woken;
}

[[gnu::always_inline]] inline void LoopCore::run_next(corothread::Context& from, ThreadCore& next) {
    // With many coroutines their control blocks and frames fall out of the first-level cache: fetch them two
    // turns ahead. Two that take turns have theirs there.
    ThreadCore* const after = next.next_ready;
    ThreadCore* const then = after->next_ready;
    if (then != &next) [[unlikely]] {
        __builtin_prefetch(after->context.left_off);
        __builtin_prefetch(static_cast<char*>(after->context.left_off) + 64);
        __builtin_prefetch(then);
    }
    t_here.thread = &next;
    corothread::switch_to(from, next.context, locals);
}

[[gnu::always_inline]] inline void LoopCore::yield(ThreadCore& self) {
    last_ready = &self;
    if (batch_over()) [[unlikely]]
        return run_loop(self);
    ThreadCore* const next = self.next_ready;
    if (next != &self) run_next(self.context, *next);
}

// Takes who runs out of the ring. Returns whose turn it is then, or null for the loop's.
[[gnu::always_inline]] inline ThreadCore* LoopCore::first_ready_after(ThreadCore& leaving) {
    ThreadCore* const next = leaving.next_ready;
    if (next == &leaving) [[unlikely]] {
        last_ready = nullptr;
        return nullptr;
    }
    last_ready->next_ready = next;
    return batch_over() ? nullptr : next;
}

[[gnu::always_inline]] inline void LoopCore::leave(ThreadCore& self) {
    ThreadCore* const next = first_ready_after(self);
    if (next == nullptr) [[unlikely]]
        return run_loop(self);
    run_next(self.context, *next);
}

[[gnu::always_inline]] inline ThreadCore& ThreadCore::current() {
    EVC_CHECK(t_here.thread != nullptr,
              "this may wait, so it must be called in a coroutine thread: use EvLoop::spawn");
    return *t_here.thread;
}

[[gnu::always_inline]] inline corothread::Stack ThreadCore::stack() const {
    return loop.stacks.stack(stack_index);
}

// What a thread is called, with a stack or waiting for one.
[[nodiscard]] inline std::string_view name_of(const ThreadLink& link) {
    return link.pending ? static_cast<const PendingSpawn&>(link).name()
                        : static_cast<const ThreadCore&>(link).name();
}

inline EvThreadState ThreadCore::state() const {
    if (this == t_here.thread) return EvThreadState::running;
    return waiting != nullptr ? EvThreadState::parked : EvThreadState::ready;
}

inline bool LoopCore::on_thread() const { return thread.load(std::memory_order_relaxed) == &t_here; }

inline void LoopCore::check_thread() const {
    EVC_CHECK(on_thread(),
              "an EvLoop, or something that belongs to it, is used on another OS thread: use EvLoop::post");
}

// A wait in a coroutine that is canceled, or limited by its bundle's deadline: until when it may go on, and
// what it is when that time has come. Canceled and without a shield: until a deadline that has passed.
struct ShieldedWait {
    Deadline deadline;
    Wake late;
};
ShieldedWait shielded(const ThreadCore& self, Deadline deadline);
// The same, for a wait that begins now.
ShieldedWait unusual_wait(const ThreadCore& self, Deadline deadline);
// A shield that holds in a forked child, too, where others do not: for waits that keep memory in place, and
// whose end needs no parent.
class LastingShield : public CancelShield {
  public:
    explicit LastingShield(Deadline deadline) : CancelShield(deadline, true) {}
};

// Is a canceled coroutine's shield over, if it has one?
bool shield_over(const ThreadCore& self);
inline bool ThreadHot::refuses_waits() const {
    return canceled() && shield_over(static_cast<const ThreadCore&>(*this));
}
// From now on no shield protects it, neither those it has nor new ones.
void void_shields(ThreadCore& thread);

[[gnu::always_inline]] inline Wake ThreadCore::wait(WaitPoint& point, Deadline deadline) {
    if (point.woken_) return point.cause_;
    ThreadCore& self = *point.thread_;
    if (deadline.is_never() && self.flags == 0) return wait_for_ever(point);
    LoopCore& l = self.loop;
    Wake late = Wake::timed_out;
    if (self.flags != 0) [[unlikely]] {
        const ShieldedWait shield = unusual_wait(self, deadline);
        deadline = shield.deadline;
        late = shield.late;
    }
    const bool timed = !deadline.is_never();
    if (timed) {
        const TimePoint now = l.precise_now();
        const TimePoint end = deadline.resolved(now).at();
        if (end <= now) return late;
        l.timers.arm(self, end);
    }
    self.waiting = &point;
    l.leave(self);
    if (timed || self.flags != 0) l.timers.disarm(self);  // cancel() may have armed it for a shield's end
    return point.cause_ == Wake::timed_out ? late : point.cause_;
}

[[gnu::always_inline]] inline Wake ThreadCore::wait_for_ever(WaitPoint& point) {
    ThreadCore& self = *point.thread_;
    self.waiting = &point;
    self.loop.leave(self);
    if (self.flags != 0) [[unlikely]]
        self.loop.timers.disarm(self);
    return point.cause_;
}

[[gnu::always_inline]] inline bool ThreadCore::wake_parked(WaitPoint& point, ThreadCore& waiter) {
    ThreadCore* const last = waiter.loop.last_ready;
    if (waiter.waiting != &point || last == nullptr) [[unlikely]]
        return false;
    point.woken_ = true;
    point.cause_ = Wake::event;
    waiter.waiting = nullptr;
    waiter.next_ready = last->next_ready;
    last->next_ready = &waiter;
    waiter.loop.last_ready = &waiter;
    return true;
}

[[gnu::always_inline]] inline bool ThreadCore::wake(WaitPoint& point, Wake cause, ThreadCore& waiter) {
    if (point.woken_) return false;
    point.woken_ = true;
    point.cause_ = cause;
    if (waiter.waiting != &point) return true;
    waiter.waiting = nullptr;
    waiter.loop.make_ready(waiter);
    return true;
}

// For who wakes so often that the usual case is worth its room.
[[gnu::always_inline]] inline void ThreadCore::wake_quickly(WaitPoint& point) {
    if (!wake_parked(point, *point.thread_)) wake(point, Wake::event);
}

[[gnu::always_inline]] inline void ThreadCore::tell_end(ThreadLink& link) {
    if (link.handle != nullptr) {
        link.handle->link_ = nullptr;
        if (link.handle->joiner_ != nullptr) wake_quickly(*link.handle->joiner_);
    }
    if (link.bundle != nullptr)
        if (WaitPoint* const waiter = link.bundle->ended(link)) wake_quickly(*waiter);
}

}  // namespace evcorothread
