// In every order: the same scenario first-come-first-served and under several shuffle seeds.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>

#include "test/evcorothread/loop_fixture.h"

namespace test_support {

// A loop with a virtual clock and an order of its own; what fails in its coroutines leaves run().
class OrderedLoop {
  public:
    OrderedLoop(std::size_t count, std::optional<std::uint64_t> seed)
        : stacks({.count = count, .pages = 16}),
          loop(stacks, {.clock = LoopClock::virtual_time, .shuffle_seed = seed}),
          random(seed.value_or(0) + 1) {}
    ~OrderedLoop() { (void)loop.shutdown(10s); }

    template <class F>
    EvThread go(std::string_view name, F f) {
        return loop.spawn(name, [this, f = std::move(f)]() mutable {
            try {
                f();
            } catch (...) {
                if (!failure_) failure_ = std::current_exception();
                loop.stop();
            }
        });
    }
    template <class F>
    EvThread go(F f) {
        return go("test", std::move(f));
    }
    // Runs until nothing is left to do.
    void run() {
        loop.run();
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
        LONGS_EQUAL_TEXT(0, loop.thread_count(), "coroutines left behind");
    }

    // A number below `end`; the same ones for the same seed.
    std::size_t below(std::size_t end) { return random() % end; }
    bool one_in(std::size_t n) { return below(n) == 0; }
    // Waits for a random while: not at all, a turn, or some virtual time. False when canceled.
    bool dawdle() {
        const std::size_t how = below(4);
        if (how == 1) this_evthread::yield();
        if (how > 1) return !this_evthread::delay(std::chrono::milliseconds(below(5)));
        return true;
    }

    StackPool stacks;
    EvLoop loop;
    std::mt19937_64 random;

  private:
    std::exception_ptr failure_;
};

// Runs `scenario(OrderedLoop&)` in the usual order and in shuffled ones, and names the seed that failed.
// What the environment may say: shuffle_seed.h.
template <class Scenario>
void in_every_order(std::size_t stacks, Scenario scenario) {
    const auto run = [&](std::optional<std::uint64_t> seed) {
        OrderedLoop ordered(stacks, seed);
        try {
            scenario(ordered);
        } catch (...) {
            const std::string order =
                seed ? "with EVC_SHUFFLE_SEED=" + std::to_string(*seed) : "in the usual order";
            UT_PRINT(("\n" + order).c_str());
            throw;
        }
    };
    if (const auto seed = shuffle_seed()) return run(seed);
    run(std::nullopt);
    const std::uint64_t seeds = number_in_environment("EVC_SHUFFLE_SEEDS").value_or(kSanitized ? 6 : 24);
    for (std::uint64_t i = 1; i <= seeds; ++i) run(i * 7919);
}

}  // namespace test_support
