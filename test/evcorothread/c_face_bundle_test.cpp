// The C face: bundles.
#include <stdexcept>
#include <string>
#include <vector>

#include "evcorothread/evthread_bundle.h"
#include "test/evcorothread/c_face_fixture.h"
#include "test/support/log_capture.h"

using namespace c_face_test;

namespace {

using Child = std::function<int(EVTHREAD*)>;

int run_child(EVTHREAD* thread, void* child) { return (*static_cast<Child*>(child))(thread); }

int fail_with(int number) {
    errno = number;
    return -1;
}

}  // namespace

TEST_GROUP_BASE(CFaceBundle, CFace) {
    std::deque<Child> children;
    std::string told;

    int go(EVBUNDLE * bundle, Child child, const char* name = nullptr) {
        children.push_back(std::move(child));
        return EVBUNDLE_go(bundle, name, run_child, &children.back());
    }
    // One that waits until it is canceled, and says why it ended.
    int go_sleeper(EVBUNDLE * bundle, Outcome & outcome) {
        return go(bundle, [&outcome](EVTHREAD* self) {
            outcome = EVTHREAD_delay(self, EVTIMEOUT_never());
            errno = outcome.error;
            return outcome.result;
        });
    }
    EVBUNDLE* make_bundle(timeval deadline = EVTIMEOUT_never()) {
        EVBUNDLE* const bundle = EVBUNDLE_init(loop, deadline);
        CHECK(bundle != nullptr);
        return bundle;
    }
};

TEST(CFaceBundle, WaitsForAllItsChildren) {
    Outcome waited;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        for (const char* name : {"a", "b"})
            go(bundle, [this, name](EVTHREAD* self) {
                EVTHREAD_delay(self, EVTIMEOUT_ms(1));
                told += name;
                return 0;
            });
        waited = EVBUNDLE_wait(bundle, soon());
        told += " waited";
    });
    run_loop();
    CHECK_OUTCOME(0, 0, waited);
    CHECK_EQUAL("ab waited", told);
    CHECK_EQUAL(0, EVBUNDLE_free(bundle));
}

TEST(CFaceBundle, GivesAChildAThreadWithANameAndItsLoop) {
    std::string name;
    EVLOOP* its_loop = nullptr;
    EVBUNDLE* const bundle = make_bundle();
    go(
        bundle,
        [&](EVTHREAD* self) {
            name = EVTHREAD_name(self);
            its_loop = EVTHREAD_loop(self);
            return 0;
        },
        "fetcher");
    run_loop();
    CHECK_EQUAL("fetcher", name);
    POINTERS_EQUAL(loop, its_loop);
}

TEST(CFaceBundle, ClosesTheSocketsOfAChildThatReturns) {
    Pair pair;
    EVBUNDLE* const bundle = make_bundle();
    go(bundle, [&](EVTHREAD* self) {
        EVSOCKET* const socket = EVSOCKET_init(self, pair.near, 1);
        return EVSOCKET_send(socket, "hi", 2, 0, soon());
    });
    run_loop();
    CHECK_EQUAL("hi", pair.read());
    CHECK_EQUAL("", pair.read());
}

TEST(CFaceBundle, FailsWithTheFirstFailureAndCancelsTheOthers) {
    Outcome waited, slept, again;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        go_sleeper(bundle, slept);
        go(bundle, [](EVTHREAD*) { return fail_with(ECONNRESET); });
        waited = EVBUNDLE_wait(bundle, soon());
        again = EVBUNDLE_wait(bundle, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ECONNRESET, waited);
    CHECK_OUTCOME(-1, ECANCELED, slept);
    CHECK_OUTCOME(0, 0, again);
}

TEST(CFaceBundle, TakesWhatIsNotMinusOneForSuccess) {
    Outcome waited;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        go(bundle, [](EVTHREAD*) { return 42; });
        waited = EVBUNDLE_wait(bundle, soon());
    });
    run_loop();
    CHECK_OUTCOME(0, 0, waited);
}

TEST(CFaceBundle, DoesNotCallItAFailureToEndWhenCanceled) {
    Outcome waited, slept;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        go_sleeper(bundle, slept);
        EVBUNDLE_cancel(bundle);
        waited = EVBUNDLE_wait(bundle, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ECANCELED, slept);
    CHECK_OUTCOME(0, 0, waited);
}

TEST(CFaceBundle, LimitsItsChildrensWaits) {
    Outcome slept;
    EVBUNDLE* const bundle = make_bundle(EVTIMEOUT_ms(1));
    Pair pair;
    go(bundle, [&](EVTHREAD* self) {
        char buffer[8];
        EVSOCKET* const socket = EVSOCKET_init(self, pair.near, 1);
        slept = EVSOCKET_recv(socket, buffer, sizeof buffer, 0, EVTIMEOUT_never());
        return 0;
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, slept);
}

TEST(CFaceBundle, GivesUpWaitingWhileChildrenGoOn) {
    Outcome waited, slept;
    int left = -1;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        go_sleeper(bundle, slept);
        waited = EVBUNDLE_wait(bundle, EVTIMEOUT_ms(1));
        left = EVBUNDLE_size(bundle);
        EVBUNDLE_cancel(bundle);
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, waited);
    CHECK_EQUAL(1, left);
}

TEST(CFaceBundle, TellsOfOneChildAfterTheOther) {
    Outcome first, second, third;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        go(bundle, [](EVTHREAD*) { return 0; });
        go(bundle, [](EVTHREAD* self) { return EVTHREAD_delay(self, EVTIMEOUT_ms(1)); });
        first = EVBUNDLE_wait_any(bundle, soon());
        second = EVBUNDLE_wait_any(bundle, soon());
        third = EVBUNDLE_wait_any(bundle, soon());
    });
    run_loop();
    CHECK_OUTCOME(1, 0, first);
    CHECK_OUTCOME(0, 0, second);
    CHECK_OUTCOME(-1, ECHILD, third);
}

TEST(CFaceBundle, ClosesByCancelEvenForOneThatIsCanceledItself) {
    Outcome closed, slept;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD* self, EVSOCKET*) {
        go_sleeper(bundle, slept);
        EVTHREAD_yield(self);
        EVTHREAD_cancel(self);
        closed = EVBUNDLE_close(bundle, soon());
    });
    run_loop();
    CHECK_OUTCOME(0, 0, closed);
    CHECK_OUTCOME(-1, ECANCELED, slept);
}

TEST(CFaceBundle, IsWaitedForByOne) {
    Outcome first, second, freed;
    EVBUNDLE* const bundle = make_bundle();
    Outcome slept;
    go_sleeper(bundle, slept);
    start([&](EVTHREAD*, EVSOCKET*) { first = EVBUNDLE_wait(bundle, soon()); });
    start([&](EVTHREAD*, EVSOCKET*) {
        second = EVBUNDLE_wait(bundle, soon());
        freed = EVBUNDLE_free(bundle);
        EVBUNDLE_cancel(bundle);
    });
    run_loop();
    CHECK_OUTCOME(0, 0, first);
    CHECK_OUTCOME(-1, EBUSY, second);
    CHECK_OUTCOME(-1, EBUSY, freed);
}

TEST(CFaceBundle, EndsItsChildrenWhenFreed) {
    Outcome freed, slept;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD* self, EVSOCKET*) {
        go_sleeper(bundle, slept);
        EVTHREAD_yield(self);
        freed = EVBUNDLE_free(bundle);
        told = slept.result == -1 ? "ended before" : "still there";
    });
    run_loop();
    CHECK_OUTCOME(0, 0, freed);
    CHECK_EQUAL("ended before", told);
}

TEST(CFaceBundle, EndsItsChildrenWhenFreedOutsideOfAny) {
    Outcome slept;
    EVBUNDLE* const bundle = make_bundle();
    go_sleeper(bundle, slept);
    CHECK_EQUAL(0, EVBUNDLE_free(bundle));
    CHECK_OUTCOME(-1, ECANCELED, slept);
}

TEST(CFaceBundle, TakesNobodyNewWhileItIsFreed) {
    Outcome gone;
    EVBUNDLE* const bundle = make_bundle();
    go(bundle, [&](EVTHREAD* self) {
        EVTHREAD_delay(self, EVTIMEOUT_never());
        gone = EVBUNDLE_go(bundle, nullptr, run_child, nullptr);
        return 0;
    });
    CHECK_EQUAL(0, EVBUNDLE_free(bundle));
    CHECK_OUTCOME(-1, EBUSY, gone);
}

TEST(CFaceBundle, EndsWithItsLoop) {
    static Outcome slept;
    slept = {};
    go_sleeper(make_bundle(), slept);
    start_break_in(1);
    run_loop();
    CHECK_EQUAL(0, EVLOOP_free(loop));
    loop = nullptr;
    CHECK_OUTCOME(-1, ECANCELED, slept);
}

TEST(CFaceBundle, FailsWithAnExceptionOfAChild) {
    test_support::LogCapture log;
    Outcome waited;
    EVBUNDLE* const bundle = make_bundle();
    start([&](EVTHREAD*, EVSOCKET*) {
        go(bundle, [](EVTHREAD*) -> int { throw std::runtime_error("no such thing"); });
        waited = EVBUNDLE_wait(bundle, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EIO, waited);
    STRCMP_CONTAINS("no such thing", log.text().c_str());
}

TEST(CFaceBundle, CannotWaitInATimersProcedure) {
    struct Seen {
        EVBUNDLE* bundle;
        Outcome waited, closed, freed;
    } seen{make_bundle(), {}, {}, {}};
    Outcome slept;
    go_sleeper(seen.bundle, slept);
    EVTIMER_start(EVTIMER_init_one_shot_on_loop(
        loop, 7, no_time(),
        [](EVTIMER*, void* data) {
            auto& s = *static_cast<Seen*>(data);
            s.waited = EVBUNDLE_wait(s.bundle, soon());
            s.closed = EVBUNDLE_close(s.bundle, soon());
            s.freed = EVBUNDLE_free(s.bundle);
            EVBUNDLE_cancel(s.bundle);
        },
        &seen));
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, seen.waited);
    CHECK_OUTCOME(-1, EINVAL, seen.closed);
    CHECK_OUTCOME(-1, EINVAL, seen.freed);
}

TEST(CFaceBundle, RefusesNonsense) {
    EVBUNDLE* const bundle = make_bundle();
    CHECK_FAILS_NULL(EINVAL, EVBUNDLE_init(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVBUNDLE_go(nullptr, nullptr, run_child, nullptr));
    CHECK_FAILS(EINVAL, EVBUNDLE_go(bundle, nullptr, nullptr, nullptr));
    CHECK_FAILS(EINVAL, EVBUNDLE_wait(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVBUNDLE_wait_any(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVBUNDLE_cancel(nullptr));
    CHECK_FAILS(EINVAL, EVBUNDLE_close(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVBUNDLE_size(nullptr));
    CHECK_FAILS(EINVAL, EVBUNDLE_free(nullptr));
}
