// LoopObserver: looks after one of a server's loops, and says what others want to know of it. Internal.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/stall_detector.h"
#include "webby/driver.h"
#include "webby/server_metrics.h"

namespace webby {

// What a loop has said last, for those on other threads. A loop that is stuck answers nobody, so nobody waits
// for it.
struct LoopSlot {
    [[nodiscard]] LoopMetrics get() const {
        const std::lock_guard lock(mutex);
        return last;
    }
    void set(const LoopMetrics& now) {
        const std::lock_guard lock(mutex);
        last = now;
    }

    mutable std::mutex mutex;
    LoopMetrics last;
    std::atomic<bool> asked{false};  // a look is posted, and has not come yet
};

// Owner: who owns the driver; goes before it. Thread: the loop's.
class LoopObserver {
  public:
    struct Options {
        Paradigm paradigm = Paradigm::coroutine;
        std::size_t threads = 0;
        std::chrono::milliseconds stall_limit{0};  // 0: not watched
    };

    LoopObserver(evcorothread::EvLoop& loop, Driver& driver, std::shared_ptr<LoopSlot> slot,
                 const Options& options)
        : loop_(loop), driver_(driver), slot_(std::move(slot)), options_(options) {
        if (options.stall_limit.count() > 0) watch_for_stalls();
        look(false);
    }

    // Puts down how the loop stands; where: with its coroutines.
    void look(bool where) const {
        LoopMetrics now;
        const Driver::Counts counts = driver_.counts();
        now.waiting = counts.waiting;
        now.coroutines = loop_.thread_count();
        now.stacks_in_use = loop_.stacks().in_use();
        now.stacks_peak = loop_.stacks().peak();
        now.stacks_limit = loop_.stacks().capacity();
        if (options_.paradigm == Paradigm::thread) {
            now.threads = counts.threads;
            now.threads_limit = options_.threads;
        }
        if (stalls_) {
            now.stalls_known = true;
            now.longest_stall = stalls_->longest();
            now.stalls = stalls_->count();
        }
        if (where)
            now.where = loop_.report_threads({.backtraces = false, .stack_peaks = false, .most = kMostShown});
        slot_->asked.store(false, std::memory_order_relaxed);
        slot_->set(now);
    }

    // From now on, once a second, until it says false.
    void every_second(std::function<bool()> function) {
        if (timer_ && timer_->running()) return;
        timer_.emplace(loop_, [this, function = std::move(function)] {
            if (!function()) timer_->stop();
        });
        timer_->start_periodic(std::chrono::seconds(1));
    }
    void stop() {
        if (timer_) timer_->stop();
    }

  private:
    // The loops of a group have all signals blocked; the detector's is sent to this thread only.
    void watch_for_stalls() {
        const int signal = SIGRTMIN + 7;
        sigset_t its;
        ::sigemptyset(&its);
        ::sigaddset(&its, signal);
        ::pthread_sigmask(SIG_UNBLOCK, &its, nullptr);
        stalls_.emplace(loop_,
                        evcorothread::StallDetectorOptions{.limit = options_.stall_limit, .signal = signal});
    }

    static constexpr std::size_t kMostShown = 1000;
    evcorothread::EvLoop& loop_;
    Driver& driver_;
    const std::shared_ptr<LoopSlot> slot_;
    const Options options_;
    std::optional<evcorothread::StallDetector> stalls_;
    std::optional<evcorothread::EvTimer> timer_;
};

}  // namespace webby
