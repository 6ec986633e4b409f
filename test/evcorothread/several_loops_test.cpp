// Several loops, each on an OS thread of its own, in one process.
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

namespace {

// Checks of CppUTest are for the main thread: what others find is counted.
class SeveralLoopsFixture : public Fixture {
  public:
    SeveralLoopsFixture() { ::alarm(120); }
    ~SeveralLoopsFixture() override { ::alarm(0); }
    std::atomic<int> right{0};
};

}  // namespace

TEST_GROUP_BASE(SeveralLoops, SeveralLoopsFixture){};

TEST(SeveralLoops, EachServesItsOwn) {
    constexpr int kLoops = 3;
    constexpr int kClients = 5;
    std::vector<std::thread> threads;
    for (int i = 0; i < kLoops; ++i)
        threads.emplace_back([this] {
            StackPool stacks({.count = 8});
            EvLoop loop(stacks, any_order());
            int done = 0;
            auto acceptor = std::make_unique<EvTcpAcceptor>(
                EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [](EvSocket socket) {
                    char buffer[64];
                    while (const IoResult got = socket.recv(buffer, 5s))
                        if (!socket.send_all({buffer, got.bytes}, 5s)) break;
                }).value());
            for (int c = 0; c < kClients; ++c)
                loop.spawn([&] {
                    {
                        EvSocket client = EvSocket::connect(loop, acceptor->local_address(), 5s).value();
                        for (int round = 0; round < 20; ++round)
                            right += client.send_all("ping", 5s) && received(client, 5s) == "ping";
                    }
                    if (++done == kClients) acceptor.reset();
                });
            loop.run();
        });
    for (std::thread& thread : threads) thread.join();
    CHECK_EQUAL(kLoops * kClients * 20, right.load());
}

TEST(SeveralLoops, ConnectionsAreHandedFromOneToAnother) {
    StackPool stacks({.count = 8});
    EvLoop worker(stacks, any_order());
    std::optional<EvLoop::Hold> hold(std::in_place, worker);
    std::thread thread([&] { worker.run(); });

    StackPool front_stacks({.count = 8});
    EvLoop front(front_stacks, any_order());
    auto acceptor = std::make_unique<EvTcpAcceptor>(
        EvTcpAcceptor::listen_raw(front, SockAddr::loopback(0), [&](UniqueFd fd, const SockAddr&) {
            worker.post([&worker, fd = std::make_shared<UniqueFd>(std::move(fd))] {
                worker.spawn([socket = EvSocket(worker, std::move(*fd))]() mutable {
                    (void)socket.send_all("hi", 5s);
                });
            });
        }).value());
    for (int i = 0; i < 4; ++i)
        front.spawn([&] {
            EvSocket client = EvSocket::connect(front, acceptor->local_address(), 5s).value();
            if (received(client, 5s) == "hi" && ++right == 4) acceptor.reset();
        });
    front.run();
    worker.post([&] { hold.reset(); });
    thread.join();
    CHECK_EQUAL(4, right.load());
}

TEST(SeveralLoops, TalkByPosts) {
    StackPool stacks_a({.count = 2}), stacks_b({.count = 2});
    EvLoop a(stacks_a, any_order()), b(stacks_b, any_order());
    std::optional<EvLoop::Hold> hold_a(std::in_place, a), hold_b(std::in_place, b);
    int count = 0;
    std::function<void()> ping, pong;
    ping = [&] { ++count == 1000 ? (hold_a.reset(), b.post([&] { hold_b.reset(); })) : b.post(pong); };
    pong = [&] { a.post(ping); };
    a.post(ping);
    std::thread thread([&] { b.run(); });
    a.run();
    thread.join();
    CHECK_EQUAL(1000, count);
}

TEST(SeveralLoops, ALoopMayBeMadeOnOneThreadAndRunOnAnother) {
    StackPool stacks({.count = 2});
    EvLoop loop(stacks, any_order());
    int ran = 0;
    loop.spawn([&] {
        (void)this_evthread::delay(1ms);
        ++ran;
    });
    std::thread([&] { loop.run(); }).join();
    CHECK_EQUAL(1, ran);
}  // and ended on the first, when nothing is left

TEST(SeveralLoops, ALoopThatWasRunElsewhereIsHeldThere) {
    CHECK(abort_message([] {
              StackPool stacks({.count = 2});
              EvLoop loop(stacks, any_order());
              loop.spawn([&] {
                  loop.stop();
                  (void)this_evthread::delay(1h);
              });
              std::thread([&] { loop.run(); }).join();
              loop.run();
          }).find("used on another OS thread: use EvLoop::post") != std::string::npos);
}

TEST(SeveralLoops, TwoOnOneThreadTakeTurns) {
    StackPool stacks({.count = 4});
    EvLoop a(stacks, any_order()), b(stacks, any_order());
    std::string order;
    a.spawn([&] {
        order += "a1 ";
        this_evthread::yield();
        order += "a2 ";
    });
    b.spawn([&] { order += "b "; });
    a.run();
    b.run();
    CHECK_EQUAL("a1 a2 b ", order);
}

TEST(SeveralLoops, AStackThatOneGivesBackServesTheOther) {
    StackPool stacks({.count = 1});
    EvLoop a(stacks, any_order()), b(stacks, any_order());
    bool ran = false;
    a.spawn([] { this_evthread::yield(); });
    b.spawn([&] { ran = true; });
    a.run();
    b.run();
    CHECK(ran);
}

TEST(SeveralLoops, StartAndStopWhileOthersRun) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([this] {
            for (int round = 0; round < (kTsan ? 10 : 60); ++round) {
                StackPool stacks({.count = 2});
                EvLoop loop(stacks, any_order());
                EvTimer timer(loop, [&] { ++right; });
                timer.start(0s);
                loop.spawn([&] { (void)this_evthread::delay(100us); });
                loop.run();
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK_EQUAL(kTsan ? 30 : 180, right.load());
}
