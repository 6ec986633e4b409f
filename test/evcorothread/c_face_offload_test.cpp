// The C face: blocking code on OS threads.
#include <atomic>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>

#include "evcorothread/evthread_offload.h"
#include "test/evcorothread/c_face_fixture.h"

using namespace c_face_test;

namespace {

// What a job works on, with an eye on when it is dropped.
struct Job {
    std::thread::id ran_on{};
    std::counting_semaphore<> may_end{0};
    std::atomic<int> begun{0};
    std::atomic<int> dropped{0};

    static void run(void* job) {
        auto& self = *static_cast<Job*>(job);
        self.begun = 1;
        self.ran_on = std::this_thread::get_id();
    }
    static void run_until_told(void* job) {
        auto& self = *static_cast<Job*>(job);
        self.begun = 1;
        self.may_end.acquire();
    }
    static void drop(void* job) { ++static_cast<Job*>(job)->dropped; }
};

}  // namespace

TEST_GROUP_BASE(CFaceOffload, CFace) {
    EVOFFLOAD* pool = nullptr;
    Job job, second;
    Outcome called;

    void setup() override {
        CFace::setup();
        pool = EVOFFLOAD_init(1, 0);
        CHECK(pool != nullptr);
    }
    void teardown() override {
        if (pool != nullptr) CHECK_EQUAL(0, EVOFFLOAD_free(pool));
        CFace::teardown();
    }
};

TEST(CFaceOffload, RunsOnAnotherThreadAndLeavesTheContextToTheCaller) {
    start([&](EVTHREAD*, EVSOCKET*) { called = EVOFFLOAD_call(pool, Job::run, &job, Job::drop, soon()); });
    run_loop();
    CHECK_OUTCOME(0, 0, called);
    CHECK(job.ran_on != std::thread::id() && job.ran_on != std::this_thread::get_id());
    CHECK_EQUAL(0, job.dropped.load());
}

TEST(CFaceOffload, LetsOthersRunMeanwhile) {
    start([&](EVTHREAD*, EVSOCKET*) {
        called = EVOFFLOAD_call(pool, Job::run_until_told, &job, nullptr, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) { job.may_end.release(); });
    run_loop();
    CHECK_OUTCOME(0, 0, called);
}

TEST(CFaceOffload, DropsTheContextOfARunningJobAfterItsEnd) {
    int dropped_before = -1;
    EVTHREAD* const caller = start([&](EVTHREAD*, EVSOCKET*) {
        called = EVOFFLOAD_call(pool, Job::run_until_told, &job, Job::drop, soon());
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        while (job.begun == 0) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        EVTHREAD_cancel(caller);
        while (called.result == -2) EVTHREAD_yield(self);
        dropped_before = job.dropped;
        job.may_end.release();
    });
    run_loop();
    CHECK_EQUAL(0, EVOFFLOAD_free(pool));  // waits for it
    pool = nullptr;
    CHECK_OUTCOME(-1, ECANCELED, called);
    CHECK_EQUAL(0, dropped_before);
    CHECK_EQUAL(1, job.dropped.load());
}

TEST(CFaceOffload, DropsTheContextOfAJobThatNeverBegan) {
    Outcome waited;
    int dropped_at_once = -1;
    start([&](EVTHREAD*, EVSOCKET*) {
        called = EVOFFLOAD_call(pool, Job::run_until_told, &job, nullptr, soon());
    });
    start([&](EVTHREAD*, EVSOCKET*) {
        waited = EVOFFLOAD_call(pool, Job::run, &second, Job::drop, EVTIMEOUT_ms(1));
        dropped_at_once = second.dropped;
        job.may_end.release();
    });
    run_loop();
    CHECK_OUTCOME(0, 0, called);
    CHECK_OUTCOME(-1, ETIMEDOUT, waited);
    CHECK_EQUAL(1, dropped_at_once);
    CHECK_EQUAL(0, second.begun.load());
}

TEST(CFaceOffload, RefusesWhenItIsFullAndOneDoesNotWantToWait) {
    Outcome tried;
    start([&](EVTHREAD*, EVSOCKET*) {
        called = EVOFFLOAD_call(pool, Job::run_until_told, &job, nullptr, soon());
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        while (job.begun == 0) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        tried = EVOFFLOAD_try_call(pool, Job::run, &second, Job::drop, soon());
        job.may_end.release();
    });
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, tried);
    CHECK_EQUAL(1, second.dropped.load());
}

TEST(CFaceOffload, BlocksAThreadOutsideAnyLoop) {
    called = EVOFFLOAD_call(pool, Job::run, &job, Job::drop, soon());
    CHECK_OUTCOME(0, 0, called);
    CHECK_EQUAL(1, job.begun.load());
}

TEST(CFaceOffload, EndsWithAnErrorWhenAnExceptionLeavesTheProcedure) {
    start([&](EVTHREAD*, EVSOCKET*) {
        called = EVOFFLOAD_call(
            pool, [](void*) { throw std::runtime_error("no"); }, &job, Job::drop, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EIO, called);
    CHECK_EQUAL(1, job.dropped.load());
}

TEST(CFaceOffload, CannotWaitInATimersProcedure) {
    struct Seen {
        EVOFFLOAD* pool;
        Outcome called;
    } seen{pool, {}};
    EVTIMER_start(EVTIMER_init_one_shot_on_loop(
        loop, 1, no_time(),
        [](EVTIMER*, void* data) {
            auto& s = *static_cast<Seen*>(data);
            s.called = EVOFFLOAD_call(
                s.pool, [](void*) {}, nullptr, nullptr, soon());
        },
        &seen));
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, seen.called);
}

TEST(CFaceOffload, RefusesNonsense) {
    CHECK_FAILS_NULL(EINVAL, EVOFFLOAD_init(0, 1));
    CHECK_FAILS_NULL(EINVAL, EVOFFLOAD_init(1, -1));
    CHECK_FAILS(EINVAL, EVOFFLOAD_call(nullptr, Job::run, &job, Job::drop, soon()));
    CHECK_FAILS(EINVAL, EVOFFLOAD_call(pool, nullptr, &job, Job::drop, soon()));
    CHECK_FAILS(EINVAL, EVOFFLOAD_try_call(nullptr, Job::run, &job, Job::drop, soon()));
    CHECK_FAILS(EINVAL, EVOFFLOAD_free(nullptr));
    CHECK_EQUAL(0, job.dropped.load());
}
