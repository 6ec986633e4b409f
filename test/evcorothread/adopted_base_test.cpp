// A loop inside an event_base that the application runs itself.
#include <event2/event.h>
#include <signal.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "corothread/generator.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/wait_fd.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

namespace {

using Base = std::unique_ptr<event_base, decltype(&event_base_free)>;

class AdoptedFixture : public Fixture {
  public:
    AdoptedFixture() { ::alarm(patience(120U)); }
    ~AdoptedFixture() override { ::alarm(0); }

    Base base{event_base_new(), &event_base_free};
    StackPool stacks{{.count = 4}};
    std::optional<EvLoop> loop{std::in_place, stacks, base.get(), any_order()};

    void teardown() override {
        LONGS_EQUAL_TEXT(0, loop ? loop->thread_count() : 0, "coroutines left behind");
        LONGS_EQUAL_TEXT(0, stacks.in_use(), "stacks left behind");
    }
    // As the application does; returns when nothing is left to do.
    int dispatch() { return event_base_dispatch(base.get()); }

    // An event of the application's own, after `ms` milliseconds.
    void in_application(int ms, std::function<void()> action) {
        const timeval when{0, ms * 1000};
        auto* const call = new std::function<void()>(std::move(action));
        event_base_once(
            base.get(), -1, EV_TIMEOUT,
            [](evutil_socket_t, short, void* argument) {
                const std::unique_ptr<std::function<void()>> owned(
                    static_cast<std::function<void()>*>(argument));
                (*owned)();
            },
            call, &when);
    }
};

}  // namespace

TEST_GROUP_BASE(AdoptedBase, AdoptedFixture){};

TEST(AdoptedBase, RunsCoroutinesFromTheApplicationsDispatch) {
    int ran = 0;
    for (int i = 0; i < 3; ++i)
        loop->spawn([&] {
            this_evthread::yield();
            ++ran;
        });
    dispatch();
    CHECK_EQUAL(3, ran);
}

TEST(AdoptedBase, DispatchReturnsWhenTheWorkIsOver) {
    loop->spawn([] { CHECK(!this_evthread::delay(2ms)); });
    CHECK_EQUAL(1, dispatch());  // 1: no events
    loop->spawn([] {});
    CHECK_EQUAL(1, dispatch());
}

TEST(AdoptedBase, WithoutWorkItAddsNothingToDispatch) { CHECK_EQUAL(1, dispatch()); }

TEST(AdoptedBase, MoreCoroutinesThanStacks) {
    int ran = 0;
    for (int i = 0; i < 20; ++i)
        loop->spawn([&] {
            CHECK(!this_evthread::delay(1ms));
            ++ran;
        });
    dispatch();
    CHECK_EQUAL(20, ran);
}

TEST(AdoptedBase, ServesAnEcho) {
    auto acceptor = std::make_unique<EvTcpAcceptor>(
        EvTcpAcceptor::listen(*loop, SockAddr::loopback(0), [](EvSocket socket) {
            char buffer[64];
            while (const IoResult got = socket.recv(buffer, 5s))
                if (!socket.send_all({buffer, got.bytes}, 5s)) break;
        }).value());
    std::string answers;
    for (const char* text : {"one", "two", "three"})
        loop->spawn([&, text] {
            EvSocket client = EvSocket::connect(*loop, acceptor->local_address(), 5s).value();
            CHECK(client.send_all(text, 5s));
            answers += received(client, 5s);
            if (answers.size() == 11) acceptor.reset();
        });
    dispatch();
    CHECK_EQUAL(11, answers.size());
}

TEST(AdoptedBase, SharesTheBaseWithTheApplicationsOwnEvents) {
    std::string order;
    loop->spawn([&] {
        CHECK(!this_evthread::delay(30ms));
        order += "b";
    });
    in_application(1, [&] { order += "a"; });
    in_application(150, [&] { order += "c"; });
    dispatch();
    CHECK_EQUAL("abc", order);
}

TEST(AdoptedBase, YieldingCoroutinesDoNotStarveTheApplication) {
    bool stop = false;
    long rounds = 0;
    for (int i = 0; i < 2; ++i)
        loop->spawn([&] {
            const TimePoint limit = cutils::monotonic_now() + 3s;
            while (!stop && cutils::monotonic_now() < limit) {
                ++rounds;
                this_evthread::yield();
            }
        });
    in_application(2, [&] { stop = true; });
    const TimePoint begin = cutils::monotonic_now();
    dispatch();
    CHECK(stop);
    CHECK(cutils::monotonic_now() - begin < 2s);
}

TEST(AdoptedBase, TheApplicationMaySpawnFromItsOwnEvents) {
    bool ran = false;
    in_application(1, [&] { loop->spawn([&] { ran = true; }); });
    dispatch();
    CHECK(ran);
}

TEST(AdoptedBase, TheApplicationMayWakeFromItsOwnEvents) {
    WaitPoint* point = nullptr;
    Wake seen{};
    loop->spawn([&] {
        WaitPoint mine("the application");
        point = &mine;
        seen = mine.wait(5s);
    });
    in_application(2, [&] { point->wake(); });
    dispatch();
    CHECK_EQUAL(Wake::event, seen);
}

TEST(AdoptedBase, TheApplicationMayCancelFromItsOwnEvents) {
    EvThread sleeper = loop->spawn([] { CHECK_EQUAL(NetError::canceled, this_evthread::delay(1h)); });
    in_application(2, [&] { sleeper.cancel(); });
    dispatch();
    CHECK(sleeper.finished());
}

TEST(AdoptedBase, AStackGivenBackByTheApplicationIsUsed) {
    std::optional<corothread::Generator<int>> numbers[4];
    for (auto& one : numbers) {
        one.emplace(stacks, [](auto& yield) { yield(1); });
        (void)one->next();
    }
    bool ran = false;
    EvThread waiting = loop->spawn([&] { ran = true; });
    CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
    in_application(2, [&] { numbers[0].reset(); });
    dispatch();
    CHECK(ran);
}

TEST(AdoptedBase, TimersRun) {
    int calls = 0;
    EvTimer regular(*loop, [&] {
        if (++calls == 3) regular.stop();
    });
    regular.start_periodic(1ms);
    dispatch();
    CHECK_EQUAL(3, calls);
}

TEST(AdoptedBase, ATimerStartedFromTheApplicationRuns) {
    int calls = 0;
    EvTimer late(*loop, [&] { ++calls; });
    EvTimer early(*loop, [&] { ++calls; });
    late.start(300ms);
    in_application(2, [&] { early.start(1ms); });
    const TimePoint begin = cutils::monotonic_now();
    in_application(150, [&] { CHECK_EQUAL(1, calls); });
    dispatch();
    CHECK_EQUAL(2, calls);
    CHECK(cutils::monotonic_now() - begin < 2s);
}

TEST(AdoptedBase, PostsRunWhileThereIsWork) {
    std::optional<EvLoop::Hold> hold(std::in_place, *loop);
    bool ran = false;
    std::thread poster([&] {
        loop->post([&] {
            ran = true;
            hold.reset();
        });
    });
    dispatch();
    poster.join();
    CHECK(ran);
}

TEST(AdoptedBase, APostMadeWithoutWorkRunsWithTheNextWork) {
    bool ran = false;
    loop->post([&] { ran = true; });
    dispatch();
    CHECK(!ran);
    loop->spawn([] { (void)this_evthread::delay(1ms); });
    dispatch();
    CHECK(ran);
}

TEST(AdoptedBase, SignalsAreSeen) {
    int seen = 0;
    std::optional<SignalWatch> watch;
    watch.emplace(*loop, std::initializer_list<int>{SIGUSR1}, [&](int) {
        loop->spawn([&] { ++seen; });
        watch.reset();
    });
    in_application(1, [] { ::raise(SIGUSR1); });
    dispatch();
    CHECK_EQUAL(1, seen);
}

TEST(AdoptedBase, ForeignDescriptorsAreWaitedFor) {
    SocketPair pair = unix_pair();
    bool woken = false;
    loop->spawn([&] { woken = !wait_readable(pair.near.get(), 5s); });
    in_application(1, [&] { CHECK_EQUAL(1, nutils::send_some(pair.far.get(), "x").bytes); });
    dispatch();
    CHECK(woken);
}

TEST(AdoptedBase, NowGoesOn) {
    loop->spawn([&] {
        const TimePoint begin = loop->now();
        CHECK(!this_evthread::delay(3ms));
        CHECK(loop->now() - begin >= 2ms);
    });
    dispatch();
}

TEST(AdoptedBase, NowIsNotOldInTheApplicationsEvents) {
    const EvLoop::Hold hold(*loop);
    Duration off{};
    (void)loop->now();
    in_application(20, [&] {
        off = loop->precise_now() - loop->now();
        event_base_loopbreak(base.get());
    });
    dispatch();
    CHECK(off < 10ms);
}

namespace {
class Silent final : public EvParking::Guest {
  public:
    Silent(EvSocket socket, int& expired) : Guest(std::move(socket)), expired_(expired) {}

  private:
    EvParking::Next serve() override { return EvParking::Next::close(); }
    bool expired() override {
        ++expired_;
        return false;
    }
    int& expired_;
};
}  // namespace

TEST(AdoptedBase, ParkedConnectionsExpireThoughNothingElseHappens) {
    EvParking parking(*loop);
    int expired = 0;
    std::optional<EvTcpAcceptor> acceptor;
    acceptor.emplace(
        EvTcpAcceptor::listen_raw(*loop, SockAddr::loopback(0), [&](UniqueFd fd, const SockAddr&) {
            CHECK(!parking.adopt(std::make_unique<Silent>(EvSocket(*loop, std::move(fd)), expired), 5ms));
        }).value());
    parking.on_gone([&] { acceptor.reset(); });
    const UniqueFd client = nutils::socket_stream(AF_INET).value();
    in_application(3, [&] { (void)nutils::connect_start(client.get(), acceptor->local_address()); });
    const TimePoint limit = cutils::monotonic_now() + 1s;
    while (acceptor && cutils::monotonic_now() < limit) event_base_loop(base.get(), EVLOOP_NONBLOCK);
    CHECK_EQUAL(1, expired);
    acceptor.reset();
    parking.close_parked();
}

TEST(AdoptedBase, IdleCostsNoCpu) {
    EvThread sleeper = loop->spawn([] { CHECK(!this_evthread::delay(50ms)); });
    const Duration before = cpu_time();
    dispatch();
    CHECK(cpu_time() - before < 25ms);
}

// --- ends ---

TEST(AdoptedBase, ShutdownEndsSleepers) {
    for (int i = 0; i < 3; ++i)
        loop->spawn([] { CHECK_EQUAL(NetError::canceled, this_evthread::delay(1h)); });
    event_base_loop(base.get(), EVLOOP_NONBLOCK);
    CHECK(loop->shutdown(5s));
    CHECK_EQUAL(0, loop->thread_count());
}

TEST(AdoptedBase, ShutdownLetsShieldedOnesFinish) {
    bool finished = false;
    loop->spawn([&] {
        CHECK_EQUAL(NetError::canceled, this_evthread::delay(1h));
        CancelShield shield(5s);
        CHECK(!this_evthread::delay(3ms));
        finished = true;
    });
    event_base_loop(base.get(), EVLOOP_NONBLOCK);
    CHECK(loop->shutdown(5s));
    CHECK(finished);
}

TEST(AdoptedBase, DestructionEndsWhatRuns) {
    loop->spawn([] { (void)this_evthread::delay(1h); });
    event_base_loop(base.get(), EVLOOP_NONBLOCK);
    loop.reset();
    CHECK_EQUAL(1, dispatch());  // nothing of ours is left in the base
}

TEST(AdoptedBase, TheBaseGoesOnAfterTheLoop) {
    loop.reset();
    bool ran = false;
    in_application(1, [&] { ran = true; });
    dispatch();
    CHECK(ran);
}

TEST(AdoptedBase, DestructionInAnApplicationsEventEndsSleepers) {
    bool canceled = false;
    loop->spawn([&] { canceled = this_evthread::delay(1h) == NetError::canceled; });
    in_application(2, [&] { loop.reset(); });
    event_set_log_callback([](int, const char*) {});  // libevent says that its loop is not reentrant
    dispatch();
    event_set_log_callback(nullptr);
    CHECK(canceled);
    CHECK(!loop.has_value());
}

TEST(AdoptedBase, TwoLoopsShareABase) {
    EvLoop second(stacks, base.get(), any_order());
    std::string order;
    loop->spawn([&] {
        CHECK(!this_evthread::delay(2ms));
        order += "a";
    });
    second.spawn([&] {
        CHECK(!this_evthread::delay(6ms));
        order += "b";
    });
    dispatch();
    CHECK_EQUAL("ab", order);
}

TEST(AdoptedBase, ABaseRunOnAnotherThreadIsThatThreads) {
    bool ran = false;
    loop->spawn([&] {
        loop->spawn([&] { ran = true; });
        CHECK(!this_evthread::delay(1ms));
    });
    std::thread other([&] { dispatch(); });
    other.join();
    CHECK(ran);
}

TEST(AdoptedBase, RunningItByHandAborts) {
    STRCMP_CONTAINS("the application runs an adopted event_base",
                    abort_message([this] { loop->run(); }).c_str());
    STRCMP_CONTAINS("the application runs an adopted event_base",
                    abort_message([this] { loop->run_ready(); }).c_str());
}

TEST(AdoptedBase, NoBaseAborts) {
    STRCMP_CONTAINS("there is none", abort_message([this] {
                                         EvLoop none(stacks, static_cast<event_base*>(nullptr));
                                     }).c_str());
}

TEST(AdoptedBase, AVirtualClockAborts) {
    STRCMP_CONTAINS("no virtual clock for it", abort_message([this] {
                                                   EvLoop none(stacks, base.get(),
                                                               {.clock = LoopClock::virtual_time});
                                               }).c_str());
}

TEST(AdoptedBase, OneWithoutEdgesIsRefused) {
    event_config* const config = event_config_new();
    event_config_avoid_method(config, "epoll");
    const Base polling(event_base_new_with_config(config), &event_base_free);
    event_config_free(config);
    try {
        EvLoop refused(stacks, polling.get());
        FAIL("it was taken");
    } catch (const std::system_error& error) {
        STRCMP_CONTAINS("make it with epoll", error.what());
    }
}
