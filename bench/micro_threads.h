// Between OS threads: a round trip through an idle offload pool, and posts from another thread.
#pragma once

#include <benchmark/benchmark.h>

#include <atomic>
#include <optional>
#include <thread>

#include "bench/micro_ours.h"
#include "evcorothread/offload.h"
#include "evcorothread/shared_channel.h"

namespace bench::threads {

// One job at a time: the pool's only thread is asleep when it comes. What is measured is two wake-ups of an
// OS thread.
inline void offload_round_trip(benchmark::State& state) {
    evcorothread::OffloadPool pool({.threads = 1});
    ours::in_loop(0, [&](evcorothread::EvLoop&) {
        for (auto _ : state) {
            const auto answer = evcorothread::offload(
                pool, [] { return 42; }, evcorothread::Deadline::never);
            if (!answer) state.SkipWithError("offload failed");
        }
    });
    state.SetItemsProcessed(state.iterations());
}

// A thread posts `batch` functions and waits until the loop has run the last of them: posting, waking and
// running, divided by the batch.
inline void post_batched(benchmark::State& state) {
    const std::int64_t batch = state.range(0);
    corothread::StackPool stacks({.count = 1, .pages = ours::kStackPages});
    evcorothread::EvLoop loop(stacks);
    std::optional<evcorothread::EvLoop::Hold> hold(std::in_place, loop);
    std::thread runner([&] { loop.run(); });
    std::int64_t ran = 0;               // the loop's
    std::atomic<std::int64_t> seen{0};  // how many it had run when the last of a batch came
    std::int64_t posted = 0;
    for (auto _ : state) {
        for (std::int64_t i = 1; i < batch; ++i) loop.post([&ran] { ++ran; });
        loop.post([&ran, &seen] {
            seen.store(++ran, std::memory_order_release);
            seen.notify_one();
        });
        posted += batch;
        for (std::int64_t now; (now = seen.load(std::memory_order_acquire)) != posted;) seen.wait(now);
    }
    loop.post([&hold] { hold.reset(); });
    runner.join();
    state.SetItemsProcessed(state.iterations() * batch);
}

// From an OS thread to a coroutine, through a channel of 128.
inline void shared_channel(benchmark::State& state) {
    evcorothread::SharedChannel<int> channel(128);
    std::atomic<bool> stop{false};
    std::thread sender([&] {
        while (!stop && !channel.send(1, evcorothread::Deadline::never)) continue;
        channel.close();
    });
    ours::in_loop(0, [&](evcorothread::EvLoop&) {
        for (auto _ : state) {
            auto item = channel.recv(evcorothread::Deadline::never);
            benchmark::DoNotOptimize(item);
        }
        stop = true;
        while (channel.recv(evcorothread::Deadline::never)) continue;
    });
    sender.join();
    state.SetItemsProcessed(state.iterations());
}

}  // namespace bench::threads
