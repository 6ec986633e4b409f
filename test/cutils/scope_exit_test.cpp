#include "cutils/scope_exit.h"

#include <stdexcept>
#include <type_traits>

#include "test/support/harness.h"

using cutils::ScopeExit;

TEST_GROUP(ScopeExit) { int runs = 0; };

TEST(ScopeExit, RunsAtTheEndOfTheScope) {
    {
        const ScopeExit count([this] { ++runs; });
        LONGS_EQUAL(0, runs);
    }
    LONGS_EQUAL(1, runs);
}

TEST(ScopeExit, RunsWhenAnExceptionEndsTheScope) {
    try {
        const ScopeExit count([this] { ++runs; });
        throw std::runtime_error("out");
    } catch (const std::runtime_error&) {
    }
    LONGS_EQUAL(1, runs);
}

TEST(ScopeExit, DoesNotRunOnceReleased) {
    {
        ScopeExit count([this] { ++runs; });
        count.release();
    }
    LONGS_EQUAL(0, runs);
}

TEST(ScopeExit, SeveralRunLastFirst) {
    int last = 0;
    {
        const ScopeExit first([&] { last = 1; });
        const ScopeExit second([&] { last = 2; });
    }
    LONGS_EQUAL(1, last);
}

TEST(ScopeExit, CannotBeCopied) {
    const ScopeExit none([] {});
    CHECK(!std::is_copy_constructible_v<decltype(none)>);
}
