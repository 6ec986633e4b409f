#include "corothread/coroutine.h"

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "test/support/death.h"
#include "test/support/harness.h"

using namespace corothread;
using namespace test_support;

namespace {

template <class Yield>
void yield_deep(Yield& yield, int depth) {
    if (depth == 0) return static_cast<void>(yield(42));
    yield_deep(yield, depth - 1);
    asm volatile("");  // not a tail call
}

SimpleString text(CoroutineState state) { return to_string(state); }

}  // namespace

TEST_GROUP_BASE(Coroutine, Fixture) {
    StackPool pool{{.count = 4}};
    void teardown() override { CHECK_EQUAL(0, pool.in_use()); }
};

TEST(Coroutine, StaysOnTheOsThreadThatResumedItFirst) {
    const auto elsewhere = [this](auto&& f) {
        return abort_message([&] {
            Coroutine<int> coroutine(pool, [](auto& yield) {
                yield(1);
                yield(2);
            });
            coroutine.resume();
            std::thread([&] { f(coroutine); }).join();
        });
    };
    STRCMP_CONTAINS("on another OS thread", elsewhere([](auto& c) { c.resume(); }).c_str());
    STRCMP_CONTAINS("on another OS thread", elsewhere([](auto& c) { c.kill(); }).c_str());
}

TEST(Coroutine, MayBeMadeOnAnotherOsThread) {
    Coroutine<int> coroutine(pool, [](auto& yield) { yield(1); });
    std::optional<int> got;
    std::thread([&] {
        got = coroutine.resume();
        coroutine.resume();
    }).join();
    CHECK_EQUAL(1, got.value_or(0));
}

TEST(Coroutine, DoesNotRunBeforeItIsResumed) {
    bool ran = false;
    Coroutine<void> coroutine(pool, [&](auto&) { ran = true; });
    CHECK(!ran);
    coroutine.resume();
    CHECK(ran);
}

TEST(Coroutine, CarriesValuesBothWays) {
    Coroutine<int, std::string> lengths(pool, [](auto& yield, std::string next) {
        while (true) next = yield(static_cast<int>(next.size()));
    });
    CHECK_EQUAL(3, lengths.resume("abc").value());
    CHECK_EQUAL(0, lengths.resume("").value());
    CHECK_EQUAL(5, lengths.resume(std::string("hello")).value());
}

TEST(Coroutine, CarriesValuesThatOnlyMove) {
    Coroutine<std::unique_ptr<int>, std::unique_ptr<int>> doubles(
        pool, [](auto& yield, std::unique_ptr<int> next) {
            while (true) next = yield(std::make_unique<int>(*next * 2));
        });
    CHECK_EQUAL(14, **doubles.resume(std::make_unique<int>(7)));
    CHECK_EQUAL(4, **doubles.resume(std::make_unique<int>(2)));
}

TEST(Coroutine, TakesAValueToBuildWhatItYields) {
    Coroutine<std::string> words(pool, [](auto& yield) { yield("literal"); });
    CHECK_EQUAL("literal", *words.resume());
}

TEST(Coroutine, WithoutValuesSaysWhetherItYielded) {
    Coroutine<void> twice(pool, [](auto& yield) {
        yield();
        yield();
    });
    CHECK(twice.resume().has_value());
    CHECK(twice.resume().has_value());
    CHECK(!twice.resume().has_value());
}

TEST(Coroutine, IsOverWhenTheBodyReturns) {
    Coroutine<int> one(pool, [](auto& yield) { yield(1); });
    CHECK_EQUAL(1, one.resume().value());
    CHECK(!one.resume().has_value());
    CHECK(one.finished());
}

TEST(Coroutine, GivesItsStackBackAsSoonAsItHasFinished) {
    Coroutine<void> coroutine(pool, [](auto&) {});
    CHECK_EQUAL(1, pool.in_use());
    coroutine.resume();
    CHECK_EQUAL(0, pool.in_use());
}

TEST(Coroutine, DestroysWhatItCapturedWhenItFinishes) {
    const auto token = std::make_shared<int>();
    Coroutine<void> coroutine(pool, [token](auto&) {});
    CHECK_EQUAL(2, token.use_count());
    coroutine.resume();
    CHECK_EQUAL(1, token.use_count());
}

TEST(Coroutine, YieldsFromAnyDepthOfCalls) {
    Coroutine<int> deep(pool, [](auto& yield) { yield_deep(yield, 20); });
    CHECK_EQUAL(42, deep.resume().value());
    CHECK(!deep.resume().has_value());
}

TEST(Coroutine, MayResumeAnother) {
    Coroutine<int> outer(pool, [this](auto& yield) {
        Coroutine<int> inner(pool, [](auto& yield_inner) {
            yield_inner(1);
            yield_inner(2);
        });
        while (const auto value = inner.resume()) yield(*value * 10);
    });
    CHECK_EQUAL(10, outer.resume().value());
    CHECK_EQUAL(20, outer.resume().value());
    CHECK(!outer.resume().has_value());
}

TEST(Coroutine, MayBeResumedByDifferentOnesInTurn) {
    Coroutine<int> numbers(pool, [](auto& yield) {
        for (int i = 0;; ++i) yield(i);
    });
    auto reader = [&](auto& yield) {
        while (true) yield(*numbers.resume());
    };
    Coroutine<int> one(pool, reader);
    Coroutine<int> two(pool, reader);
    CHECK_EQUAL(0, one.resume().value());
    CHECK_EQUAL(1, two.resume().value());
    CHECK_EQUAL(2, numbers.resume().value());
    CHECK_EQUAL(3, one.resume().value());
    CHECK_EQUAL(4, two.resume().value());
}

TEST(Coroutine, YieldsFromInsideAnotherThatItHasResumed) {
    Coroutine<int> outer(pool, [this](auto& yield) {
        Coroutine<void> inner(pool, [&](auto&) {
            yield(1);
            yield(2);
        });
        inner.resume();
        yield(3);
    });
    for (const int expected : {1, 2, 3}) CHECK_EQUAL(expected, outer.resume().value());
    CHECK(!outer.resume().has_value());
}

TEST(Coroutine, EndsAfterItLastYieldedFromInsideAnother) {
    for (int i = 0; i < 3; ++i) {
        Coroutine<int> outer(pool, [this](auto& yield) {
            Coroutine<void> inner(pool, [&](auto&) { yield(1); });
            inner.resume();
        });
        CHECK_EQUAL(1, outer.resume().value());
        CHECK(!outer.resume().has_value());
    }
}

TEST(Coroutine, StatesFollowItsLife) {
    CoroutineState inside{};
    Coroutine<void>* self = nullptr;
    Coroutine<void> coroutine(pool, [&](auto& yield) {
        inside = self->state();
        yield();
    });
    self = &coroutine;
    CHECK_EQUAL("created", text(coroutine.state()));
    coroutine.resume();
    CHECK_EQUAL("running", text(inside));
    CHECK_EQUAL("suspended", text(coroutine.state()));
    coroutine.resume();
    CHECK_EQUAL("finished", text(coroutine.state()));
}

TEST(Coroutine, ResumingAFinishedOneAborts) {
    STRCMP_CONTAINS("resumed after it has finished", abort_message([this] {
                                                         Coroutine<void> coroutine(pool, [](auto&) {});
                                                         coroutine.resume();
                                                         coroutine.resume();
                                                     }).c_str());
}

TEST(Coroutine, ResumingItselfAborts) {
    STRCMP_CONTAINS("resumed while it runs", abort_message([this] {
                                                 Coroutine<void>* self = nullptr;
                                                 Coroutine<void> coroutine(pool,
                                                                           [&](auto&) { self->resume(); });
                                                 self = &coroutine;
                                                 coroutine.resume();
                                             }).c_str());
}

TEST(Coroutine, YieldingFromOutsideAborts) {
    STRCMP_CONTAINS("yield is called while it does not run", abort_message([this] {
                                                                 Coroutine<void>::Yield* stolen = nullptr;
                                                                 Coroutine<void> coroutine(
                                                                     pool, [&](auto& yield) {
                                                                         stolen = &yield;
                                                                         yield();
                                                                     });
                                                                 coroutine.resume();
                                                                 (*stolen)();
                                                             }).c_str());
}

TEST(Coroutine, AnExceptionComesOutOfResume) {
    Coroutine<void> failing(pool, [](auto& yield) {
        yield();
        throw std::runtime_error("inside");
    });
    failing.resume();
    try {
        failing.resume();
        FAIL("nothing was thrown");
    } catch (const std::runtime_error& error) {
        STRCMP_EQUAL("inside", error.what());
    }
}

TEST(Coroutine, IsFinishedAfterAnException) {
    Coroutine<void> failing(pool, [](auto&) { throw 1; });
    CHECK_THROWS(int, failing.resume());
    CHECK(failing.finished());
    CHECK_EQUAL(0, pool.in_use());
}

TEST(Coroutine, AnExceptionUnwindsWhatTheBodyOwned) {
    const auto token = std::make_shared<int>();
    Coroutine<void> failing(pool, [captured = token](auto&) {
        const auto local = captured;
        throw 1;
    });
    CHECK_THROWS(int, failing.resume());
    CHECK_EQUAL(1, token.use_count());
}

TEST(Coroutine, AnEmptyPoolIsAnErrorThatSaysSo) {
    const StackPoolOptions one{.count = 1};
    StackPool small(one);
    Coroutine<void> first(small, [](auto&) {});
    try {
        Coroutine<void> second(small, [](auto&) {});
        FAIL("nothing was thrown");
    } catch (const std::system_error& error) {
        CHECK(error.code() == std::errc::resource_unavailable_try_again);
        STRCMP_CONTAINS("no free stack", error.what());
    }
}

TEST(Coroutine, ABodyThatCannotBeMovedInTakesNoStack) {
    struct Unmovable {
        Unmovable() = default;
        Unmovable(const Unmovable&) { throw 1; }
        void operator()(Coroutine<void>::Yield&) const {}
    };
    const Unmovable body;
    CHECK_THROWS(int, Coroutine<void>(pool, body));
    CHECK_EQUAL(0, pool.in_use());
}

TEST(Coroutine, ABodyTooLargeForItsStackAborts) {
    const StackPoolOptions tiny_stacks{.count = 1, .pages = 1, .scale = false};
    StackPool tiny(tiny_stacks);
    const std::array<char, 3000> luggage{};
    STRCMP_CONTAINS(
        "more than half of its stack",
        abort_message([&] { Coroutine<void> coroutine(tiny, [luggage](auto&) { (void)luggage; }); }).c_str());
}

TEST(Coroutine, RespectsTheAlignmentOfWhatItCaptures) {
    struct alignas(256) Aligned {
        char byte = 0;
    } aligned;
    Coroutine<bool> coroutine(
        pool, [aligned](auto& yield) { yield(reinterpret_cast<std::uintptr_t>(&aligned) % 256 == 0); });
    CHECK(*coroutine.resume());
}

TEST(Coroutine, MovesWhileItIsSuspended) {
    Coroutine<int> first(pool, [](auto& yield) {
        yield(1);
        yield(2);
    });
    CHECK_EQUAL(1, first.resume().value());
    Coroutine<int> second(std::move(first));
    CHECK_EQUAL(2, second.resume().value());
    CHECK(first.finished());  // NOLINT: what a moved-from one says
}

TEST(Coroutine, AssignmentKillsWhatWasThere) {
    const auto token = std::make_shared<int>();
    Coroutine<void> coroutine(pool, [token](auto& yield) { yield(); });
    coroutine.resume();
    coroutine = Coroutine<void>(pool, [](auto& yield) { yield(); });
    CHECK_EQUAL(1, token.use_count());
    CHECK_EQUAL(1, pool.in_use());
}

TEST(Coroutine, LivesInContainers) {
    std::vector<Coroutine<int>> several;
    for (int i = 0; i < 3; ++i)
        several.emplace_back(pool, [i](auto& yield) {
            yield(i);
            yield(i + 10);
        });
    for (auto& one : several) (void)one.resume();
    for (int i = 0; i < 3; ++i) CHECK_EQUAL(i + 10, several[static_cast<std::size_t>(i)].resume().value());
}

TEST(Coroutine, AHundredThousandLeaveNothing) {
    // TSan takes a millisecond for each.
    const long many = kTsan || under_valgrind() ? 1'000 : 100'000;
    long sum = 0;
    for (long i = 0; i < many; ++i) {
        Coroutine<long> coroutine(pool, [i](auto& yield) { yield(i); });
        sum += *coroutine.resume();
    }
    CHECK_EQUAL(many * (many - 1) / 2, sum);
    CHECK_EQUAL(1, pool.peak());
}
