#include "evcorothread/coroutine_local.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/mutex.h"
#include "test/evcorothread/orders_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {

// Writes its name when it dies.
struct Farewell {
    Farewell(std::string& where, std::string what) : text(where), name(std::move(what)) {}
    Farewell(const Farewell&) = delete;
    Farewell& operator=(const Farewell&) = delete;
    ~Farewell() { text += name + " "; }
    std::string& text;
    std::string name;
};

}  // namespace

TEST_GROUP_BASE(CoroutineLocal, LoopFixture) {
    std::string farewells;
    // A local whose value says goodbye.
    auto local(std::string name) {
        return evcorothread::CoroutineLocal<Farewell>([this, name] { return Farewell(farewells, name); });
    }
};

TEST(CoroutineLocal, IsEachCoroutinesOwn) {
    const evcorothread::CoroutineLocal<int> number;
    for (int i = 1; i <= 3; ++i) {
        go([&number, i] {
            CHECK_EQUAL(0, *number);
            *number = i;
            this_evthread::yield();
            CHECK_EQUAL(i, *number);
        });
    }
    run_loop();
}

TEST(CoroutineLocal, StaysWhereItIs) {
    const evcorothread::CoroutineLocal<std::string> text("");
    in_coroutine([&] {
        std::string* const first = &text.get();
        text->assign("kept");
        CHECK(this_evthread::delay(1s) == std::error_code());
        CHECK(first == &text.get());
        CHECK(first == text.get_if());
        CHECK_EQUAL("kept", *text);
    });
}

TEST(CoroutineLocal, BeginsWithACopyOfTheInitialValue) {
    const evcorothread::CoroutineLocal<std::string> text("to begin with");
    for (int i = 0; i < 2; ++i) {
        go([&] {
            CHECK_EQUAL("to begin with", *text);
            *text = "changed";
        });
    }
    run_loop();
}

TEST(CoroutineLocal, IsMadeByItsFactoryAtTheFirstUse) {
    int made = 0;
    const evcorothread::CoroutineLocal<int> number([&] { return ++made; });
    in_coroutine([&] {
        CHECK_EQUAL(0, made);
        CHECK(number.get_if() == nullptr);
        CHECK_EQUAL(0, made);
        CHECK_EQUAL(1, *number);
        CHECK_EQUAL(1, *number);
        CHECK_EQUAL(1, made);
    });
}

TEST(CoroutineLocal, NeedNotBeMovable) {
    const evcorothread::CoroutineLocal<std::atomic<int>> number([] { return std::atomic<int>(7); });
    const evcorothread::CoroutineLocal<std::mutex> plain;
    in_coroutine([&] {
        CHECK_EQUAL(7, number->load());
        CHECK(plain->try_lock());
        plain->unlock();
    });
}

TEST(CoroutineLocal, KeepsItsAlignment) {
    struct alignas(128) Wide {
        char bytes[128] = {};
    };
    const evcorothread::CoroutineLocal<Wide> wide;
    in_coroutine([&] { CHECK_EQUAL(0, reinterpret_cast<std::uintptr_t>(&wide.get()) % 128); });
}

TEST(CoroutineLocal, IsDestroyedWhenTheFunctionHasReturned) {
    const auto a = local("a");
    EvThread thread = go([&] {
        a.get();
        this_evthread::yield();
        CHECK_EQUAL("", farewells);
    });
    run_loop();
    CHECK_EQUAL("a ", farewells);
}

TEST(CoroutineLocal, AreDestroyedInReverseOrderOfMaking) {
    const auto a = local("a"), b = local("b"), c = local("c");
    in_coroutine([&] {
        b.get();
        c.get();
        a.get();
        b.get();
    });
    CHECK_EQUAL("a c b ", farewells);
}

TEST(CoroutineLocal, AreDestroyedBeforeJoinReturns) {
    const auto a = local("a");
    go([&] {
        EvThread child = go([&] {
            a.get();
            this_evthread::yield();
        });
        CHECK(!child.join(Deadline::never));
        CHECK_EQUAL("a ", farewells);
    });
    run_loop();
}

TEST(CoroutineLocal, AreDestroyedAfterWhatTheFunctionCaptured) {
    const auto a = local("local");
    in_coroutine([&, captured = std::make_unique<Farewell>(farewells, "captured")] { a.get(); });
    CHECK_EQUAL("captured local ", farewells);
}

TEST(CoroutineLocal, AreDestroyedWhenAnExceptionEndsTheFunction) {
    const LogCapture log;
    const auto a = local("a");
    EvThread thread = loop.spawn("throws", [&] {
        a.get();
        throw std::runtime_error("on purpose");
    });
    std::string thrown;
    go([&] {
        try {
            (void)thread.join(Deadline::never);
        } catch (const std::runtime_error& error) {
            thrown = error.what();
        }
        CHECK_EQUAL("a ", farewells);
    });
    run_loop();
    CHECK_EQUAL("on purpose", thrown);
}

TEST(CoroutineLocal, AreDestroyedInACanceledCoroutine) {
    const auto a = local("a");
    EvThread thread = go([&] {
        a.get();
        (void)this_evthread::delay(Deadline::never);
    });
    run_ready();
    thread.cancel();
    run_loop();
    CHECK_EQUAL("a ", farewells);
}

TEST(CoroutineLocal, AreDestroyedOnTheCoroutinesOwnStack) {
    struct Looks {
        ~Looks() {
            if (this_evthread::in_evthread()) name = this_evthread::name();
        }
        std::string& name;
    };
    std::string name;
    const evcorothread::CoroutineLocal<Looks> looks([&] { return Looks{name}; });
    go("the owner", [&] { looks.get(); });
    run_loop();
    CHECK_EQUAL("the owner", name);
}

TEST(CoroutineLocal, DestructorsMayWait) {
    struct Waits {
        ~Waits() {
            if (armed) (void)this_evthread::delay(1s);
        }
        bool armed = false;
    };
    const evcorothread::CoroutineLocal<Waits> waits;
    const TimePoint begin = loop.now();
    go([&] {
        EvThread child = go([&] { waits->armed = true; });
        CHECK(!child.join(Deadline::never));
        CHECK_EQUAL(1s, loop.now() - begin);
    });
    run_loop();
}

TEST(CoroutineLocal, DestructorsMayUseOthersAndMakeNewOnes) {
    const auto early = local("early"), late = local("late"), never_made = local("never");
    struct Uses {
        ~Uses() {
            if (run) run();
        }
        std::function<void()> run;
    };
    const evcorothread::CoroutineLocal<Uses> uses;
    bool kept = false;
    in_coroutine([&] {
        Farewell* const first = &early.get();
        uses->run = [&, first] {
            kept = first == early.get_if() && never_made.get_if() == nullptr;
            late.get();
        };
    });
    CHECK(kept);
    CHECK_EQUAL("late early ", farewells);
}

TEST(CoroutineLocal, AFactoryMayUseOthersAndWait) {
    const auto inner = local("inner");
    const evcorothread::CoroutineLocal<Farewell> outer([&] {
        inner.get();
        this_evthread::yield();
        return Farewell(farewells, "outer");
    });
    go([&] { outer.get(); });
    go([] {});
    run_loop();
    CHECK_EQUAL("outer inner ", farewells);
}

TEST(CoroutineLocal, WhatTheFactoryThrowsComesOutAndNothingIsMade) {
    bool fail = true;
    const evcorothread::CoroutineLocal<int> number([&] {
        if (fail) throw std::runtime_error("not yet");
        return 5;
    });
    in_coroutine([&] {
        bool caught = false;
        try {
            number.get();
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(number.get_if() == nullptr);
        fail = false;
        CHECK_EQUAL(5, *number);
    });
}

TEST(CoroutineLocal, OneThatIsNotUsedMakesNothing) {
    const auto a = local("a");
    in_coroutine([&] { CHECK(a.get_if() == nullptr); });
    CHECK_EQUAL("", farewells);
}

TEST(CoroutineLocal, ResetDestroysNow) {
    const auto a = local("a"), b = local("b"), c = local("c");
    in_coroutine([&] {
        a.reset();
        a.get();
        b.get();
        c.get();
        b.reset();
        CHECK_EQUAL("b ", farewells);
        CHECK(b.get_if() == nullptr);
        b.get();
    });
    CHECK_EQUAL("b b c a ", farewells);
}

TEST(CoroutineLocal, ValuesOutliveTheLocalTheyBelongTo) {
    auto a = std::make_unique<evcorothread::CoroutineLocal<Farewell>>(
        [this] { return Farewell(farewells, "old"); });
    in_coroutine([&] {
        a->get();
        a.reset();
        CHECK_EQUAL("", farewells);
        // One that takes its place, in memory too, begins anew.
        const evcorothread::CoroutineLocal<std::string> other("new");
        CHECK_EQUAL("new", *other);
    });
    CHECK_EQUAL("old ", farewells);
}

TEST(CoroutineLocal, AStackUsedAgainBeginsAnew) {
    const evcorothread::CoroutineLocal<int> number;
    for (int i = 0; i < 3; ++i) {
        in_coroutine([&] {
            CHECK(number.get_if() == nullptr);
            *number = 1;
        });
    }
}

TEST(CoroutineLocal, HundredsInOneCoroutine) {
    constexpr int kCount = 700;
    std::vector<std::unique_ptr<evcorothread::CoroutineLocal<int>>> locals;
    std::vector<int> destroyed;
    struct Notes {
        ~Notes() { where.push_back(number); }
        std::vector<int>& where;
        int number;
    };
    std::vector<std::unique_ptr<evcorothread::CoroutineLocal<Notes>>> notes;
    for (int i = 0; i < kCount; ++i) {
        locals.push_back(std::make_unique<evcorothread::CoroutineLocal<int>>(i));
        notes.push_back(std::make_unique<evcorothread::CoroutineLocal<Notes>>([&destroyed, i] {
            return Notes{destroyed, i};
        }));
    }
    in_coroutine([&] {
        for (int i = 0; i < kCount; ++i) {
            locals[static_cast<std::size_t>(i)]->get() += 1;
            notes[static_cast<std::size_t>(i)]->get();
        }
        for (int i = 0; i < kCount; ++i) CHECK_EQUAL(i + 1, locals[static_cast<std::size_t>(i)]->get());
    });
    CHECK_EQUAL(kCount, destroyed.size());
    for (int i = 0; i < kCount; ++i) CHECK_EQUAL(kCount - 1 - i, destroyed[static_cast<std::size_t>(i)]);
}

// Like a map from local to value, whatever the order of use and reset.
TEST(CoroutineLocal, RandomUseIsLikeAMap) {
    in_every_order(4, [](OrderedLoop& ordered) {
        constexpr std::size_t kLocals = 60;
        std::vector<std::unique_ptr<evcorothread::CoroutineLocal<std::size_t>>> locals;
        for (std::size_t i = 0; i < kLocals; ++i)
            locals.push_back(std::make_unique<evcorothread::CoroutineLocal<std::size_t>>());
        for (int coroutine = 0; coroutine < 4; ++coroutine) {
            ordered.go([&] {
                std::vector<std::size_t> model(kLocals, 0);
                for (int step = 0; step < 500; ++step) {
                    const std::size_t which = ordered.below(kLocals);
                    const evcorothread::CoroutineLocal<std::size_t>& local = *locals[which];
                    CHECK_EQUAL(model[which] != 0, local.get_if() != nullptr);
                    if (ordered.one_in(3)) {
                        local.reset();
                        model[which] = 0;
                    } else {
                        CHECK_EQUAL(model[which], *local);
                        *local = model[which] = 1 + ordered.below(1000);
                    }
                    if (ordered.one_in(10)) this_evthread::yield();
                }
            });
        }
        ordered.run();
    });
}

TEST(CoroutineLocal, FailedAllocationsLeaveNothing) {
    const evcorothread::CoroutineLocal<int> number(5);
    std::size_t failures = 0;
    bool right = true;
    in_coroutine([&] {
        failures = for_each_failing_allocation([&] {
            number.reset();
            try {
                right = right && *number == 5;
            } catch (...) {
                right = right && number.get_if() == nullptr;
                throw;
            }
        });
    });
    CHECK(failures > 0);
    CHECK(right);
}

TEST(CoroutineLocal, TenThousandCoroutinesEachHaveTheirs) {
    const std::size_t count = is_watched() ? 1'000 : 10'000;
    OrderedLoop crowd(count, std::nullopt);
    static std::size_t alive = 0;
    struct Counted {
        Counted() { ++alive; }
        Counted(const Counted&) = delete;
        Counted& operator=(const Counted&) = delete;
        ~Counted() { --alive; }
        std::size_t number = 0;
    };
    const evcorothread::CoroutineLocal<Counted> mine;
    for (std::size_t i = 0; i < count; ++i) {
        crowd.go([&, i] {
            mine->number = i;
            this_evthread::yield();
            CHECK_EQUAL(i, mine->number);
            CHECK_EQUAL(count - i, alive);
        });
    }
    crowd.run();
    CHECK_EQUAL(0, alive);
}

TEST(CoroutineLocal, IsSharedByLoopsOfSeveralOsThreads) {
    const evcorothread::CoroutineLocal<int> number([] { return 1; });
    std::atomic<int> right{0};
    std::vector<std::thread> os_threads;
    for (int t = 0; t < 3; ++t) {
        os_threads.emplace_back([&] {
            StackPool own_stacks({.count = 4, .pages = 16});
            EvLoop own_loop(own_stacks, any_order());
            for (int i = 0; i < 20; ++i) {
                own_loop.spawn([&, i] {
                    *number += i;
                    this_evthread::yield();
                    if (*number == 1 + i) ++right;
                });
            }
            own_loop.run();
        });
    }
    for (auto& os_thread : os_threads) os_thread.join();
    CHECK_EQUAL(60, right.load());
}

TEST(CoroutineLocal, OutsideACoroutineAborts) {
    const evcorothread::CoroutineLocal<int> number;
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([&] { (void)number.get(); }).c_str());
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([&] { (void)number.get_if(); }).c_str());
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([&] { number.reset(); }).c_str());
}

TEST(CoroutineLocal, DestructorsThatGoOnForEverAbort) {
    struct Again {
        ~Again() {
            if (armed) (*self)->armed = true;
        }
        const evcorothread::CoroutineLocal<Again>* self;
        bool armed = false;
    };
    const evcorothread::CoroutineLocal<Again>* address = nullptr;
    const evcorothread::CoroutineLocal<Again> again([&] { return Again{address, false}; });
    address = &again;
    STRCMP_CONTAINS("make new values again and again",
                    abort_message([&] { in_coroutine([&] { again->armed = true; }); }).c_str());
}
