// Bundles: what a child costs, and what it costs to cancel a crowd of parked ones.
//
//   spawn_wait     one child at a time, or batches of 1,000, started and waited for; an item is a child
//   cancel_parked  so many children, each parked in a wait without end, are canceled and waited for; only
//                  that is timed, not starting them; an item is a child
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>

#include "bench/micro_ours.h"
#include "evcorothread/bundle.h"
#include "evcorothread/wait_point.h"

namespace bench::ours {

inline void bundle_spawn_wait(benchmark::State& state) {
    const std::int64_t batch = state.range(0);
    in_loop(static_cast<std::size_t>(batch), [&](evcorothread::EvLoop& loop) {
        evcorothread::Bundle children(loop);
        for (auto _ : state) {
            for (std::int64_t i = 0; i < batch; ++i) children.go([] {});
            if (!children.wait(cutils::Deadline::never)) return state.SkipWithError("a child failed");
        }
    });
    state.SetItemsProcessed(state.iterations() * batch);
}

inline void bundle_cancel_parked(benchmark::State& state) {
    const std::int64_t count = state.range(0);
    using Clock = std::chrono::steady_clock;
    in_loop(static_cast<std::size_t>(count), [&](evcorothread::EvLoop& loop) {
        for (auto _ : state) {
            evcorothread::Bundle crowd(loop);
            for (std::int64_t i = 0; i < count; ++i) {
                crowd.go([] {
                    evcorothread::WaitPoint point("nothing");
                    (void)point.wait(cutils::Deadline::never);
                });
            }
            evcorothread::this_evthread::yield();  // all of them have parked
            const Clock::time_point start = Clock::now();
            crowd.cancel();
            if (!crowd.wait(cutils::Deadline::never)) return state.SkipWithError("a child failed");
            state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
        }
    });
    state.SetItemsProcessed(state.iterations() * count);
}

}  // namespace bench::ours
