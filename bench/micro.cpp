// Switching, spawning, joining and taking stacks: ours beside raw jump_fcontext and Boost.Fiber, one process,
// so that bench/micro.sh can divide each by the raw ping-pong of the same run.
//
// Every figure is per operation: one switch to another coroutine, one spawn+finish+join, one stack taken and
// given back. `deep` means that each coroutine yields four calls below the function it was spawned with.
#include <benchmark/benchmark.h>

#include <initializer_list>
#include <string>

#include "bench/micro_boost_fiber.h"
#include "bench/micro_bundle.h"
#include "bench/micro_channel.h"
#include "bench/micro_ours.h"
#include "bench/micro_raw.h"
#include "bench/micro_sync.h"
#include "bench/micro_threads.h"

namespace {

using Function = void (*)(benchmark::State&);

void add(const char* name, Function function, std::initializer_list<long> counts) {
    for (const long count : counts) benchmark::RegisterBenchmark(name, function)->Arg(count);
}

void add(const char* name, Function function) { benchmark::RegisterBenchmark(name, function); }

// What several OS threads do takes wall-clock time, not CPU time of one of them.
benchmark::internal::Benchmark* add_timed(const char* name, Function function) {
    return benchmark::RegisterBenchmark(name, function)->UseRealTime();
}

}  // namespace

int main(int argc, char** argv) {
    add("raw/ping_pong", bench::raw::ping_pong);
    add("raw/yield", bench::raw::yield<0>, {2, 1000, 10000});
    add("raw/yield_deep", bench::raw::yield<4>, {2, 1000, 10000});
    add("raw/calls_alone", bench::raw::calls_alone<4>);
    add("raw/stack_malloc", bench::raw::stack_malloc);
    add("raw/stack_mmap", bench::raw::stack_mmap);

    add("boost_fiber/yield", bench::boost_fiber::yield<0>, {2, 1000, 10000});
    add("boost_fiber/yield_deep", bench::boost_fiber::yield<4>, {2, 1000, 10000});
    add("boost_fiber/spawn_join", bench::boost_fiber::spawn_join, {1, 1000});
    add("boost_fiber/channel_ping_pong", bench::boost_fiber::channel_ping_pong);
    add("boost_fiber/channel_ping_pong_two", bench::boost_fiber::channel_ping_pong_two);
    add("boost_fiber/channel_buffered", bench::boost_fiber::channel_buffered);

    add("boost_fiber/mutex_uncontended", bench::boost_fiber::mutex_uncontended);
    add("boost_fiber/mutex_contended", bench::boost_fiber::mutex_contended, {2, 100});

    add("ours/yield", bench::ours::yield<0>, {2, 1000, 10000});
    add("ours/yield_deep", bench::ours::yield<4>, {2, 1000, 10000});
    add("ours/spawn_join", bench::ours::spawn_join, {1, 1000});
    add("ours/bundle_spawn_wait", bench::ours::bundle_spawn_wait, {1, 1000});
    benchmark::RegisterBenchmark("ours/bundle_cancel_parked", bench::ours::bundle_cancel_parked)
        ->Arg(100000)
        ->UseManualTime();
    add("ours/stack_take_give", bench::ours::stack_take_give);
    add("ours/channel_ping_pong", bench::ours::channel_ping_pong);
    add("ours/channel_ping_pong_two", bench::ours::channel_ping_pong_two);
    add("ours/channel_buffered", bench::ours::channel_buffered);
    add("ours/mutex_uncontended", bench::ours::mutex_uncontended);
    add("ours/mutex_hand_over", bench::ours::mutex_hand_over, {2, 100});
    add("ours/mutex_contended", bench::ours::mutex_contended, {2, 100});
    add("ours/semaphore_uncontended", bench::ours::semaphore_uncontended);
    add("ours/condition_ping_pong", bench::ours::condition_ping_pong);
    add("ours/coroutine_local", bench::ours::coroutine_local);

    add_timed("threads/offload_round_trip", bench::threads::offload_round_trip);
    add_timed("threads/post_batched", bench::threads::post_batched)->Arg(1000)->Arg(10000);
    add_timed("threads/shared_channel", bench::threads::shared_channel);

    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
