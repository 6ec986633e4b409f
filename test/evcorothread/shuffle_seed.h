// In any order: the loops of all tests run what is ready in the order that EVC_SHUFFLE_SEED draws.
//
//   EVC_SHUFFLE_SEED=7 out/release/test/test_evcorothread      every loop shuffled, by that seed; also how a
//                                                              failure is replayed
//   EVC_SHUFFLE_SEEDS=200 out/release/test/test_evcorothread   so many seeds in each in_every_order()
//   build/test-orders.sh 200                                   the whole program, under so many seeds
//
// Without it, first come first served. What a test claims must hold in any order; one whose very claim is the
// usual order, or that needs it to bring about a meeting, is a TEST_IN_ORDER.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>

#include "evcorothread/ev_loop.h"
#include "test/support/harness.h"

namespace test_support {

inline std::optional<std::uint64_t> number_in_environment(const char* name) {
    const char* const text = std::getenv(name);
    if (text == nullptr || *text == '\0') return std::nullopt;
    return std::strtoull(text, nullptr, 10);
}

inline std::optional<std::uint64_t> shuffle_seed() { return number_in_environment("EVC_SHUFFLE_SEED"); }

// Says that a test's loops run first come first served in any case: see TEST_IN_ORDER.
class InOrder {
  public:
    InOrder(const char* group, const char* name) : group_(group), name_(name), next_(first()) {
        first() = this;
    }
    InOrder(const InOrder&) = delete;
    InOrder& operator=(const InOrder&) = delete;

    static bool current() {
        const UtestShell& test = *UtestShell::getCurrent();
        for (const InOrder* one = first(); one != nullptr; one = one->next_)
            if (test.getGroup() == one->group_ && test.getName() == one->name_) return true;
        return false;
    }

  private:
    static const InOrder*& first() {
        static const InOrder* in_order = nullptr;
        return in_order;
    }
    const char* const group_;
    const char* const name_;
    const InOrder* const next_;
};

// `options`, with the order that the environment asks for: for every EvLoop that a test makes.
//
//   EvLoop second(stacks, any_order({.clock = LoopClock::virtual_time}));
inline evcorothread::EvLoopOptions any_order(evcorothread::EvLoopOptions options = {}) {
    const std::optional<std::uint64_t> seed = shuffle_seed();
    // Asking CppUTest for its name allocates, which a test of failing allocations must not do for nothing.
    if (seed && !options.shuffle_seed && !InOrder::current()) options.shuffle_seed = seed;
    return options;
}

}  // namespace test_support

// A TEST whose claim is the usual order, or that needs it to set the scene.
#define TEST_IN_ORDER(group, name)                                               \
    static const test_support::InOrder in_order_##group##_##name(#group, #name); \
    TEST(group, name)
