// Locks, ours and Boost.Fiber's: what they cost while nobody else wants them, and to hand one over.
#pragma once

#include <benchmark/benchmark.h>

#include <boost/fiber/all.hpp>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "bench/call_depth.h"
#include "bench/micro_boost_fiber.h"
#include "bench/micro_ours.h"
#include "evcorothread/condition.h"
#include "evcorothread/coroutine_local.h"
#include "evcorothread/mutex.h"
#include "evcorothread/semaphore.h"
#include "evcorothread/wait_group.h"

namespace bench {

namespace ours {

inline void mutex_uncontended(benchmark::State& state) {
    in_loop(0, [&](evcorothread::EvLoop&) {
        evcorothread::Mutex mutex;
        for (auto _ : state) {
            if (mutex.lock(cutils::Deadline::never)) return state.SkipWithError("lock failed");
            mutex.unlock();
        }
    });
    state.SetItemsProcessed(state.iterations());
}

// `count` coroutines do so many `Rounds::go` again and again, until the benchmark's own has done enough. All
// of them, the one with the stopwatch too, run the very same code: see bench/call_depth.h.
template <class Rounds>
void all_of(benchmark::State& state, Rounds& rounds) {
    const auto count = static_cast<std::size_t>(state.range(0));
    const std::int64_t at_a_time = rounds_at_a_time(state.range(0));
    in_loop(count - 1, [&](evcorothread::EvLoop& loop) {
        bool stop = false;
        evcorothread::WaitGroup others;
        others.add(count - 1);
        for (std::size_t i = 1; i < count; ++i) {
            loop.spawn("locking", [&] {
                while (!stop) rounds.go(at_a_time);
                others.done();
            });
        }
        evcorothread::this_evthread::yield();
        while (state.KeepRunningBatch(at_a_time)) rounds.go(at_a_time);
        stop = true;
        (void)others.wait(cutils::Deadline::never);
    });
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

// Everybody queues behind the others when it has unlocked: each lock waits, and is handed over by an unlock.
// One item is one lock and unlock; the only switch is the wait.
struct HandOver {
    evcorothread::Mutex mutex;
    [[gnu::noinline]] void go(std::int64_t rounds) {
        for (; rounds > 0; --rounds) {
            if (mutex.lock(cutils::Deadline::never)) std::abort();
            if (rounds == 1) evcorothread::this_evthread::yield();  // the others come and queue
            mutex.unlock();
        }
    }
};
inline void mutex_hand_over(benchmark::State& state) {
    HandOver rounds;
    all_of(state, rounds);
}

// The mutex is held across a yield, and another yield lets those in whom it was not handed over to: the load
// of boost_fiber::mutex_contended. One item is a lock, an unlock and two yields.
struct Contended {
    evcorothread::Mutex mutex;
    [[gnu::noinline]] void go(std::int64_t rounds) {
        for (; rounds > 0; --rounds) {
            if (mutex.lock(cutils::Deadline::never)) std::abort();
            evcorothread::this_evthread::yield();
            mutex.unlock();
            evcorothread::this_evthread::yield();
        }
    }
};
inline void mutex_contended(benchmark::State& state) {
    Contended rounds;
    all_of(state, rounds);
}

inline void semaphore_uncontended(benchmark::State& state) {
    in_loop(0, [&](evcorothread::EvLoop&) {
        evcorothread::Semaphore semaphore(1);
        for (auto _ : state) {
            if (semaphore.acquire(cutils::Deadline::never)) return state.SkipWithError("acquire failed");
            semaphore.release();
        }
    });
    state.SetItemsProcessed(state.iterations());
}

// Two coroutines take turns: each notifies the other and waits. One item is one wait.
inline void condition_ping_pong(benchmark::State& state) {
    in_loop(1, [&](evcorothread::EvLoop& loop) {
        evcorothread::Mutex mutex;
        evcorothread::Condition turn;
        bool stop = false;
        auto other = loop.spawn("other", [&] {
            if (mutex.lock(cutils::Deadline::never)) return;
            while (!stop) {
                turn.notify_one();
                if (turn.wait(mutex, cutils::Deadline::never)) break;
            }
            mutex.unlock();
        });
        if (mutex.lock(cutils::Deadline::never)) return;
        for (auto _ : state) {
            turn.notify_one();
            if (turn.wait(mutex, cutils::Deadline::never)) break;
        }
        stop = true;
        turn.notify_one();
        mutex.unlock();
        (void)other.join(cutils::Deadline::never);
    });
    state.SetItemsProcessed(state.iterations() * 2);
}

inline void coroutine_local(benchmark::State& state) {
    const evcorothread::CoroutineLocal<std::int64_t> counter;
    in_loop(0, [&](evcorothread::EvLoop&) {
        for (auto _ : state) benchmark::DoNotOptimize(++*counter);
    });
    state.SetItemsProcessed(state.iterations());
}

}  // namespace ours

namespace boost_fiber {

inline void mutex_uncontended(benchmark::State& state) {
    boost::fibers::mutex mutex;
    for (auto _ : state) {
        mutex.lock();
        mutex.unlock();
    }
    state.SetItemsProcessed(state.iterations());
}

// Boost's unlock() lets whoever comes first have it: one that locks again at once starves the others, so each
// yields in between.
struct Contended {
    boost::fibers::mutex mutex;
    [[gnu::noinline]] void go(std::int64_t rounds) {
        for (; rounds > 0; --rounds) {
            mutex.lock();
            boost::this_fiber::yield();
            mutex.unlock();
            boost::this_fiber::yield();
        }
    }
};
inline void mutex_contended(benchmark::State& state) {
    const std::int64_t at_a_time = rounds_at_a_time(state.range(0));
    Contended rounds;
    bool stop = false;
    std::vector<boost::fibers::fiber> others;
    for (int i = 1; i < state.range(0); ++i) {
        others.push_back(spawn([&] {
            while (!stop) rounds.go(at_a_time);
        }));
    }
    boost::this_fiber::yield();
    while (state.KeepRunningBatch(at_a_time)) rounds.go(at_a_time);
    stop = true;
    for (auto& fiber : others) fiber.join();
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

}  // namespace boost_fiber
}  // namespace bench
