// The C face: timers.
#include <chrono>
#include <string>

#include "test/evcorothread/c_face_fixture.h"

using namespace c_face_test;
using namespace std::chrono_literals;

namespace {

void count(EVTIMER*, void* counter) { ++*static_cast<int*>(counter); }

}  // namespace

TEST_GROUP_BASE(CFaceTimer, CFace) { int fired = 0; };

TEST(CFaceTimer, FiresOnceAndNotEarly) {
    auto took = 0ns;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER* const timer = EVTIMER_init_one_shot(self, 7, EVTIMEOUT_ms(3), count, &fired);
        const auto begin = std::chrono::steady_clock::now();
        EVTIMER_start(timer);
        while (fired == 0) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        took = std::chrono::steady_clock::now() - begin;
        EVTHREAD_delay(self, EVTIMEOUT_ms(8));
    });
    run_loop();
    CHECK_EQUAL(1, fired);
    CHECK(took >= 3ms);
}

TEST(CFaceTimer, FiresAgainAndAgain) {
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER_start(EVTIMER_init_recurrent(self, 7, EVTIMEOUT_ms(1), count, &fired));
        while (fired < 3) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
    });
    run_loop();
    CHECK(fired >= 3);
}

TEST(CFaceTimer, DoesNotRunBeforeItIsStarted) {
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER_init_one_shot(self, 7, no_time(), count, &fired);
        EVTHREAD_delay(self, EVTIMEOUT_ms(2));
    });
    run_loop();
    CHECK_EQUAL(0, fired);
}

TEST(CFaceTimer, IsCanceledAndStartedAgain) {
    int fired_canceled = -1;
    Outcome canceled, canceled_again;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER* const timer = EVTIMER_init_one_shot(self, 7, EVTIMEOUT_ms(2), count, &fired);
        EVTIMER_start(timer);
        canceled = EVTIMER_cancel(timer);
        canceled_again = EVTIMER_cancel(timer);
        EVTHREAD_delay(self, EVTIMEOUT_ms(4));
        fired_canceled = fired;
        EVTIMER_start(timer);
        while (fired == 0) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
    });
    run_loop();
    CHECK_OUTCOME(0, 0, canceled);
    CHECK_OUTCOME(0, 0, canceled_again);
    CHECK_EQUAL(0, fired_canceled);
    CHECK_EQUAL(1, fired);
}

TEST(CFaceTimer, CanBeFreed) {
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER* const timer = EVTIMER_init_one_shot(self, 7, EVTIMEOUT_ms(1), count, &fired);
        EVTIMER_start(timer);
        EVTIMER_free(timer);
        EVTHREAD_delay(self, EVTIMEOUT_ms(3));
    });
    run_loop();
    CHECK_EQUAL(0, fired);
}

TEST(CFaceTimer, CanBeFreedByItsOwnProcedure) {
    Outcome freed;
    EVTIMER_start(EVTIMER_init_recurrent_on_loop(
        loop, 7, EVTIMEOUT_ms(1),
        [](EVTIMER* timer, void* outcome) { *static_cast<Outcome*>(outcome) = EVTIMER_free(timer); },
        &freed));
    run_loop();  // returns: the timer was all there was to do
    CHECK_OUTCOME(0, 0, freed);
}

TEST(CFaceTimer, EndsWithItsThread) {
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER_start(EVTIMER_init_recurrent(self, 7, EVTIMEOUT_ms(1), count, &fired));
    });
    start([](EVTHREAD* self, EVSOCKET*) { EVTHREAD_delay(self, EVTIMEOUT_ms(3)); });
    run_loop();
    CHECK_EQUAL(0, fired);
}

TEST(CFaceTimer, OfAThreadNeverStartedEndsWithTheLoop) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    CHECK_EQUAL(0, EVTIMER_start(EVTIMER_init_one_shot(thread, 7, soon(), count, &fired)));
}

TEST(CFaceTimer, OfTheLoopKeepsItRunning) {
    CHECK_EQUAL(0, EVTIMER_start(EVTIMER_init_one_shot_on_loop(loop, 7, EVTIMEOUT_ms(2), count, &fired)));
    run_loop();
    CHECK_EQUAL(1, fired);
}

TEST(CFaceTimer, OfTheLoopEndsWithIt) {
    EVTIMER_start(EVTIMER_init_recurrent_on_loop(loop, 7, EVTIMEOUT_ms(1), count, &fired));
}

TEST(CFaceTimer, HasAnId) {
    EVTIMER* const timer = EVTIMER_init_one_shot_on_loop(loop, 4711, soon(), count, nullptr);
    CHECK_EQUAL(4711, EVTIMER_id(timer));
}

TEST(CFaceTimer, CannotWait) {
    struct Seen {
        EVTHREAD* thread;
        EVSOCKET* socket;
        Outcome delayed, received;
    } seen{};
    Pair pair;
    start_with(pair.near, [&](EVTHREAD* self, EVSOCKET* socket) {
        seen.thread = self;
        seen.socket = socket;
        EVTIMER_start(EVTIMER_init_one_shot(
            self, 7, no_time(),
            [](EVTIMER*, void* data) {
                auto& s = *static_cast<Seen*>(data);
                char buffer[8];
                s.delayed = EVTHREAD_delay(s.thread, soon());
                s.received = EVSOCKET_recv(s.socket, buffer, sizeof buffer, 0, soon());
            },
            &seen));
        EVTHREAD_delay(self, EVTIMEOUT_ms(2));
    });
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, seen.delayed);
    CHECK_OUTCOME(-1, EINVAL, seen.received);
}

TEST(CFaceTimer, CancelsAThread) {
    Outcome delayed;
    start([&](EVTHREAD* self, EVSOCKET*) {
        EVTIMER_start(EVTIMER_init_one_shot(
            self, 7, EVTIMEOUT_ms(1),
            [](EVTIMER*, void* thread) { EVTHREAD_cancel(static_cast<EVTHREAD*>(thread)); }, self));
        delayed = EVTHREAD_delay(self, EVTIMEOUT_never());
    });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, delayed);
}

TEST(CFaceTimer, RefusesNonsense) {
    EVTHREAD* const thread = make([](EVTHREAD*, EVSOCKET*) {});
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_one_shot(nullptr, 7, soon(), count, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_one_shot(thread, 7, soon(), nullptr, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_one_shot(thread, 7, EVTIMEOUT_ms(-1), count, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_one_shot(thread, 7, EVTIMEOUT_never(), count, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_recurrent(thread, 7, no_time(), count, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_recurrent(nullptr, 7, soon(), count, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_one_shot_on_loop(nullptr, 7, soon(), count, nullptr));
    CHECK_FAILS_NULL(EINVAL, EVTIMER_init_recurrent_on_loop(nullptr, 7, soon(), count, nullptr));
    CHECK_FAILS(EINVAL, EVTIMER_start(nullptr));
    CHECK_FAILS(EINVAL, EVTIMER_cancel(nullptr));
    CHECK_FAILS(EINVAL, EVTIMER_free(nullptr));
    CHECK_FAILS(EINVAL, EVTIMER_id(nullptr));
}
