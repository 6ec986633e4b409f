// What happens when coroutines are asked for and all stacks are in use: they wait their turn.
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "corothread/generator.h"
#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {
class TwoStacksFixture : public LoopFixture {
  public:
    TwoStacksFixture() : LoopFixture(LoopClock::virtual_time, 2) {}
};
}  // namespace

TEST_GROUP_BASE(SpawnWait, TwoStacksFixture) {
    FaultInjection faults;
    std::vector<int> order;

    // Takes a stack for a second.
    EvThread occupy() {
        return go("occupant", [] { (void)this_evthread::delay(1s); });
    }
};

TEST(SpawnWait, WaitsForAStack) {
    occupy();
    occupy();
    bool ran = false;
    EvThread waiting = go("waiting", [&] { ran = true; });
    CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
    run_ready();
    CHECK(!ran);
    advance(1s);
    CHECK(ran);
    CHECK(waiting.finished());
}

TEST(SpawnWait, HasANameAndNoIdMeanwhile) {
    occupy();
    occupy();
    EvThread waiting = go("patient", [] {});
    CHECK_EQUAL("patient", waiting.name());
    CHECK_EQUAL(0, waiting.id());
    run_loop();
}

TEST(SpawnWait, CountsAsAThread) {
    occupy();
    occupy();
    EvThread waiting = go([] {});
    CHECK_EQUAL(3, loop.thread_count());
    run_loop();
}

TEST_IN_ORDER(SpawnWait, IsServedInOrder) {
    occupy();
    occupy();
    for (int i = 0; i < 6; ++i)
        go([&, i] {
            order.push_back(i);
            (void)this_evthread::delay(1s);
        });
    run_loop();
    CHECK(order == std::vector<int>({0, 1, 2, 3, 4, 5}));
    CHECK_EQUAL(2, stacks.peak());
}

TEST(SpawnWait, NobodyOvertakesWhoWaits) {
    occupy();
    go([&] {  // ends while others wait, and asks for one more
        go([&] { order.push_back(2); });
    });
    go([&] { order.push_back(1); });
    run_loop();
    CHECK(order == std::vector<int>({1, 2}));
}

TEST(SpawnWait, TheHandleFollowsTheThreadWhenItStarts) {
    occupy();
    occupy();
    EvThread first = go("follow", [] { (void)this_evthread::delay(1s); });
    EvThread handle(std::move(first));
    advance(1s);
    CHECK_EQUAL(EvThreadState::parked, handle.state());
    CHECK(handle.id() != 0);
    handle.cancel();
    run_ready();
    CHECK(handle.finished());
}

TEST(SpawnWait, AJoinWaitsForItsTurnAndItsEnd) {
    go([&] {
        EvThread waiting;
        occupy();
        waiting = go("waiting", [&] { order.push_back(1); });
        CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
        CHECK(!waiting.join(10s));
        order.push_back(2);
    });
    run_loop();
    CHECK(order == std::vector<int>({1, 2}));
}

TEST(SpawnWait, AJoinMayTimeOutMeanwhile) {
    go([&] {
        occupy();
        EvThread waiting = go([] {});
        CHECK_EQUAL(NetError::timed_out, waiting.join(100ms));
        CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
    });
    run_loop();
}

TEST(SpawnWait, ADroppedHandleDetaches) {
    occupy();
    occupy();
    bool ran = false;
    {
        EvThread dropped = go([&] { ran = true; });
    }
    run_loop();
    CHECK(ran);
}

TEST(SpawnWait, CanceledItStartsCanceled) {
    occupy();
    occupy();
    std::error_code seen;
    EvThread waiting = go([&] { seen = this_evthread::delay(1h); });
    waiting.cancel();
    CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
    advance(1s);
    CHECK_EQUAL(NetError::canceled, seen);
    CHECK(waiting.finished());
}

TEST(SpawnWait, AnExceptionReachesItsJoiner) {
    LogCapture log;
    go([&] {
        occupy();
        EvThread failing = loop.spawn("failing", [] { throw std::runtime_error("late"); });
        CHECK_THROWS(std::runtime_error, (void)failing.join(10s));
    });
    run_loop();
}

TEST(SpawnWait, DestroysTheFunctionAfterUse) {
    const auto token = std::make_shared<int>();
    occupy();
    occupy();
    go([token] {});
    CHECK_EQUAL(2, token.use_count());
    run_loop();
    CHECK_EQUAL(1, token.use_count());
}

TEST(SpawnWait, TrySpawnRefusesInstead) {
    occupy();
    occupy();
    const auto refused = loop.try_spawn("never", [] {});
    CHECK(!refused);
    CHECK_EQUAL(NetError::busy, refused.error().code());
    run_loop();
}

TEST(SpawnWait, TrySpawnDoesNotOvertake) {
    EvThread occupant = occupy();
    bool refused = false;
    go([&] {
        occupy();  // waits
        occupant.cancel();
        this_evthread::yield();  // a stack has come back, and it is somebody's
        refused = !loop.try_spawn("pushy", [] {});
    });
    run_loop();
    CHECK(refused);
}

TEST(SpawnWait, OneOutOfMemoryIsNotCounted) {
    occupy();
    occupy();
    AllocationFaults memory;
    memory.fail_all();
    bool thrown = false;
    try {
        (void)loop.spawn("never", [] {});
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    memory.stop();
    CHECK(thrown);
    CHECK_EQUAL(2, loop.thread_count());
    run_loop();
}

TEST(SpawnWait, AFunctionThatCannotBeMovedLaterEndsByThatException) {
    struct Unmovable {
        int* moves_left;
        explicit Unmovable(int* left) : moves_left(left) {}
        Unmovable(Unmovable&& other) : moves_left(other.moves_left) {
            if (--*moves_left < 0) throw std::runtime_error("no move");
        }
        void operator()() const {}
    };
    LogCapture log;
    occupy();
    occupy();
    int moves_left = 2;  // into spawn, and into the queue
    EvThread waiting = loop.spawn("stuck", Unmovable(&moves_left));
    run_loop();
    CHECK(waiting.finished());
    STRCMP_CONTAINS("coroutine \"stuck\" ended by an exception: no move", log.text().c_str());
    in_coroutine([&] { CHECK_THROWS(std::runtime_error, (void)waiting.join(1s)); });
}

TEST(SpawnWait, AStackThatAGeneratorGivesBackIsUsed) {
    std::optional<corothread::Generator<int>> numbers;
    numbers.emplace(stacks, [](auto& yield) {
        for (int i = 0;; ++i) yield(i);
    });
    occupy();
    bool ran = false;
    go([&] { ran = true; });
    loop.post([&] { numbers.reset(); });
    run_ready();
    CHECK(ran);
    run_loop();
}

TEST_GROUP_BASE(SpawnOnDemand, Fixture) {
    LogCapture log;
    FaultInjection faults;
};

TEST(SpawnOnDemand, AStackThatCannotBeGuardedMakesASpawnWaitWithoutSpinning) {
    StackPool pool({.count = 100, .on_demand = true});
    EvLoop loop(pool, any_order({.clock = LoopClock::virtual_time}));
    bool ran = false;
    faults.fail("madvise", ENOMEM, FaultInjection::kAlways);
    faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    EvThread waiting = loop.spawn([&] { ran = true; });
    loop.run_ready();
    CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
    faults.fail("madvise", 0, 0);
    faults.fail("syscall", 0, 0);
    loop.spawn([] {});
    loop.run();
    CHECK(ran);
}

TEST(SpawnOnDemand, ThreadsStartAsStacksAreMade) {
    StackPool pool({.count = 300, .pages = 16, .on_demand = true});
    EvLoop loop(pool, any_order({.clock = LoopClock::virtual_time}));
    int ran = 0;
    for (int i = 0; i < 400; ++i)
        loop.spawn([&] {
            (void)this_evthread::delay(1s);
            ++ran;
        });
    loop.run();
    CHECK_EQUAL(400, ran);
    CHECK_EQUAL(300, pool.peak());
}
