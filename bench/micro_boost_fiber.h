// The same loads on Boost.Fiber: its default round-robin scheduler, a pooled allocator for its stacks where
// spawning is measured (the default one, malloc, is slower).
#pragma once

#include <benchmark/benchmark.h>

#include <boost/fiber/all.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "bench/call_depth.h"

namespace bench::boost_fiber {

inline constexpr std::size_t kStackSize = std::size_t{20} * 1024;

template <class Body>
boost::fibers::fiber spawn(Body body) {
    return boost::fibers::fiber(boost::fibers::launch::post, std::allocator_arg,
                                boost::fibers::fixedsize_stack(kStackSize), std::move(body));
}

struct Yield {
    void operator()() const { boost::this_fiber::yield(); }
};
inline constexpr Yield yield_fiber;

template <int Calls>
void yield(benchmark::State& state) {
    const std::int64_t rounds = rounds_at_a_time(state.range(0));
    bool stop = false;
    std::vector<boost::fibers::fiber> others;
    for (int i = 1; i < state.range(0); ++i) {
        others.push_back(spawn([&stop, rounds] {
            while (!stop) yield_rounds<Calls>(rounds, yield_fiber);
        }));
    }
    boost::this_fiber::yield();  // all of them have started before the clock does
    while (state.KeepRunningBatch(rounds)) yield_rounds<Calls>(rounds, yield_fiber);
    stop = true;
    for (auto& fiber : others) fiber.join();
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

inline void spawn_join(benchmark::State& state) {
    boost::fibers::pooled_fixedsize_stack stacks(kStackSize);
    const auto batch = static_cast<std::size_t>(state.range(0));
    std::vector<boost::fibers::fiber> fibers;
    fibers.reserve(batch);
    for (auto _ : state) {
        for (std::size_t i = 0; i < batch; ++i) {
            fibers.emplace_back(boost::fibers::launch::post, std::allocator_arg, stacks, [] {});
        }
        for (auto& fiber : fibers) fiber.join();
        fibers.clear();
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

}  // namespace bench::boost_fiber
