#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#include "cutils/log.h"
#include "evcorothread/loop_watch_internal.h"

namespace evcorothread {
namespace {

LoopMeasurements& measurements_of(LoopCore& core) {
    if (!core.measurements) core.measurements = std::make_unique<LoopMeasurements>();
    return *core.measurements;
}

void set(std::uint8_t& flags, ThreadFlags flag, bool on) {
    flags = static_cast<std::uint8_t>(on ? flags | flag : flags & ~flag);
}

}  // namespace

void EvLoop::measure(LoopMeasures wanted) {
    core_->check_thread();
    LoopMeasurements& all = measurements_of(*core_);
    if (wanted.waits && !all.waits_since) {
        all.waits_since.reset(
            static_cast<TimePoint*>(std::calloc(core_->stacks.capacity(), sizeof(TimePoint))));
        if (!all.waits_since) throw std::bad_alloc();
    }
    // A stack that was used before would show how deep that was.
    if (wanted.stacks && !all.wanted.stacks) core_->stacks.trim();
    all.wanted = wanted;
    all.deadlock_reported = false;
    set(core_->born_with, kTimed, wanted.waits);
    set(core_->born_with, kStackWatched, wanted.stacks);
    core_->threads.for_each([&](ThreadCore& thread) {
        // A wait under way began at a time that nobody knows.
        if (wanted.waits && !thread.has(kTimed)) all.waits_since.get()[thread.stack_index] = TimePoint{};
        set(thread.flags, kTimed, wanted.waits);
        if (!wanted.stacks) set(thread.flags, kStackWatched, false);
    });
}

LoopMeasures EvLoop::measures() const {
    return core_->measurements ? core_->measurements->wanted : LoopMeasures{};
}

std::vector<StackUse> EvLoop::stack_use() const {
    core_->check_thread();
    std::vector<StackUse> uses;
    if (!core_->measurements) return uses;
    for (const auto& [name, use] : core_->measurements->stacks) uses.push_back(use);
    return uses;
}

void LoopCore::note_wait(const ThreadCore& waiter) {
    measurements->waits_since.get()[waiter.stack_index] = precise_now();
}

// On the stack that ends. What lies below this frame is given back, so that the next one to use the stack
// begins with one that nobody has touched.
[[gnu::noinline]] void LoopCore::note_end(const ThreadCore& ending) {
    const corothread::Stack stack = ending.stack();
    const std::size_t deepest = stacks.high_water(stack);
    try {
        auto& known = measurements->stacks;
        auto found = known.find(ending.name());
        if (found == known.end())
            found = known.emplace(ending.name(), StackUse{std::string(ending.name())}).first;
        ++found->second.ended;
        found->second.deepest = std::max(found->second.deepest, deepest);
    } catch (const std::bad_alloc&) {  // then this one is not counted
    }
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    const auto bottom = reinterpret_cast<std::uintptr_t>(stack.bottom);
    const std::uintptr_t end = here / page * page - page;  // this call, and the one of madvise, need some
    if (end > bottom) ::madvise(stack.bottom, end - bottom, MADV_DONTNEED);
}

void look_for_deadlock(LoopCore& loop) {
    LoopMeasurements& all = *loop.measurements;
    if (all.deadlock_reported || !all.wanted.deadlocks) return;
    if (loop.work > 0 || loop.thread_count == 0 || loop.timers.next_due() != TimePoint::max()) return;
    std::size_t stuck = 0;
    bool all_stuck = true;
    loop.threads.for_each([&](const ThreadCore& thread) {
        all_stuck = all_stuck && thread.waiting != nullptr && thread.waiting->kind() >= WaitKind::join &&
                    thread.waiting->kind() != WaitKind::select;
        ++stuck;
    });
    if (!all_stuck || stuck == 0) return;
    all.deadlock_reported = true;
    try {
        cutils::log_line(cutils::LogLevel::error,
                         "deadlock: every coroutine waits for another one, and nothing else can wake any; " +
                             loop.owner->dump());
    } catch (const std::bad_alloc&) {
        cutils::log(cutils::LogLevel::error, "deadlock: every coroutine waits for another one");
    }
}

}  // namespace evcorothread
