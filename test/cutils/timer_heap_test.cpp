#include "cutils/timer_heap.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/harness.h"

using namespace cutils;
using test_support::abort_message;

namespace {

TimePoint at(std::int64_t ns) { return TimePoint(Duration(ns)); }

// A timer that writes its name down when it is due.
struct Timer : TimerNode {
    Timer(char n, std::string& l) : TimerNode(&Timer::due_now), name(n), log(l) {}
    static void due_now(TimerNode& node) {
        auto& timer = static_cast<Timer&>(node);
        timer.log += timer.name;
        if (timer.heap != nullptr && timer.again_at >= 0) timer.heap->arm(timer, at(timer.again_at));
        if (timer.heap != nullptr && timer.victim != nullptr) timer.heap->remove(*timer.victim);
    }
    char name;
    std::string& log;
    TimerHeap* heap = nullptr;  // what it does when it is due
    std::int64_t again_at = -1;
    TimerNode* victim = nullptr;
};

}  // namespace

TEST_GROUP(TimerHeap) {
    std::string log;
    TimerHeap heap;
    Timer a{'a', log}, b{'b', log}, c{'c', log}, d{'d', log};
    void teardown() override {
        for (Timer* timer : {&a, &b, &c, &d}) heap.remove(*timer);
        LONGS_EQUAL(0, heap.size());
    }
};

TEST(TimerHeap, WithoutTimersNothingIsEverDue) {
    CHECK(heap.next_due() == TimePoint::max());
    LONGS_EQUAL(0, heap.run_due(TimePoint::max()));
}

TEST(TimerHeap, ATimerKnowsWhenItIsDue) {
    CHECK(!a.armed());
    heap.arm(a, at(10));
    CHECK(a.armed());
    CHECK(a.due() == at(10));
    CHECK(heap.next_due() == at(10));
}

TEST(TimerHeap, RunsWhatIsDueInTheOrderOfTime) {
    heap.arm(a, at(30));
    heap.arm(b, at(10));
    heap.arm(c, at(20));
    heap.arm(d, at(40));
    LONGS_EQUAL(3, heap.run_due(at(30)));
    CHECK_EQUAL("bca", log);
    CHECK(heap.next_due() == at(40));
}

TEST(TimerHeap, RunsNothingEarly) {
    heap.arm(a, at(10));
    LONGS_EQUAL(0, heap.run_due(at(9)));
    LONGS_EQUAL(1, heap.run_due(at(10)));
}

TEST(TimerHeap, ATimerThatRanIsDisarmed) {
    heap.arm(a, at(10));
    (void)heap.run_due(at(10));
    CHECK(!a.armed());
    LONGS_EQUAL(0, heap.run_due(at(100)));
}

TEST(TimerHeap, MovingATimerLaterCountsOnlyTheNewTime) {
    heap.arm(a, at(10));
    heap.arm(a, at(50));
    CHECK(heap.next_due() == at(50));
    LONGS_EQUAL(0, heap.run_due(at(49)));
    LONGS_EQUAL(1, heap.run_due(at(50)));
}

TEST(TimerHeap, MovingATimerEarlierCountsOnlyTheNewTime) {
    heap.arm(b, at(20));
    heap.arm(a, at(50));
    heap.arm(a, at(10));
    CHECK(heap.next_due() == at(10));
    LONGS_EQUAL(1, heap.run_due(at(10)));
    CHECK_EQUAL("a", log);
    LONGS_EQUAL(1, heap.run_due(at(100)));
}

TEST(TimerHeap, MovingATimerBackAndForthCountsOnlyTheLastTime) {
    for (const int due : {10, 50, 30, 5, 40, 20}) heap.arm(a, at(due));
    CHECK(heap.next_due() == at(20));
    LONGS_EQUAL(1, heap.size());
}

TEST(TimerHeap, ADisarmedTimerDoesNotRun) {
    heap.arm(a, at(10));
    heap.arm(b, at(20));
    heap.disarm(a);
    CHECK(!a.armed());
    CHECK(heap.next_due() == at(20));
    LONGS_EQUAL(1, heap.run_due(at(100)));
    CHECK_EQUAL("b", log);
}

TEST(TimerHeap, ADisarmedTimerLeavesTheHeapWhenItsOldTimeComes) {
    heap.arm(a, at(10));
    heap.disarm(a);
    LONGS_EQUAL(1, heap.size());
    LONGS_EQUAL(0, heap.run_due(at(10)));
    LONGS_EQUAL(0, heap.size());
}

TEST(TimerHeap, ADisarmedTimerCanBeArmedAgain) {
    heap.arm(a, at(10));
    heap.disarm(a);
    heap.arm(a, at(30));
    LONGS_EQUAL(1, heap.size());
    LONGS_EQUAL(0, heap.run_due(at(29)));
    LONGS_EQUAL(1, heap.run_due(at(30)));
    heap.arm(a, at(50));
    heap.disarm(a);
    heap.arm(a, at(40));
    CHECK(heap.next_due() == at(40));
}

TEST(TimerHeap, RemovingTakesItOutForGood) {
    heap.arm(a, at(10));
    heap.arm(b, at(20));
    heap.arm(c, at(30));
    heap.remove(b);
    heap.remove(b);
    LONGS_EQUAL(2, heap.size());
    LONGS_EQUAL(2, heap.run_due(at(100)));
    CHECK_EQUAL("ac", log);
}

TEST(TimerHeap, ARemovedTimerMayDie) {
    {
        Timer brief('x', log);
        heap.arm(brief, at(10));
        heap.remove(brief);
    }
    LONGS_EQUAL(0, heap.run_due(at(100)));
}

TEST(TimerHeap, ATimerThatDiesInTheHeapAborts) {
    STRCMP_CONTAINS("dies while it is in its heap", abort_message([this] {
                                                        Timer brief('x', log);
                                                        heap.arm(brief, at(10));
                                                    }).c_str());
}

TEST(TimerHeap, AnInterferingCallbackMayRemoveAnotherTimer) {
    a.heap = &heap;
    a.victim = &b;
    heap.arm(a, at(10));
    heap.arm(b, at(20));
    heap.arm(c, at(30));
    LONGS_EQUAL(2, heap.run_due(at(100)));
    CHECK_EQUAL("ac", log);
}

TEST(TimerHeap, ACallbackMayArmItsOwnTimerForLater) {
    a.heap = &heap;
    a.again_at = 50;
    heap.arm(a, at(10));
    LONGS_EQUAL(1, heap.run_due(at(10)));
    CHECK(heap.next_due() == at(50));
}

TEST(TimerHeap, ATimerMovedLaterRunsAtItsNewPlaceInTheOrder) {
    heap.arm(a, at(10));
    heap.arm(a, at(50));
    heap.arm(b, at(30));
    LONGS_EQUAL(2, heap.run_due(at(100)));
    CHECK_EQUAL("ba", log);
}

TEST(TimerHeap, ACallbackThatArmsItsTimerForThePastWaitsForTheNextCall) {
    a.heap = &heap;
    a.again_at = 5;
    heap.arm(a, at(10));
    heap.arm(b, at(20));
    heap.arm(c, at(1000));
    LONGS_EQUAL(2, heap.run_due(at(100)));
    CHECK_EQUAL("ab", log);
    CHECK(heap.next_due() == at(101));
    LONGS_EQUAL(1, heap.run_due(at(101)));
}

TEST(TimerHeap, WithoutMemoryATimerIsNotArmed) {
    test_support::AllocationFaults faults;
    faults.fail_all();
    bool thrown = false;
    try {
        heap.arm(a, at(10));
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    faults.stop();
    CHECK(thrown);
    CHECK(!a.armed());
}

TEST(TimerHeap, ATimerForNeverIsNotArmed) {
    heap.arm(a, TimePoint::max());
    CHECK(!a.armed());
    CHECK(heap.next_due() == TimePoint::max());
}

TEST(TimerHeap, TimesInThePastAndFarFutureAreTimes) {
    heap.arm(a, TimePoint::min());
    heap.arm(b, TimePoint::max() - Duration(1));
    CHECK(heap.next_due() == TimePoint::min());
    LONGS_EQUAL(1, heap.run_due(at(0)));
    CHECK(heap.next_due() == TimePoint::max() - Duration(1));
}

TEST(TimerHeap, ReservedRoomNeedsNoMemoryLater) {
    heap.reserve(4);
    test_support::AllocationFaults faults;
    faults.fail_all();
    for (Timer* timer : {&a, &b, &c, &d}) heap.arm(*timer, at(timer->name));
    faults.stop();
    LONGS_EQUAL(4, heap.size());
    LONGS_EQUAL(0, faults.count());
}

TEST(TimerHeap, BehavesLikeASortedListWhateverIsDoneToIt) {
    std::minstd_rand random(4711);
    constexpr int kTimers = 100;
    struct Probe : TimerNode {
        Probe() : TimerNode([](TimerNode& node) { ++static_cast<Probe&>(node).runs; }) {}
        int runs = 0;
        std::int64_t wanted = -1;  // when it must run; -1: never
        int expected = 0;
    };
    std::vector<std::unique_ptr<Probe>> probes;
    for (int i = 0; i < kTimers; ++i) probes.push_back(std::make_unique<Probe>());
    std::int64_t now = 0;
    for (int step = 0; step < 20000; ++step) {
        Probe& probe = *probes[random() % kTimers];
        switch (random() % 6) {
            case 0:
            case 1:
            case 2: probe.wanted = now + 1 + static_cast<std::int64_t>(random() % 1000); break;
            case 3: probe.wanted = -1; break;
            case 4: probe.wanted = -1; break;
            default: now += static_cast<std::int64_t>(random() % 50);
        }
        if (probe.wanted > now)
            heap.arm(probe, at(probe.wanted));
        else if (probe.wanted == -1 && random() % 2 == 0)
            heap.disarm(probe);
        else if (probe.wanted == -1)
            heap.remove(probe);
        std::int64_t earliest = TimePoint::max().time_since_epoch().count();
        for (auto& each : probes) {
            if (each->wanted >= 0 && each->wanted <= now) ++each->expected, each->wanted = -1;
            if (each->wanted >= 0) earliest = std::min(earliest, each->wanted);
        }
        (void)heap.run_due(at(now));
        CHECK(heap.next_due() == at(earliest));
        for (auto& each : probes) CHECK(each->runs == each->expected);
    }
    for (auto& each : probes) heap.remove(*each);
}
