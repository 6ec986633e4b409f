// The same loads on corothread and evcorothread, through the public API.
#pragma once

#include <benchmark/benchmark.h>

#include <utility>
#include <vector>

#include "bench/call_depth.h"
#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"

namespace bench::ours {

inline constexpr std::size_t kStackPages = 5;

// Runs `body` as the first coroutine of a loop that has room for `others` more.
template <class Body>
void in_loop(std::size_t others, Body body) {
    corothread::StackPool stacks({.count = others + 1, .pages = kStackPages});
    evcorothread::EvLoop loop(stacks);
    loop.spawn("benchmark", [&] { body(loop); });
    loop.run();
}

struct Yield {
    void operator()() const { evcorothread::this_evthread::yield(); }
};
inline constexpr Yield yield_evthread;

template <int Calls>
void yield(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    const std::int64_t rounds = rounds_at_a_time(state.range(0));
    bool stop = false;
    in_loop(count - 1, [&](evcorothread::EvLoop& loop) {
        for (std::size_t i = 1; i < count; ++i) {
            loop.spawn("yielding", [&stop, rounds] {
                while (!stop) yield_rounds<Calls>(rounds, yield_evthread);
            });
        }
        evcorothread::this_evthread::yield();  // all of them have started before the clock does
        while (state.KeepRunningBatch(rounds)) yield_rounds<Calls>(rounds, yield_evthread);
        stop = true;
    });
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

inline void spawn_join(benchmark::State& state) {
    const auto batch = static_cast<std::size_t>(state.range(0));
    in_loop(batch, [&](evcorothread::EvLoop& loop) {
        std::vector<evcorothread::EvThread> threads(batch);
        for (auto _ : state) {
            for (auto& thread : threads) thread = loop.spawn([] {});
            for (auto& thread : threads) {
                if (thread.join(cutils::Deadline::never)) state.SkipWithError("join failed");
            }
        }
    });
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

inline void stack_take_give(benchmark::State& state) {
    corothread::StackPool stacks({.count = 16, .pages = kStackPages});
    for (auto _ : state) {
        corothread::Stack stack = stacks.take();
        benchmark::DoNotOptimize(stack);
        stacks.give(stack);
    }
    state.SetItemsProcessed(state.iterations());
}

}  // namespace bench::ours
