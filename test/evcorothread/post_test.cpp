// The door for other OS threads: post() and stop(), and what keeps a loop waiting for them.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Post, LoopFixture) { std::vector<int> order; };

TEST(Post, RunsOnTheLoopOutsideAnyCoroutine) {
    bool inside = true;
    loop.post([&] { inside = this_evthread::in_evthread(); });
    run_ready();
    CHECK(!inside);
}

TEST(Post, DoesNotRunAtOnce) {
    loop.post([&] { order.push_back(2); });
    order.push_back(1);
    run_ready();
    CHECK(order == std::vector<int>({1, 2}));
}

TEST(Post, RunsInOrder) {
    for (int i = 0; i < 5; ++i) loop.post([&, i] { order.push_back(i); });
    run_ready();
    CHECK(order == std::vector<int>({0, 1, 2, 3, 4}));
}

TEST(Post, MayPostAgainAndSpawn) {
    loop.post([&] {
        order.push_back(1);
        loop.post([&] {
            order.push_back(2);
            go([&] { order.push_back(3); });
        });
    });
    run_ready();
    CHECK(order == std::vector<int>({1, 2, 3}));
}

TEST(Post, FromACoroutine) {
    in_coroutine([&] {
        loop.post([&] { order.push_back(1); });
        CHECK(!this_evthread::delay(1s));
        CHECK_EQUAL(1, order.size());
    });
}

TEST(Post, AnExceptionIsLoggedAndTheOthersRun) {
    LogCapture log;
    loop.post([] { throw std::runtime_error("posted"); });
    loop.post([] { throw 42; });
    loop.post([&] { order.push_back(1); });
    run_ready();
    CHECK_EQUAL(1, order.size());
    CHECK_EQUAL(2, log.lines());
    STRCMP_CONTAINS("a posted function ended by an exception: posted", log.text().c_str());
}

TEST(Post, IsDestroyedUnrunWhenTheLoopEnds) {
    const auto token = std::make_shared<int>();
    bool ran = false;
    {
        EvLoop mortal(stacks, any_order());
        mortal.post([&ran, token] { ran = true; });
    }
    CHECK(!ran);
    CHECK_EQUAL(1, token.use_count());
}

TEST(Post, WhatIsDestroyedUnrunMayHoldThingsOfTheLoop) {
    EvLoop mortal(stacks, any_order());
    auto acceptor = std::make_shared<EvTcpAcceptor>(
        EvTcpAcceptor::listen(mortal, SockAddr::loopback(0), [](EvSocket) {}).value());
    auto socket = std::make_shared<EvSocket>(mortal, std::move(unix_pair().near));
    auto timer = std::make_shared<EvTimer>(mortal, [] {});
    timer->start(1h);
    mortal.post([a = std::move(acceptor), s = std::move(socket), t = std::move(timer)] {});
}

TEST(Post, WhatIsDestroyedUnrunMayUseTheLoop) {
    struct Parting {
        EvLoop* loop;
        int* ran;
        ~Parting() {
            loop->post([] {});
            loop->spawn([ran = ran] { ++*ran; });
        }
    };
    int ran = 0;
    {
        EvLoop mortal(stacks, any_order());
        mortal.post([parting = std::shared_ptr<Parting>(new Parting{&mortal, &ran})] {});
    }
    CHECK_EQUAL(1, ran);
}

TEST(Post, IsDestroyedOnceItHasRun) {
    const auto token = std::make_shared<int>();
    loop.post([token] {});
    run_ready();
    CHECK_EQUAL(1, token.use_count());
}

TEST(Post, StopEndsARun) {
    loop.spawn([&] {
        (void)this_evthread::delay(1s);
        loop.stop();
        (void)this_evthread::delay(1s);
        order.push_back(1);
    });
    run_loop();
    CHECK(order.empty());
    CHECK_EQUAL(1, loop.thread_count());
    run_loop();  // goes on where it was
    CHECK_EQUAL(1, order.size());
}

TEST(Post, StopBeforeARunEndsItAtOnce) {
    go([&] { order.push_back(1); });
    loop.stop();
    run_loop();
    CHECK(order.empty());
    run_loop();
    CHECK_EQUAL(1, order.size());
}

TEST(Post, ARunWithoutWorkReturns) { run_loop(); }

// --- other OS threads ---

TEST_GROUP_BASE(PostThreads, RealTimeFixture){};

TEST(PostThreads, WakesALoopThatSleeps) {
    std::optional<EvLoop::Hold> hold(std::in_place, loop);
    bool ran = false;
    std::thread poster([&] {
        loop.post([&] {
            ran = true;
            hold.reset();
        });
    });
    run_loop();
    poster.join();
    CHECK(ran);
}

TEST(PostThreads, StopWakesALoopThatSleeps) {
    const EvLoop::Hold hold(loop);
    std::thread stopper([&] { loop.stop(); });
    run_loop();
    stopper.join();
}

TEST(PostThreads, ManyPostersLoseNothingAndKeepTheirOrder) {
    constexpr int kThreads = 4;
    constexpr int kEach = 5'000;
    std::optional<EvLoop::Hold> hold(std::in_place, loop);
    std::vector<int> next(kThreads);
    int done = 0;
    bool in_order = true;
    std::vector<std::thread> posters;
    for (std::size_t t = 0; t < kThreads; ++t)
        posters.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i)
                loop.post([&, t, i] {
                    in_order &= next[t] == i;
                    ++next[t];
                    if (++done == kThreads * kEach) hold.reset();
                });
        });
    run_loop();
    for (std::thread& poster : posters) poster.join();
    CHECK(in_order);
    CHECK_EQUAL(kThreads * kEach, done);
}

TEST(PostThreads, APostedFunctionWakesACoroutine) {
    WaitPoint* point = nullptr;
    Wake seen{};
    std::thread answerer;
    in_coroutine([&] {
        WaitPoint mine("an answer");
        point = &mine;
        answerer = std::thread([&] { loop.post([&] { point->wake(); }); });
        seen = mine.wait(5s);
    });
    answerer.join();
    CHECK_EQUAL(Wake::event, seen);
}

TEST(PostThreads, ALoopThatIsHeldUsesNoCpu) {
    const EvLoop::Hold hold(loop);
    std::thread stopper([&] {
        spin_until(cutils::monotonic_now() + 50ms);
        loop.stop();
    });
    const Duration before = cpu_time();
    run_loop();
    const Duration used = cpu_time() - before;
    stopper.join();
    CHECK(used < 25ms);
}

TEST(PostThreads, HoldsAreCounted) {
    std::optional<EvLoop::Hold> first(std::in_place, loop);
    std::optional<EvLoop::Hold> second(std::in_place, loop);
    int ran = 0;
    std::thread poster([&] {
        loop.post([&] {
            ++ran;
            first.reset();
        });
        loop.post([&] {
            ++ran;
            second.reset();
        });
    });
    run_loop();
    poster.join();
    CHECK_EQUAL(2, ran);
}

namespace {
EvLoop* stopped_by_signal = nullptr;
void stop_it(int) { stopped_by_signal->stop(); }
}  // namespace

TEST_GROUP_BASE(PostSignals, RealTimeFixture){};

TEST(PostSignals, StopMayBeCalledInASignalHandler) {
    stopped_by_signal = &loop;
    struct sigaction handler {
    }, before{};
    handler.sa_handler = &stop_it;
    sigaction(SIGUSR1, &handler, &before);
    std::atomic<bool> done{false};
    std::thread nag([&done, here = pthread_self()] {
        while (!done) {
            pthread_kill(here, SIGUSR1);
            sched_yield();
        }
    });
    const EvLoop::Hold hold(loop);
    int ran = 0;
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 50; ++i) loop.post([&ran] { ++ran; });  // which a signal interrupts at any point
        loop.run();                                                 // returns, because it is stopped
    }
    done = true;
    nag.join();
    loop.run_ready();
    sigaction(SIGUSR1, &before, nullptr);
    CHECK_EQUAL(200 * 50, ran);
}
