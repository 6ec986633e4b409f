#include <memory>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(Join, LoopFixture){};

TEST(Join, WaitsUntilTheThreadHasFinished) {
    bool finished = false;
    in_coroutine([&] {
        EvThread worker = go([&] {
            (void)this_evthread::delay(1h);
            finished = true;
        });
        CHECK(!worker.join(Deadline::never));
        CHECK(finished);
    });
}

TEST(Join, ReturnsAtOnceWhenItHasFinished) {
    EvThread worker = go([] {});
    run_loop();
    in_coroutine([&] {
        CHECK(!worker.join(0s));
        CHECK(!EvThread().join(0s));
    });
}

TEST(Join, TimesOutAndMayBeRepeated) {
    in_coroutine([&] {
        EvThread worker = go([] { (void)this_evthread::delay(1h); });
        CHECK_EQUAL(NetError::timed_out, worker.join(1min));
        CHECK_EQUAL(NetError::timed_out, worker.join(1min));
        CHECK(!worker.finished());
        CHECK(!worker.join(1h));
    });
}

TEST(Join, IsCanceledWithItsOwnCoroutineOnly) {
    EvThread worker = go([] { CHECK(!this_evthread::delay(1h)); });
    std::error_code seen;
    EvThread joiner = go([&] { seen = worker.join(Deadline::never); });
    run_ready();
    joiner.cancel();
    run_ready();
    CHECK_EQUAL(NetError::canceled, seen);
    CHECK(!worker.finished());
    run_loop();
}

TEST(Join, OfAThreadThatFinishesInTheSamePassAsItsCancelIsEither) {
    EvThread worker = go([] { (void)this_evthread::delay(1s); });
    bool done = false;
    EvThread joiner = go([&] {
        const auto error = worker.join(Deadline::never);
        CHECK(!error || error == NetError::canceled);
        done = true;
    });
    run_ready();
    loop.post([&] {
        worker.cancel();
        joiner.cancel();
    });
    run_ready();
    CHECK(done);
}

TEST(Join, TwoAtOnceAbort) {
    STRCMP_CONTAINS("two joins wait on one coroutine", abort_message([this] {
                                                           EvThread worker =
                                                               go([] { (void)this_evthread::delay(1h); });
                                                           for (int i = 0; i < 2; ++i)
                                                               go([&] { (void)worker.join(1min); });
                                                           run_loop();
                                                       }).c_str());
}

TEST(Join, OfItselfAborts) {
    STRCMP_CONTAINS("a coroutine joins itself", abort_message([this] {
                                                    EvThread self;
                                                    self = go([&] { (void)self.join(1min); });
                                                    run_loop();
                                                }).c_str());
}

TEST(Join, DroppingTheHandleMeanwhileAborts) {
    STRCMP_CONTAINS("while a join() waits on it",
                    abort_message([this] {
                        auto worker = std::make_unique<EvThread>(go([] { (void)this_evthread::delay(1h); }));
                        go([&] { (void)worker->join(Deadline::never); });
                        run_ready();
                        worker.reset();
                    }).c_str());
}

TEST_IN_ORDER(Join, DroppingTheHandleBeforeTheJoinerHasRunAborts) {
    STRCMP_CONTAINS("while a join() waits on it",
                    abort_message([this] {
                        auto worker = std::make_unique<EvThread>(go([] { (void)this_evthread::delay(1h); }));
                        go([&] { (void)worker->join(Deadline::never); });
                        run_ready();
                        worker->cancel();
                        go([&] { worker.reset(); });  // behind the worker, before the joiner
                        run_loop();
                    }).c_str());
}

TEST(Join, MovingTheHandleMeanwhileAborts) {
    STRCMP_CONTAINS("while a join() waits on it", abort_message([this] {
                                                      EvThread worker =
                                                          go([] { (void)this_evthread::delay(1h); });
                                                      go([&] { (void)worker.join(Deadline::never); });
                                                      run_ready();
                                                      const EvThread moved(std::move(worker));
                                                  }).c_str());
}

TEST(Join, ManyAreServed) {
    int joined = 0;
    in_coroutine([&] {
        std::vector<EvThread> workers;
        for (int i = 0; i < 40; ++i)
            workers.push_back(go([i] { (void)this_evthread::delay(std::chrono::seconds(40 - i)); }));
        for (EvThread& worker : workers) joined += !worker.join(Deadline::never);
    });
    CHECK_EQUAL(40, joined);
}
