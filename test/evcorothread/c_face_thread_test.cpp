// The C face: the loop and its coroutine threads.
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "test/evcorothread/c_face_fixture.h"
#include "test/support/log_capture.h"

using namespace c_face_test;
using namespace std::chrono_literals;

TEST_GROUP_BASE(CFaceLoop, CFace){};

TEST(CFaceLoop, ReturnsWhenNothingIsLeftToDo) {
    CHECK_EQUAL(0, EVLOOP_run(loop));
    int ran = 0;
    start([&](EVTHREAD*, EVSOCKET*) { ++ran; });
    CHECK_EQUAL(0, EVLOOP_run(loop));
    CHECK_EQUAL(1, ran);
}

TEST(CFaceLoop, RefusesNull) {
    CHECK_FAILS_NULL(EINVAL, EVLOOP_init(nullptr));
    CHECK_FAILS(EINVAL, EVLOOP_run(nullptr));
    CHECK_FAILS(EINVAL, EVLOOP_break(nullptr));
    CHECK_FAILS(EINVAL, EVLOOP_free(nullptr));
}

TEST(CFaceLoop, BreaksFromInsideAndGoesOnLater) {
    std::vector<int> seen;
    start([&](EVTHREAD* self, EVSOCKET*) {
        seen.push_back(1);
        EVLOOP_break(EVTHREAD_loop(self));
        EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        seen.push_back(2);
    });
    run_loop();
    CHECK_EQUAL(1, seen.size());
    run_loop();
    CHECK_EQUAL(2, seen.size());
}

TEST(CFaceLoop, BreaksFromAnotherOsThread) {
    start([&](EVTHREAD* self, EVSOCKET*) { EVTHREAD_delay(self, EVTIMEOUT_never()); });
    std::thread other([this] {
        std::this_thread::sleep_for(5ms);
        EVLOOP_break(loop);
    });
    run_loop();
    other.join();
}

TEST(CFaceLoop, DoesNotRunOrEndInsideItself) {
    Outcome ran, freed, ran_in_timer, freed_in_timer;
    start([&](EVTHREAD*, EVSOCKET*) {
        ran = EVLOOP_run(loop);
        freed = EVLOOP_free(loop);
    });
    struct InTimer {
        EVLOOP* loop;
        Outcome &ran, &freed;
    } in_timer{loop, ran_in_timer, freed_in_timer};
    EVTIMER* const timer = EVTIMER_init_one_shot_on_loop(
        loop, 0, no_time(),
        [](EVTIMER*, void* data) {
            auto& in = *static_cast<InTimer*>(data);
            in.ran = EVLOOP_run(in.loop);
            in.freed = EVLOOP_free(in.loop);
        },
        &in_timer);
    EVTIMER_start(timer);
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, ran);
    CHECK_OUTCOME(-1, EBUSY, freed);
    CHECK_OUTCOME(-1, EBUSY, ran_in_timer);
    CHECK_OUTCOME(-1, EBUSY, freed_in_timer);
}

TEST(CFaceLoop, IsRefusedOnAnotherOsThread) {
    run_loop();  // from here on it is this thread's
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    Outcome ran, freed, started;
    bool made = true;
    std::thread([&] {
        ran = EVLOOP_run(loop);
        freed = EVLOOP_free(loop);
        started = EVTHREAD_start(thread, nullptr);
        made = EVTHREAD_init(loop, run_body, nullptr) != nullptr;
    }).join();
    CHECK_OUTCOME(-1, EINVAL, ran);
    CHECK_OUTCOME(-1, EINVAL, freed);
    CHECK_OUTCOME(-1, EINVAL, started);
    CHECK_FALSE(made);
}

TEST(CFaceLoop, IsRunByWhoeverRunsItFirst) {
    int ran = 0;
    start([&](EVTHREAD*, EVSOCKET*) { ++ran; });
    std::thread([this] {
        EVLOOP_run(loop);
        EVLOOP_free(loop);
    }).join();
    loop = nullptr;
    CHECK_EQUAL(1, ran);
}

TEST(CFaceLoop, EndsByCancelingEveryThread) {
    Outcome waited, waited_again;
    start([&](EVTHREAD* self, EVSOCKET*) {
        waited = EVTHREAD_delay(self, EVTIMEOUT_never());
        waited_again = EVTHREAD_delay(self, EVTIMEOUT_never());
    });
    start([](EVTHREAD* self, EVSOCKET*) { EVLOOP_break(EVTHREAD_loop(self)); });
    run_loop();
    CHECK_EQUAL(0, EVLOOP_free(loop));
    loop = nullptr;
    CHECK_OUTCOME(-1, ECANCELED, waited);
    CHECK_OUTCOME(-1, ECANCELED, waited_again);
}

// What a coroutine makes and starts while the loop ends goes with it.
TEST(CFaceLoop, EndsWithWhatIsMadeMeanwhile) {
    bool child_ran = false;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTHREAD_delay(self, EVTIMEOUT_never());
        start([&](EVTHREAD*, EVSOCKET*) { child_ran = true; });
        make([](EVTHREAD*, EVSOCKET*) {});
        EVTIMER_start(EVTIMER_init_recurrent_on_loop(
            loop, 0, EVTIMEOUT_ms(1), [](EVTIMER*, void*) {}, nullptr));
    });
    start([](EVTHREAD* self, EVSOCKET*) { EVLOOP_break(EVTHREAD_loop(self)); });
    run_loop();
    CHECK_EQUAL(0, EVLOOP_free(loop));
    loop = nullptr;
    CHECK(child_ran);
}

TEST_GROUP_BASE(CFaceThread, CFace){};

TEST(CFaceThread, RunsItsProcedureWithWhatItWasGiven) {
    struct Seen {
        EVTHREAD* thread;
        EVSOCKET* socket;
        void* ctx;
    } seen{};
    EVTHREAD* const thread = EVTHREAD_init(
        loop,
        [](EVTHREAD* self, EVSOCKET* socket, void* ctx) {
            *static_cast<Seen*>(ctx) = {self, socket, ctx};
        },
        &seen);
    CHECK_EQUAL(0, EVTHREAD_start(thread, nullptr));
    CHECK(seen.thread == nullptr);  // not before the loop runs
    run_loop();
    POINTERS_EQUAL(thread, seen.thread);
    POINTERS_EQUAL(nullptr, seen.socket);
    POINTERS_EQUAL(&seen, seen.ctx);
}

TEST(CFaceThread, RefusesNull) {
    CHECK_FAILS_NULL(EINVAL, EVTHREAD_init(nullptr, run_body, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTHREAD_init(loop, nullptr, nullptr));
    CHECK_FAILS(EINVAL, EVTHREAD_start(nullptr, nullptr));
    CHECK_FAILS(EINVAL, EVTHREAD_free(nullptr));
    CHECK_FAILS(EINVAL, EVTHREAD_delay(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVTHREAD_yield(nullptr));
    CHECK_FAILS(EINVAL, EVTHREAD_cancel(nullptr));
    CHECK_FAILS(EINVAL, EVTHREAD_is_canceled(nullptr));
    CHECK_FAILS(EINVAL, EVTHREAD_set_name(nullptr, "x"));
    CHECK_FAILS_NULL(EINVAL, EVTHREAD_name(nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTHREAD_loop(nullptr));
}

TEST(CFaceThread, StartsOnce) {
    Outcome again;
    EVTHREAD* const thread = start([&](EVTHREAD* self, EVSOCKET*) { again = EVTHREAD_start(self, nullptr); });
    CHECK_FAILS(EBUSY, EVTHREAD_start(thread, nullptr));
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, again);
}

TEST(CFaceThread, WaitsForAStackWhenThereIsNone) {
    int running = 0, most = 0, ended = 0;
    for (int i = 0; i < 10; ++i) {
        start([&](EVTHREAD* self, EVSOCKET*) {
            most = std::max(most, ++running);
            EVTHREAD_delay(self, EVTIMEOUT_ms(1));
            --running;
            ++ended;
        });
    }
    CHECK_EQUAL(4, STACKS_in_use(&stacks));
    run_loop();
    CHECK_EQUAL(4, most);
    CHECK_EQUAL(10, ended);
}

TEST(CFaceThread, DelaysNoLessThanAsked) {
    Outcome delayed;
    auto took = 0ns;
    start([&](EVTHREAD* self, EVSOCKET*) {
        const auto begin = std::chrono::steady_clock::now();
        delayed = EVTHREAD_delay(self, EVTIMEOUT_ms(12));
        took = std::chrono::steady_clock::now() - begin;
    });
    run_loop();
    CHECK_OUTCOME(0, 0, delayed);
    CHECK(took >= 12ms);
}

TEST(CFaceThread, DelaysEndInTheOrderOfTheirTimes) {
    std::string order;
    for (const int wait : {9, 3, 6}) {
        start([&order, wait](EVTHREAD* self, EVSOCKET*) {
            EVTHREAD_delay(self, EVTIMEOUT_ms(test_support::patience(wait)));
            order += std::to_string(wait);
        });
    }
    run_loop();
    CHECK_EQUAL("369", order);
}

TEST(CFaceThread, DelayOfNoTimeSucceedsAtOnce) {
    Outcome zero, negative;
    start([&](EVTHREAD* self, EVSOCKET*) {
        zero = EVTHREAD_delay(self, EVTIMEOUT_ms(0));
        negative = EVTHREAD_delay(self, timeval{LONG_MIN, 0});
    });
    run_loop();
    CHECK_OUTCOME(0, 0, zero);
    CHECK_OUTCOME(0, 0, negative);
}

TEST(CFaceThread, OnlyItselfDelaysAndYields) {
    Outcome delayed, yielded;
    EVTHREAD* const other = make([](EVTHREAD*, EVSOCKET*) {});
    start([&](EVTHREAD*, EVSOCKET*) {
        delayed = EVTHREAD_delay(other, no_time());
        yielded = EVTHREAD_yield(other);
    });
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, delayed);
    CHECK_OUTCOME(-1, EINVAL, yielded);
    CHECK_FAILS(EINVAL, EVTHREAD_delay(other, no_time()));  // outside any coroutine thread
}

TEST(CFaceThread, YieldsToTheOthers) {
    std::string order;
    for (const char name : {'a', 'b'}) {
        start([&order, name](EVTHREAD* self, EVSOCKET*) {
            for (int i = 0; i < 3; ++i) {
                order += name;
                EVTHREAD_yield(self);
            }
        });
    }
    run_loop();
    CHECK_EQUAL("ababab", order);
}

TEST(CFaceThread, IsCanceledForEver) {
    Outcome first, second;
    int canceled_before = -1, canceled_after = -1;
    EVTHREAD* const sleeper = start([&](EVTHREAD* self, EVSOCKET*) {
        canceled_before = EVTHREAD_is_canceled(self);
        first = EVTHREAD_delay(self, EVTIMEOUT_never());
        second = EVTHREAD_delay(self, EVTIMEOUT_never());
        canceled_after = EVTHREAD_is_canceled(self);
    });
    start([&](EVTHREAD*, EVSOCKET*) { EVTHREAD_cancel(sleeper); });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, first);
    CHECK_OUTCOME(-1, ECANCELED, second);
    CHECK_EQUAL(0, canceled_before);
    CHECK_EQUAL(1, canceled_after);
}

TEST(CFaceThread, CanBeCanceledBeforeItHasRun) {
    Outcome delayed;
    EVTHREAD* const sleeper =
        start([&](EVTHREAD* self, EVSOCKET*) { delayed = EVTHREAD_delay(self, EVTIMEOUT_never()); });
    CHECK_EQUAL(0, EVTHREAD_cancel(sleeper));
    CHECK_EQUAL(1, EVTHREAD_is_canceled(sleeper));
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, delayed);
}

TEST(CFaceThread, CannotBeCanceledBeforeItIsStarted) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    CHECK_FAILS(EINVAL, EVTHREAD_cancel(thread));
    CHECK_EQUAL(0, EVTHREAD_is_canceled(thread));
}

TEST(CFaceThread, ThatIsNeverStartedCanBeFreed) {
    Outcome running;
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    CHECK_EQUAL(0, EVTHREAD_free(thread));
    start([&](EVTHREAD* self, EVSOCKET*) { running = EVTHREAD_free(self); });
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, running);
}

TEST(CFaceThread, HasAName) {
    std::string inside;
    Outcome late;
    EVTHREAD* const thread = make([&](EVTHREAD* self, EVSOCKET*) {
        inside = EVTHREAD_name(self);
        late = EVTHREAD_set_name(self, "later");
    });
    CHECK_EQUAL("evthread", std::string(EVTHREAD_name(thread)));
    CHECK_FAILS(EINVAL, EVTHREAD_set_name(thread, nullptr));
    CHECK_EQUAL(0, EVTHREAD_set_name(thread, "a name that is much longer than anybody needs"));
    EVTHREAD_start(thread, nullptr);
    run_loop();
    CHECK_EQUAL("a name that is much longer than", inside);
    CHECK_OUTCOME(-1, EBUSY, late);
}

TEST(CFaceThread, KnowsItsLoop) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    POINTERS_EQUAL(loop, EVTHREAD_loop(thread));
}

TEST(CFaceThread, KeepsItsErrnoWhileOthersRun) {
    int seen = 0;
    start([&](EVTHREAD* self, EVSOCKET*) {
        errno = ERANGE;
        EVTHREAD_yield(self);
        seen = errno;
    });
    start([&](EVTHREAD*, EVSOCKET*) { errno = EDOM; });
    run_loop();
    CHECK_EQUAL(ERANGE, seen);
}

TEST(CFaceThread, ThatThrowsEndsAlone) {
    test_support::LogCapture log;
    bool other_ran = false;
    EVTHREAD* const thrower = make([](EVTHREAD*, EVSOCKET*) { throw std::runtime_error("no such thing"); });
    EVTHREAD_set_name(thrower, "thrower");
    EVTHREAD_start(thrower, nullptr);
    start([&](EVTHREAD*, EVSOCKET*) { other_ran = true; });
    run_loop();
    CHECK(other_ran);
    STRCMP_CONTAINS("thrower", log.text().c_str());
    STRCMP_CONTAINS("no such thing", log.text().c_str());
}
