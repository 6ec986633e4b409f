#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Spawn, LoopFixture) { std::vector<int> order; };

TEST(Spawn, RunsTheFunctionOnACoroutineThread) {
    bool inside = false;
    in_coroutine([&] { inside = this_evthread::in_evthread(); });
    CHECK(inside);
    CHECK(!this_evthread::in_evthread());
}

TEST(Spawn, DoesNotRunBeforeTheLoopDoes) {
    bool ran = false;
    go([&] { ran = true; });
    CHECK(!ran);
    run_loop();
    CHECK(ran);
}

TEST_IN_ORDER(Spawn, DoesNotRunBeforeItsSpawnerWaits) {
    in_coroutine([&] {
        go([&] { order.push_back(2); });
        order.push_back(1);
        this_evthread::yield();
        order.push_back(3);
    });
    CHECK(order == std::vector<int>({1, 2, 3}));
}

TEST_IN_ORDER(Spawn, StartsInOrder) {
    for (int i = 0; i < 5; ++i) go([&, i] { order.push_back(i); });
    run_loop();
    CHECK(order == std::vector<int>({0, 1, 2, 3, 4}));
}

TEST(Spawn, TakesAFunctionThatOnlyMoves) {
    int got = 0;
    go([&got, number = std::make_unique<int>(7)] { got = *number; });
    run_loop();
    CHECK_EQUAL(7, got);
}

TEST(Spawn, TakesTheFunctionWithoutAName) {
    bool ran = false;
    loop.spawn([&] { ran = true; });
    run_loop();
    CHECK(ran);
}

TEST(Spawn, DestroysTheFunctionWhenItHasReturned) {
    const auto token = std::make_shared<int>();
    go([token] {});
    CHECK_EQUAL(2, token.use_count());
    run_loop();
    CHECK_EQUAL(1, token.use_count());
}

TEST(Spawn, GivesTheStackBackWhenTheFunctionHasReturned) {
    EvThread thread = go([] {});
    CHECK_EQUAL(1, stacks.in_use());
    run_loop();
    CHECK_EQUAL(0, stacks.in_use());
}

TEST(Spawn, RespectsTheAlignmentOfWhatIsCaptured) {
    struct alignas(64) Aligned {
        char byte = 0;
    } aligned;
    bool right = false;
    loop.spawn([&right, aligned] { right = reinterpret_cast<std::uintptr_t>(&aligned) % 64 == 0; });
    run_loop();
    CHECK(right);
}

TEST(Spawn, StacksAreAlignedAsTheAbiWants) {
    std::vector<std::uintptr_t> frames;
    for (int i = 0; i < 5; ++i)
        go([&] { frames.push_back(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))); });
    run_loop();
    for (const std::uintptr_t frame : frames) CHECK_EQUAL(0, frame % 16);
}

TEST(Spawn, ADetachedThreadGoesOn) {
    bool finished = false;
    {
        EvThread dropped = go([&] {
            (void)this_evthread::delay(1s);
            finished = true;
        });
    }
    run_loop();
    CHECK(finished);
}

TEST(Spawn, AFunctionThatCannotBeMovedInTakesNoStack) {
    struct Unmovable {
        bool* armed;
        explicit Unmovable(bool* a) : armed(a) {}
        Unmovable(const Unmovable& other) : armed(other.armed) {
            if (*armed) throw std::runtime_error("no move");
        }
        void operator()() const {}
    };
    bool armed = true;
    const Unmovable function(&armed);
    CHECK_THROWS(std::runtime_error, (void)loop.spawn("never", function));
    CHECK_EQUAL(0, stacks.in_use());
    CHECK_EQUAL(0, loop.thread_count());
    run_loop();
}

TEST(Spawn, NamesAreKept) {
    EvThread thread = go("fetcher", [] { CHECK_EQUAL("fetcher", this_evthread::name()); });
    CHECK_EQUAL("fetcher", thread.name());
    run_loop();
    CHECK_EQUAL("", thread.name());
}

TEST(Spawn, NamesOfEveryLengthAreKeptUpToThirtyOneBytes) {
    const std::string alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (std::size_t size = 0; size <= alphabet.size(); ++size) {
        EvThread thread = go(alphabet.substr(0, size), [] {});
        CHECK_EQUAL(alphabet.substr(0, size < 31 ? size : 31), thread.name());
        run_loop();
    }
}

TEST(Spawn, IdsAreUniqueAndNotReused) {
    EvThread one = go([] {});
    EvThread two = go([] {});
    const auto first = one.id();
    const auto second = two.id();
    CHECK(first != 0 && second != 0 && first != second);
    run_loop();
    EvThread three = go([] {});
    CHECK(three.id() != first && three.id() != second);
    CHECK_EQUAL(0, one.id());
    run_loop();
}

TEST(Spawn, StatesFollowALife) {
    EvThreadState inside{};
    EvThread thread;
    CHECK_EQUAL(EvThreadState::finished, thread.state());
    thread = go([&] {
        inside = thread.state();
        (void)this_evthread::delay(1s);
    });
    CHECK_EQUAL(EvThreadState::ready, thread.state());
    run_ready();
    CHECK_EQUAL(EvThreadState::running, inside);
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    run_loop();
    CHECK_EQUAL(EvThreadState::finished, thread.state());
}

TEST(Spawn, AMovedHandleFollowsTheThread) {
    EvThread first = go("moved", [] { (void)this_evthread::delay(1s); });
    EvThread second(std::move(first));
    EvThread third;
    third = std::move(second);
    CHECK_EQUAL("moved", third.name());
    CHECK(first.finished() && second.finished());  // NOLINT: what moved-from ones say
    run_loop();
    CHECK(third.finished());
}

TEST(Spawn, AssignmentDetachesTheOldThread) {
    bool finished = false;
    EvThread handle = go([&] {
        (void)this_evthread::delay(1s);
        finished = true;
    });
    handle = EvThread();
    run_loop();
    CHECK(finished);
}

TEST(Spawn, TrySpawnRunsWhenThereIsAStack) {
    bool ran = false;
    CHECK(loop.try_spawn("now", [&] { ran = true; }));
    run_loop();
    CHECK(ran);
}

TEST(Spawn, CountsItsThreads) {
    CHECK_EQUAL(0, loop.thread_count());
    go([] {});
    go([] {});
    CHECK_EQUAL(2, loop.thread_count());
    run_loop();
    CHECK_EQUAL(0, loop.thread_count());
}

TEST(Spawn, ShowsItsThreads) {
    EvThread sleeper = go("sleeper", [] { (void)this_evthread::delay(1h); });
    EvThread newcomer;
    run_ready();
    newcomer = go("newcomer", [] {});
    std::string seen;
    loop.for_each_thread([&](const EvLoop::ThreadInfo& info) {
        seen += std::string(info.name) + " " + to_string(info.state) + " " +
                (info.waits_for != nullptr ? info.waits_for : "-") + (info.canceled ? " canceled" : "") +
                "; ";
    });
    STRCMP_CONTAINS("sleeper parked delay;", seen.c_str());
    STRCMP_CONTAINS("newcomer ready -;", seen.c_str());
    run_loop();
}

TEST(Spawn, KnowsItsLoopAndWhatIsLeftOfItsStack) {
    in_coroutine([&] {
        POINTERS_EQUAL(&loop, &this_evthread::loop());
        const std::size_t left = this_evthread::stack_left();
        CHECK(left > stacks.stack_size() / 2 && left < stacks.stack_size());
    });
}

TEST(Spawn, AHundredThousandThreadsLeaveNothing) {
    const int many = kTsan || under_valgrind() ? 1'000 : 100'000;
    int ran = 0;
    in_coroutine([&] {
        for (int i = 0; i < many; ++i) {
            go([&] { ++ran; });
            if (i % 8 == 0) this_evthread::yield();
        }
    });
    CHECK_EQUAL(many, ran);
    CHECK_EQUAL(0, stacks.in_use());
}

// --- exceptions ---

TEST_GROUP_BASE(SpawnException, LoopFixture) { LogCapture log; };

TEST(SpawnException, IsLoggedWithTheNameOfTheCoroutine) {
    loop.spawn("fetch page", [] { throw std::runtime_error("no such page"); });
    run_loop();
    CHECK_EQUAL("error: coroutine \"fetch page\" ended by an exception: no such page\n", log.text());
}

TEST(SpawnException, ThatIsNoStdExceptionIsLoggedToo) {
    loop.spawn("odd", [] { throw 42; });
    run_loop();
    STRCMP_CONTAINS("coroutine \"odd\" ended by an exception that is not a std::exception",
                    log.text().c_str());
}

TEST(SpawnException, UnwindsWhatTheFunctionOwned) {
    const auto token = std::make_shared<int>();
    loop.spawn("failing", [captured = token] {
        const auto local = captured;
        throw std::runtime_error("");
    });
    run_loop();
    CHECK_EQUAL(1, token.use_count());
}

TEST(SpawnException, LeavesTheOthersAlone) {
    bool finished = false;
    loop.spawn("failing", [] { throw std::runtime_error(""); });
    go([&] {
        (void)this_evthread::delay(1s);
        finished = true;
    });
    run_loop();
    CHECK(finished);
}

TEST(SpawnException, ComesOutOfJoin) {
    in_coroutine([&] {
        EvThread failing = loop.spawn("failing", [] { throw std::runtime_error("inside"); });
        try {
            (void)failing.join(1s);
            FAIL("nothing was thrown");
        } catch (const std::runtime_error& error) {
            STRCMP_EQUAL("inside", error.what());
        }
    });
}

TEST(SpawnException, ComesOutOfJoinOnce) {
    in_coroutine([&] {
        EvThread failing = loop.spawn("failing", [] { throw std::runtime_error("inside"); });
        CHECK_THROWS(std::runtime_error, (void)failing.join(1s));
        CHECK(!failing.join(1s));
    });
}

TEST(SpawnException, ComesOutOfALaterJoinAndAMovedHandle) {
    EvThread failing = loop.spawn("failing", [] { throw std::runtime_error("inside"); });
    run_loop();
    EvThread moved(std::move(failing));
    in_coroutine([&] { CHECK_THROWS(std::runtime_error, (void)moved.join(1s)); });
}

TEST(SpawnException, SuspendedInCatchBelongsToItsCoroutine) {
    std::vector<std::string> rethrown;
    for (const char* name : {"a", "b", "c"})
        go([&rethrown, name] {
            try {
                try {
                    throw std::runtime_error(name);
                } catch (const std::runtime_error&) {
                    this_evthread::yield();
                    throw;
                }
            } catch (const std::runtime_error& mine) {
                rethrown.push_back(std::string(name) + mine.what());
            }
        });
    run_loop();
    std::sort(rethrown.begin(), rethrown.end());
    CHECK(rethrown == (std::vector<std::string>{"aa", "bb", "cc"}));
}

TEST(SpawnException, ErrnoBelongsToItsCoroutine) {
    int seen[3] = {};
    for (int i = 0; i < 3; ++i)
        go([&seen, i] {
            errno = 100 + i;
            this_evthread::yield();
            (void)this_evthread::delay(1s);
            seen[i] = errno;
        });
    run_loop();
    for (int i = 0; i < 3; ++i) CHECK_EQUAL(100 + i, seen[i]);
}
