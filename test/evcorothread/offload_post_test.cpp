// OffloadPool::post: jobs for which nobody waits.
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "evcorothread/cross_event.h"
#include "evcorothread/offload.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(OffloadPost, LoopFixture){};

TEST(OffloadPost, RunsOnAThreadOfThePool) {
    OffloadPool pool({.threads = 1});
    CrossEvent done;
    CHECK_FALSE(pool.post([&] { done.set(); }));
    CHECK_FALSE(done.wait(20s));
}

TEST(OffloadPost, MayBeCalledOnALoopWhereWaitingIsNotAllowed) {
    OffloadPool pool({.threads = 1});
    CrossEvent done;
    std::error_code error = nutils::NetError::closed;
    loop.post([&] { error = pool.post([&] { done.set(); }); });
    loop.run_ready();
    CHECK_FALSE(error);
    CHECK_FALSE(done.wait(20s));
}

TEST(OffloadPost, WithTheQueueFullItIsBusy) {
    CrossEvent begun, go_on;
    OffloadPool pool({.threads = 1, .queue = 1});
    CHECK_FALSE(pool.post([&] {
        begun.set();
        (void)go_on.wait(20s);
    }));
    CHECK_FALSE(begun.wait(20s));
    CHECK_FALSE(pool.post([] {}));
    CHECK(pool.post([] {}) == nutils::NetError::busy);
    go_on.set();
}

TEST(OffloadPost, WhatHasNotBegunWhenThePoolClosesIsDestroyedUnrun) {
    CrossEvent begun, go_on;
    const auto owned = std::make_shared<int>();
    std::atomic<bool> ran{false};
    OffloadPool pool({.threads = 1});
    CHECK_FALSE(pool.post([&] {
        begun.set();
        (void)go_on.wait(20s);
    }));
    CHECK_FALSE(begun.wait(20s));
    CHECK_FALSE(pool.post([&ran, owned] { ran = true; }));
    pool.close();
    LONGS_EQUAL(1, owned.use_count());
    CHECK(pool.post([] {}) == nutils::NetError::closed);
    go_on.set();
    CHECK_FALSE(ran);
}

TEST(OffloadPost, AnExceptionIsLogged) {
    LogCapture log;
    {
        OffloadPool pool({.threads = 1});
        CrossEvent begun;
        CHECK_FALSE(pool.post([&] {
            begun.set();
            throw std::runtime_error("oops");
        }));
        CHECK_FALSE(begun.wait(20s));
    }
    STRCMP_CONTAINS("oops", log.text().c_str());
}
