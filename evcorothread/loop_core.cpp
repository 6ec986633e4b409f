#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "corothread/stack_overflow.h"
#include "cutils/check.h"
#include "cutils/log.h"
#include "cutils/scope_exit.h"
#include "evcorothread/bundle.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/loop_watch_internal.h"
#include "evcorothread/thread_start_internal.h"

namespace evcorothread {

using cutils::log;
using cutils::LogLevel;
using namespace std::chrono_literals;

__thread Here t_here __attribute__((tls_model("initial-exec"))) = {nullptr, nullptr};

namespace {

// How many switches between two looks at I/O: as many as fit into this time, within bounds. A look costs as
// much as fifty switches, and what it brings queues behind those that are ready anyway; but I/O must not wait
// long either for coroutines that compute between their switches.
constexpr Duration kBatchTime = 1ms;
constexpr int kMaxBatch = 4096;
// Switches before the first look at the clock, and between two looks when they turn out to be short.
constexpr int kFirstLook = 4;
constexpr int kLook = 2048;
constexpr int kShuffledBatch = 128;

// Timers that are due closer together than this are served together: under many timers, 2,000 wake-ups a
// second instead of one for each. A timer that comes alone is on time.
constexpr Duration kTimerSpacing = 500us;

static_assert(sizeof(event) <= sizeof(EventStorage));
event* as_event(EventStorage& storage) { return reinterpret_cast<event*>(storage.bytes); }

[[noreturn]] void fail(const char* what) {
    throw std::system_error(errno != 0 ? errno : ENOMEM, std::generic_category(),
                            std::string("EvLoop: ") + what);
}

event_base* make_base() {
    event_base* base = nullptr;
    if (event_config* config = event_config_new()) {
        // One OS thread runs a loop, and posts come through an eventfd: no locks.
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        event_config_require_features(config, EV_FEATURE_ET);
        base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (base == nullptr) fail("no event_base with edge-triggered events (epoll) to be had");
    return base;
}

event_base* check_adopted(event_base* base) {
    if ((event_base_get_features(base) & EV_FEATURE_ET) == 0)
        throw std::system_error(ENOTSUP, std::generic_category(),
                                std::string("EvLoop: the adopted event_base uses ") +
                                    event_base_get_method(base) +
                                    "; edge-triggered events are needed: make it with epoll");
    return base;
}

}  // namespace

namespace {
// In the handler of a stack overflow: which coroutine is it?
bool find_running_stack(corothread::RunningStack& found) {
    const ThreadCore* const self = t_here.thread;
    if (self == nullptr) return false;
    found = {&self->loop.stacks, self->stack_index, self->id, self->name_text, self->name_size};
    return true;
}
}  // namespace

LoopCore::LoopCore(EvLoop& face, corothread::StackPool& pool, event_base* adopted, EvLoop::Options options)
    : start_frame(&ThreadCore::entry),
      owned(adopted == nullptr),
      virtual_time(options.clock == LoopClock::virtual_time),
      shuffle(options.shuffle_seed.has_value()),
      shuffle_state(options.shuffle_seed.value_or(0) * 2 + 1),
      owner(&face),
      stacks(pool),
      own_base(adopted == nullptr ? make_base() : nullptr),
      base(adopted == nullptr ? own_base.get() : check_adopted(adopted)),
      threads(pool.capacity()),
      inbox(owned),
      thread(&t_here) {
    timer_nodes = pool.capacity() + 1;  // one for every coroutine there can be, and shutdown's
    timers.reserve(timer_nodes);
    if (virtual_time)
        virtual_now = TimePoint(1h);  // not the epoch: a forgotten initialization must not look right
    EVC_CHECK(owned || !virtual_time, "an adopted event_base has its own time: no virtual clock for it");
    timer_fd.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (timer_fd) wake_fd.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!wake_fd)
        fail(errno == EMFILE ? "no descriptor for its timer and wake-up; see RLIMIT_NOFILE"
                             : "no timer and wake-up to be had");
    inbox.use(wake_fd.get());
    event_assign(
        as_event(timer_event), base, timer_fd.get(), EV_READ | EV_ET | EV_PERSIST,
        [](int, short, void* self) { static_cast<LoopCore*>(self)->on_timer(); }, this);
    event_assign(
        as_event(wake_event), base, wake_fd.get(), EV_READ | EV_ET | EV_PERSIST,
        [](int, short, void* self) { static_cast<LoopCore*>(self)->empty_inbox(); }, this);
    event_assign(
        as_event(tick_event), base, -1, 0,
        [](int, short, void* self) {
            static_cast<LoopCore*>(self)->tick_pending = false;
            static_cast<LoopCore*>(self)->pass(false);
        },
        this);
    if (owned && !watch(true))
        fail("epoll does not take its timer and wake-up; see fs.epoll.max_user_watches (sysctl)");
    corothread::set_running_stack_finder(&find_running_stack);
    enter_in_list_of_loops(*this);
}

void LoopCore::FreeBase::operator()(event_base* own) const { event_base_free(own); }

LoopCore::~LoopCore() {
    leave_list_of_loops(*this);
    while (!leftovers.empty()) leftovers.pop_front().loop_ends();
    (void)watch(false);
    if (tick_pending) event_del(as_event(tick_event));
    corothread::sanitizer::destroyed(ended);
}

// Our events, in or out of the base. An adopted base has them only while we have work, so that the
// application's dispatch can end.
bool LoopCore::watch(bool on) {
    errno = 0;
    for (EventStorage* storage : {&timer_event, &wake_event}) {
        if (!on)
            event_del(as_event(*storage));
        else if (event_add(as_event(*storage), nullptr) != 0)
            return false;
    }
    if (on && !owned) kick();
    return true;
}

// Whoever begins work here is told nothing of epoll, and without a timer and a wake-up nothing would ever
// end.
void LoopCore::watch_adopted() {
    EVC_CHECK(
        watch(true),
        "the adopted event_base does not take its loop's events: no memory, or fs.epoll.max_user_watches");
}

ThreadTable::ThreadTable(std::size_t stacks)
    : slots_(static_cast<ThreadCore**>(std::calloc(stacks, sizeof(ThreadCore*)))) {
    if (slots_ == nullptr) throw std::bad_alloc();
}

// --- threads
// -------------------------------------------------------------------------------------------------------

ThreadCore* LoopCore::start_thread(std::string_view name, const EvLoop::BodyType& body_type, void* body) {
    return start_here(name, body_type, body);
}

ThreadLink& EvLoop::spawn_body(std::string_view name, const BodyType& type, void* body) {
    LoopCore& core = *core_;
    core.check_thread();
    ThreadCore* thread = nullptr;
    if (core.turns.empty() || core.take_turn()) thread = core.start_here(name, type, body);
    core.add_thread();
    if (thread != nullptr) return *thread;
    try {
        return PendingSpawn::create(core, name, type, body);
    } catch (...) {
        core.drop_thread();
        throw;
    }
}

// The last thing that happens on a stack. Inlined: it is left by a jump, and a call without a return would
// put the return predictor out of step for whoever runs next.
[[gnu::always_inline]] inline void ThreadCore::finish() {
    LoopCore& l = loop;
    if (flags != 0) [[unlikely]] {
        if (has(kStackWatched)) l.note_end(*this);
        l.threads.visit_in_passing(stack_index);
    }
    if (in_heap()) l.timers.remove(*this);
    tell_end(*this);
    l.threads.clear(stack_index);
    l.drop_thread();
    corothread::sanitizer::destroyed(l.ended);
    l.ended = context.sanitizer;
    l.stacks.give(stack());
    ThreadCore* const next = l.first_ready_after(*this);
    t_here.thread = next;
    if (next == nullptr) corothread::switch_for_good(context, l.context);
    corothread::switch_for_good(context, next->context);
}

void ThreadCore::entry(corothread::Transfer transfer) {
    corothread::is_outermost();
    ThreadCore& self = *t_here.thread;
    corothread::arrive(self.context, transfer);
    try {
        self.type.run(self.body());
    } catch (...) {
        self.report(std::current_exception());
    }
    if (self.has_locals) [[unlikely]]
        self.destroy_locals();
    self.finish();
}

void ThreadCore::check_inside() { (void)current(); }

[[gnu::noinline]] void ThreadCore::report(const std::exception_ptr& thrown) {
    log_exception("coroutine", name());
    if (handle != nullptr) handle->thrown_ = thrown;
    if (bundle != nullptr) bundle->failed(thrown);
}

void log_exception(const char* what, std::string_view name) noexcept {
    const char* const quote = name.empty() ? "" : "\"";
    const char* const space = name.empty() ? "" : " ";
    const auto size = static_cast<int>(name.size());
    try {
        throw;
    } catch (const std::exception& error) {
        log(LogLevel::error, "%s%s%s%.*s%s ended by an exception: %s", what, space, quote, size, name.data(),
            quote, error.what());
    } catch (...) {
        log(LogLevel::error, "%s%s%s%.*s%s ended by an exception that is not a std::exception", what, space,
            quote, size, name.data(), quote);
    }
}

void ThreadCore::on_deadline(cutils::TimerNode& node) {
    auto& self = static_cast<ThreadCore&>(node);
    if (self.waiting == nullptr) return;
    self.waiting->wake(self.canceled() && shield_over(self) ? Wake::canceled : Wake::timed_out);
}

void LoopCore::cancel(ThreadLink& asked) {
    if (asked.pending) {
        auto& spawn = static_cast<PendingSpawn&>(asked);
        spawn.loop->check_thread();
        spawn.canceled = true;
    } else {
        auto& thread = static_cast<ThreadCore&>(asked);
        thread.loop.cancel(thread);
    }
}

void LoopCore::cancel(ThreadCore& asked) {
    check_thread();
    threads.visit_in_passing(asked.stack_index);
    asked.flags |= kCanceled;
    if (asked.waiting == nullptr) return;
    if (shield_over(asked)) return (void)asked.waiting->wake(Wake::canceled);
    // The wait under way goes on like one that begins under a shield: until the shield's end at most.
    const ShieldedWait rest = shielded(asked, asked.armed() ? Deadline(asked.due()) : Deadline::never);
    if (!rest.deadline.is_never()) timers.arm(asked, rest.deadline.at());
}

// --- passes
// --------------------------------------------------------------------------------------------------------

void LoopCore::run_batch() {
    if (last_ready == nullptr) return;
    if (shuffle) [[unlikely]] {
        // One at a time, each drawn from the first few that are ready. In virtual time the clock has no say,
        // so that a seed's order comes again.
        const TimePoint end = virtual_time ? TimePoint::max() : cutils::monotonic_now() + kBatchTime;
        for (int i = 0; i < kShuffledBatch && last_ready != nullptr; ++i) {
            if (i > 0 && !virtual_time && cutils::monotonic_now() > end) return;
            for (std::uint64_t turn = next_random(shuffle_state) % 16; turn > 0; --turn)
                last_ready = last_ready->next_ready;
            budget = 1;
            run_next(context, *last_ready->next_ready);
        }
        return;
    }
    run_pieces();
}

// Until nobody is ready, or for so many switches, or so long, that I/O has to be looked at. The clock is read
// only while there is more than a piece to run; pieces grow, because nobody knows how long a switch lasts
// this time.
void LoopCore::run_pieces() {
    TimePoint began = batch_used_up ? cutils::monotonic_now() : TimePoint{};
    batch_used_up = false;
    Duration took{};
    int timed = 0;  // switches since then
    int look = kFirstLook;
    for (int left = batch; left > 0; look = std::min(4 * look, kLook)) {
        const int piece = std::min(left, look);
        budget = piece;
        run_next(context, *last_ready->next_ready);
        if (budget > 0 || last_ready == nullptr) return;
        left -= piece;
        const TimePoint now = cutils::monotonic_now();
        if (began == TimePoint{}) {
            began = now;
            continue;
        }
        timed += piece;
        took = now - began;
        if (took > kBatchTime) break;
    }
    batch_used_up = true;
    if (took > kBatchTime)
        batch = std::max(1, static_cast<int>(timed * kBatchTime / took));
    else if (timed > 0 && took < kBatchTime / 2)
        batch = std::min(batch * 2, kMaxBatch);
}

// Rare, so out of line: whoever yields or parks is shorter for it.
void LoopCore::run_loop(ThreadCore& from) {
    t_here.thread = nullptr;
    corothread::switch_to(from.context, context, locals);
}

// One round: a stack for each, as long as there are some. Those that queue again meanwhile are asked in the
// next one.
void LoopCore::serve_turns() {
    stack_came_back = false;
    corothread::StackObserver::unlink();
    struct End final : StackTurn {
        void stack_available() override {}
    } end;
    turns.push_back(end);
    end_of_round = &end;
    bool progress = false;
    while (!nobody_waits() && stacks.available() > 0) {
        const std::size_t before = stacks.in_use();
        StackTurn& turn = turns.pop_front();
        its_turn = true;
        turn.stack_available();
        its_turn = false;
        progress |= stacks.in_use() != before;
    }
    end_of_round = nullptr;
    end.unlink();
    if (turns.empty()) return;
    if (progress && stacks.available() > 0) stack_came_back = true;
    if (!corothread::StackObserver::linked()) stacks.subscribe(*this);
}

// A spawn while others wait: may it take a stack before them?
bool LoopCore::take_turn() {
    if (std::exchange(its_turn, false) || nobody_waits()) return true;
    if (stacks.available() > 0) stack_came_back = true;  // then they could not be served: try again
    return false;
}

void LoopCore::wait_for_stack(StackTurn& turn) {
    turns.push_back(turn);
    if (!corothread::StackObserver::linked()) stacks.subscribe(*this);
}

void LoopCore::leave_queue(StackTurn& turn) {
    turn.unlink();
    if (turns.empty()) corothread::StackObserver::unlink();
}

void LoopCore::run_later_tasks() {
    std::size_t count = 0;  // what they add waits for the next pass
    later_tasks.for_each([&count](LaterTask&) { ++count; });
    for (; count > 0 && !later_tasks.empty(); --count) later_tasks.pop_front().run_later();
}

void LoopCore::pass(bool may_block) {
    const bool nested = std::exchange(in_pass, true);
    EVC_CHECK(!nested, "the loop is run from inside itself");
    ++passes;
    if (!owned) {
        if (!ran_before) bind_thread();
        cached_now_valid = false;
    }
    locals = corothread::ThreadLocals::of_this_thread();
    const Inside inside(*this);
    run_batch();
    if (stack_came_back) serve_turns();
    if (!later_tasks.empty()) run_later_tasks();
    if (inbox.pending()) empty_inbox();
    if (!owned) {
        arm_timer();
        in_pass = cached_now_valid = false;
        if (anything_ready()) kick();
        return;
    }
    const bool idle = !anything_ready() && !stopping.load(std::memory_order_relaxed);
    if (measurements && may_block && idle) [[unlikely]]
        look_for_deadlock(*this);
    if (virtual_time) {
        const std::uint64_t before = io_events;
        poll(false);
        // What came may lead to more without anybody being ready yet: look again before time jumps.
        if (idle && io_events == before && !anything_ready()) {
            const TimePoint next = timers.next_due();
            if (next <= virtual_now)  // due already: time stands still for it
                io_events += timers.run_due(virtual_now);
            else if (may_block && has_work() && next == TimePoint::max())
                poll(true);
            else if (may_block && has_work())
                advance_to(next);
        }
    } else {
        arm_timer();
        poll(may_block && idle && has_work());
    }
    in_pass = false;
}

void LoopCore::poll(bool block) {
    cached_now_valid = false;
    block = block && inbox.may_sleep();
    io_events_before_poll = io_events;
    in_poll = true;
    event_base_loop(base, EVLOOP_ONCE | (block ? 0 : EVLOOP_NONBLOCK));
    in_poll = false;
    if (block) inbox.awake();
    cached_now_valid = false;
}

void LoopCore::advance_to(TimePoint time) {
    if (time > virtual_now) virtual_now = time;
    timers.run_due(virtual_now);
}

void LoopCore::kick() {
    if (owned || tick_pending || in_pass) return;
    // A timer of zero, not event_active: that would run again in the same pass and starve I/O.
    constexpr timeval kNow{0, 0};
    tick_pending = event_add(as_event(tick_event), &kNow) == 0;
}

// --- time
// ----------------------------------------------------------------------------------------------------------

TimePoint LoopCore::read_now() {
    if (virtual_time) return virtual_now;
    cached_now = cutils::monotonic_now();
    cached_now_valid = owned || in_pass;  // the application's callbacks are no part of a pass
    return cached_now;
}

void LoopCore::arm_timer() {
    if (virtual_time) return;
    TimePoint next = timers.next_look();
    if (next == TimePoint::max()) return;
    next = std::max(next, last_fired + kTimerSpacing);
    if (next >= armed_at) return;
    const auto ns = next.time_since_epoch().count();
    const itimerspec when{{0, 0}, {ns / 1'000'000'000, ns % 1'000'000'000}};
    if (::timerfd_settime(timer_fd.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0) armed_at = next;
}

void LoopCore::on_timer() {
    ++io_events;
    armed_at = TimePoint::max();
    last_fired = cutils::monotonic_now();
    timers.run_due(last_fired);
    if (!owned) kick();
}

// --- other threads
// -------------------------------------------------------------------------------------------------

void LoopCore::empty_inbox() {
    const Inside inside(*this);
    ++io_events;
    inbox.empty();
    if (!owned) kick();
}

// --- ends
// ----------------------------------------------------------------------------------------------------------

namespace {
// Does nothing but wake the loop.
struct Alarm : cutils::TimerNode {
    explicit Alarm(LoopCore& l) : TimerNode([](cutils::TimerNode&) {}), loop(l) {}
    ~Alarm() { loop.timers.remove(*this); }
    LoopCore& loop;
};

// Called from one of the application's callbacks, an adopted base cannot be run from here: come back soon.
void pass_to_end(LoopCore& core) {
    core.pass(true);
    if (!core.owned && !core.anything_ready() && event_base_loop(core.base, EVLOOP_ONCE) != 0) ::usleep(1000);
}
}  // namespace

void LoopCore::run_while(const std::function<bool()>& left, TimePoint complain_at,
                         const std::function<void()>& complain) {
    bind_thread();
    Alarm alarm(*this);
    if (complain_at != TimePoint::max()) timers.arm(alarm, complain_at);
    while (left()) {
        pass_to_end(*this);
        if (complain_at == TimePoint::max() || precise_now() < complain_at) continue;
        complain_at = TimePoint::max();
        complain();
    }
}

bool LoopCore::shutdown(Deadline deadline) {
    EVC_CHECK(t_here.thread == nullptr, "EvLoop::shutdown() is called inside a coroutine");
    if (thread_count == 0)
        return true;  // on whatever thread: a loop may end on another than the one that ran it
    bind_thread();
    stopping.store(false, std::memory_order_relaxed);
    born_with |= kCanceled;
    const cutils::ScopeExit restore([this] { born_with &= static_cast<std::uint8_t>(~kCanceled); });
    deadline = deadline.resolved(precise_now());
    // Wakes the loop for the deadline and for the complaint; shielded waits may take their time.
    Alarm alarm(*this);
    const TimePoint complain_at = virtual_time ? TimePoint::max() : precise_now() + 5s;
    bool complained = false;
    while (thread_count > 0) {
        std::size_t started = 0;
        threads.for_each([&](ThreadCore& t) {
            ++started;
            if (!t.canceled()) cancel(t);
        });
        // Those that wait for a stack wait in vain when others have them all.
        if (started == 0 && stacks.available() == 0)
            turns.for_each([](StackTurn& turn) { turn.loop_ends(); });
        const TimePoint time = precise_now();
        if (deadline.at() <= time) break;
        if (!complained && complain_at <= time) {
            complained = true;
            report_stragglers();
        }
        const TimePoint wake_at = complained ? deadline.at() : std::min(deadline.at(), complain_at);
        if (wake_at != TimePoint::max()) timers.arm(alarm, wake_at);
        pass_to_end(*this);
    }
    return thread_count == 0;
}

void LoopCore::report_stragglers() {
    threads.for_each([](ThreadCore& t) {
        log(LogLevel::warning, "shutdown waits for coroutine \"%.*s\" (%s%s%s), canceled five seconds ago",
            static_cast<int>(t.name().size()), t.name().data(), to_string(t.state()),
            t.waiting != nullptr ? ": " : "", t.waiting != nullptr ? t.waiting->reason() : "");
    });
}

// Whoever runs the loop is its thread; that may change only before anything has run.
void LoopCore::bind_thread() {
    if (!ran_before) thread.store(&t_here, std::memory_order_relaxed);
    check_thread();
    if (!ran_before && corothread::OverflowReport::wanted()) corothread::OverflowReport::prepare_thread();
    ran_before = true;
    locals = corothread::ThreadLocals::of_this_thread();
}

}  // namespace evcorothread
