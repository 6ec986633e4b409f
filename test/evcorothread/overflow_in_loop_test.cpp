// A stack overflow in a loop's coroutine says its name.
#include <signal.h>

#include <string>
#include <thread>

#include "corothread/generator.h"
#include "corothread/stack_overflow.h"
#include "evcorothread/ev_loop.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

namespace {

[[gnu::noinline]] int handle_recursively(int depth) {
    volatile char some[256];
    some[0] = static_cast<char>(depth);
    const int deeper = depth < 0 ? 0 : handle_recursively(depth + 1);
    return deeper + some[0];
}

void overflow_in_a_loop() {
    StackPool five_pages({.count = 3, .pages = 5});
    EvLoop loop(five_pages);
    loop.spawn("other", [] { (void)this_evthread::delay(1h); });
    loop.spawn("parser", [] { (void)handle_recursively(0); });
    loop.run();
}

}  // namespace

TEST_GROUP_BASE(OverflowInALoop, Fixture){};

TEST(OverflowInALoop, SaysWhichCoroutineItWasAndDiesOfTheSignal) {
    const Death death = death_of([] {
        const corothread::OverflowReport report;
        overflow_in_a_loop();
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    STRCMP_CONTAINS("stack overflow: coroutine \"parser\" (id 2) needs more", death.said.c_str());
    STRCMP_CONTAINS("stack 1 of a pool of 3", death.said.c_str());
    STRCMP_CONTAINS("raise StackPoolOptions::pages from 5 to 10", death.said.c_str());
    STRCMP_CONTAINS("handle_recursively", death.said.c_str());
}

TEST(OverflowInALoop, OfAGeneratorSaysInWhichCoroutineItIs) {
    const Death death = death_of([] {
        const corothread::OverflowReport report;
        StackPool pool({.count = 3, .pages = 5});
        EvLoop loop(pool);
        loop.spawn("walker", [&] {
            corothread::Generator<int> walk(pool, [](auto& yield) { yield(handle_recursively(0)); });
            (void)walk.next();
        });
        loop.run();
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    STRCMP_CONTAINS("stack overflow: a coroutine inside of coroutine \"walker\" (id 1) needs more",
                    death.said.c_str());
}

TEST(OverflowInALoop, OnAnotherOsThreadToo) {
    const Death death = death_of([] {
        const corothread::OverflowReport report;
        std::thread(overflow_in_a_loop).join();
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    STRCMP_CONTAINS("coroutine \"parser\" (id 2)", death.said.c_str());
}
