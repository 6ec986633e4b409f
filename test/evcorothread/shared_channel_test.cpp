// SharedChannel: between coroutines, loops and OS threads.
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/shared_channel.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"

using namespace test_support;

namespace {
using Ints = SharedChannel<int>;
std::error_code code(NetError error) { return error; }
}  // namespace

// --- in one loop, with a virtual clock: what it means ---

TEST_GROUP_BASE(SharedChannel, LoopFixture) {
    std::vector<int> got;
    std::optional<std::error_code> ended;

    EvThread receiver(Ints & channel) {
        return go("receiver", [&] {
            while (auto item = channel.recv(1h)) got.push_back(*item);
        });
    }
};

TEST(SharedChannel, KeepsTheOrder) {
    Ints channel(3);
    in_coroutine([&] {
        for (int i = 0; i < 3; ++i) CHECK(!channel.send(i, 0s));
        for (int i = 0; i < 3; ++i) CHECK_EQUAL(i, channel.recv(0s).value());
    });
}

TEST(SharedChannel, ASenderWaitsWhileItIsFull) {
    Ints channel(1);
    go([&] {
        CHECK(!channel.send(1, 1h));
        CHECK(!channel.send(2, 1h));
        got.push_back(-1);
    });
    run_ready();
    CHECK(got.empty());
    CHECK_EQUAL(1, channel.size());
    CHECK_EQUAL(1, channel.try_recv().value());
    run_loop();
    CHECK_EQUAL(1, got.size());
    CHECK_EQUAL(2, channel.try_recv().value());
}

TEST(SharedChannel, WithoutABufferASenderWaitsForItsReceiver) {
    Ints channel(0);
    go([&] {
        CHECK(!channel.send(7, 1h));
        got.push_back(-1);
    });
    run_ready();
    CHECK(got.empty());
    CHECK_EQUAL(0, channel.size());
    in_coroutine([&] { CHECK_EQUAL(7, channel.recv(1h).value()); });
    CHECK_EQUAL(1, got.size());
}

TEST(SharedChannel, WithoutABufferAReceiverWaitsForItsSender) {
    Ints channel(0);
    receiver(channel);
    run_ready();
    CHECK(!channel.try_send(8));
    run_ready();
    CHECK(got == std::vector<int>({8}));
    channel.close();
    run_loop();
}

TEST(SharedChannel, ABufferThatIsNotToBeHadIsBadAlloc) {
    CHECK_THROWS(std::bad_alloc, SharedChannel<char>(static_cast<std::size_t>(-1)));
    CHECK_THROWS(std::bad_alloc, Ints(static_cast<std::size_t>(-1) / 2));
}

TEST(SharedChannel, TryNeverWaits) {
    Ints channel(1);
    CHECK_EQUAL(code(NetError::would_block), channel.try_recv().error().code());
    CHECK(!channel.try_send(1));
    CHECK_EQUAL(code(NetError::would_block), channel.try_send(2));
    CHECK_EQUAL(1, channel.try_recv().value());
    Ints unbuffered(0);
    CHECK_EQUAL(code(NetError::would_block), unbuffered.try_send(1));
}

TEST_IN_ORDER(SharedChannel, SendersAndReceiversAreServedInTheOrderOfWaiting) {
    Ints channel(0);
    for (int i = 0; i < 3; ++i) go([&, i] { CHECK(!channel.send(i, 1h)); });
    run_ready();
    for (int i = 0; i < 3; ++i) CHECK_EQUAL(i, channel.try_recv().value());
    run_loop();
    for (int i = 0; i < 3; ++i) go([&, i] { got.push_back(10 * i + channel.recv(1h).value()); });
    run_ready();
    for (int i = 0; i < 3; ++i) CHECK(!channel.try_send(int(i)));
    run_loop();
    CHECK(got == std::vector<int>({0, 11, 22}));
}

TEST(SharedChannel, ReceiversDrainAClosedOneThenGetClosed) {
    Ints channel(2);
    CHECK(!channel.try_send(1));
    CHECK(!channel.try_send(2));
    channel.close();
    channel.close();
    CHECK(channel.is_closed());
    CHECK_EQUAL(code(NetError::closed), channel.try_send(3));
    in_coroutine([&] {
        CHECK_EQUAL(1, channel.recv(1h).value());
        CHECK_EQUAL(2, channel.recv(1h).value());
        CHECK_EQUAL(code(NetError::closed), channel.recv(1h).error().code());
        CHECK_EQUAL(code(NetError::closed), channel.send(3, 1h));
    });
}

TEST(SharedChannel, CloseWakesThoseWhoWait) {
    Ints full(0), empty(1);
    std::vector<std::error_code> codes;
    for (int i = 0; i < 2; ++i) {
        go([&] { codes.push_back(full.send(1, 1h)); });
        go([&] { codes.push_back(empty.recv(1h).error().code()); });
    }
    run_ready();
    CHECK(codes.empty());
    full.close();
    empty.close();
    run_loop();
    CHECK_EQUAL(4, codes.size());
    for (const std::error_code& each : codes) CHECK_EQUAL(code(NetError::closed), each);
}

TEST(SharedChannel, DeadlinesPass) {
    Ints channel(0);
    in_coroutine([&] {
        CHECK_EQUAL(code(NetError::timed_out), channel.recv(1s).error().code());
        CHECK_EQUAL(code(NetError::timed_out), channel.send(1, 1s));
        CHECK_EQUAL(code(NetError::timed_out), channel.send(1, -1s));
    });
    CHECK_EQUAL(code(NetError::would_block), channel.try_recv().error().code());
}

TEST(SharedChannel, WhatCouldNotBeSentStaysWithTheSender) {
    ::SharedChannel<std::unique_ptr<int>> channel(0);
    auto item = std::make_unique<int>(5);
    in_coroutine([&] { CHECK_EQUAL(code(NetError::timed_out), channel.send(std::move(item), 1s)); });
    CHECK(item != nullptr);
}

TEST(SharedChannel, WhatWasHandedToACanceledReceiverIsNotLost) {
    Ints channel(0);
    EvThread first = go([&] {
        const cutils::Result<int> item = channel.recv(1h);
        ended = item ? std::error_code() : item.error().code();
        if (item) got.push_back(*item);
    });
    run_ready();
    CHECK(!channel.try_send(9));
    first.cancel();
    run_loop();
    CHECK(!*ended);
    CHECK(got == std::vector<int>({9}));
}

TEST(SharedChannel, ACanceledCoroutineMovesNothing) {
    Ints channel(2);
    CHECK(!channel.try_send(1));
    in_coroutine([&] {
        EvThread self = go([&] {
            CHECK_EQUAL(code(NetError::canceled), channel.recv(1h).error().code());
            CHECK_EQUAL(code(NetError::canceled), channel.send(2, 1h));
            CHECK_EQUAL(1, channel.try_recv().value());
            CHECK(!channel.try_send(3));
        });
        self.cancel();
        CHECK(!self.join(1h));
    });
    CHECK_EQUAL(3, channel.try_recv().value());
}

TEST(SharedChannel, ACanceledReceiverLeavesTheNextOneItsTurn) {
    Ints channel(0);
    EvThread first = go([&] { ended = channel.recv(1h).error().code(); });
    receiver(channel);
    run_ready();
    first.cancel();
    run_ready();
    CHECK_EQUAL(code(NetError::canceled), *ended);
    CHECK(!channel.try_send(1));
    channel.close();
    run_loop();
    CHECK(got == std::vector<int>({1}));
}

TEST(SharedChannel, MovesWhatCannotBeCopied) {
    ::SharedChannel<std::unique_ptr<int>> channel(1);
    CHECK(!channel.try_send(std::make_unique<int>(3)));
    CHECK_EQUAL(3, *channel.try_recv().value());
}

TEST(SharedChannel, DestroysWhatIsStillQueued) {
    const auto token = std::make_shared<int>();
    {
        ::SharedChannel<std::shared_ptr<int>> channel(3);
        for (int i = 0; i < 2; ++i) CHECK(!channel.try_send(token));
        (void)channel.try_recv();
        CHECK(!channel.try_send(token));
        CHECK(!channel.try_send(token));  // around the end of the ring
        CHECK_EQUAL(4, token.use_count());
    }
    CHECK_EQUAL(1, token.use_count());
}

TEST(SharedChannel, SendingAndReceivingTakeNoMemory) {
    Ints channel(1);
    std::size_t used = 1;
    go([&] {
        AllocationFaults faults;
        faults.fail_all();
        for (int i = 0; i < 10; ++i) (void)channel.send(i, 1h);
        used = faults.count();
        faults.stop();
        channel.close();
    });
    go([&] {
        while (auto item = channel.recv(1h)) continue;
    });
    run_loop();
    CHECK_EQUAL(0, used);
}

TEST(SharedChannel, MisuseAborts) {
    STRCMP_CONTAINS("is called in a function that a loop calls",
                    abort_message([this] {
                        Ints channel(0);
                        loop.post([&] { (void)channel.recv(1s); });
                        run_ready();
                    }).c_str());
    STRCMP_CONTAINS("destroyed while somebody waits on it", abort_message([this] {
                                                                auto channel = std::make_unique<Ints>(0);
                                                                receiver(*channel);
                                                                run_ready();
                                                                channel.reset();
                                                            }).c_str());
}

// --- several threads ---

TEST_GROUP_BASE(SharedChannelThreads, RealTimeFixture) {
    // Sends 1 … count, `senders` times, to `receivers`; returns the sum of what has come.
    // Every other party is an OS thread, the rest are coroutines of loops of their own.
    static long pass_through(std::size_t capacity, int senders, int receivers, int count) {
        Ints channel(capacity);
        std::atomic<long> sum{0};
        std::atomic<int> sending{senders};
        const auto send_all = [&] {
            for (int i = 1; i <= count; ++i)
                if (channel.send(i, Deadline::never)) break;
            if (--sending == 0) channel.close();
        };
        const auto receive_all = [&] {
            while (const auto item = channel.recv(Deadline::never)) sum += *item;
        };
        std::vector<std::thread> threads;
        for (int i = 0; i < senders + receivers; ++i)
            threads.emplace_back([&, i] {
                const auto work = [&] { i < senders ? send_all() : receive_all(); };
                if (i % 2 == 0) return work();
                StackPool own({.count = 2});
                EvLoop mine(own, any_order());
                mine.spawn(work);
                mine.run();
            });
        for (std::thread& thread : threads) thread.join();
        return sum;
    }
    static constexpr int kCount = kTsan ? 500 : 5000;
    static constexpr long kSum = static_cast<long>(kCount) * (kCount + 1) / 2;
};

TEST(SharedChannelThreads, NothingIsLostOrDoubledBuffered) {
    CHECK_EQUAL(2 * kSum, pass_through(16, 2, 2, kCount));
}

TEST(SharedChannelThreads, NothingIsLostOrDoubledUnbuffered) {
    CHECK_EQUAL(2 * kSum, pass_through(0, 2, 2, kCount));
}

TEST(SharedChannelThreads, OneToManyAndManyToOne) {
    CHECK_EQUAL(kSum, pass_through(4, 1, 3, kCount));
    CHECK_EQUAL(3 * kSum, pass_through(4, 3, 1, kCount));
}

TEST(SharedChannelThreads, AnOsThreadsDeadlinePasses) {
    Ints channel(0);
    CHECK_EQUAL(code(NetError::timed_out), channel.recv(1ms).error().code());
    CHECK_EQUAL(code(NetError::timed_out), channel.send(1, 1ms));
}

TEST(SharedChannelThreads, CloseWakesAnOsThread) {
    Ints channel(0);
    std::error_code ended;
    std::thread receiver([&] { ended = channel.recv(Deadline::never).error().code(); });
    in_coroutine([&] {
        this_evthread::yield();
        channel.close();
    });
    receiver.join();
    CHECK_EQUAL(code(NetError::closed), ended);
}

// Receivers with short deadlines, and receivers that are canceled, against a sender on another thread:
// what send() said it has sent, somebody has received.
TEST(SharedChannelThreads, NothingIsLostBetweenHandOverAndCancel) {
    for (const std::size_t capacity : {0U, 1U}) {
        Ints channel(capacity);
        std::atomic<long> sent{0}, received{0};
        const int rounds = kTsan ? 300 : 3000;
        std::thread sender([&] {
            for (int i = 1; i <= rounds; ++i) {
                const Deadline hasty(20us), patient(5s);
                if (!channel.send(i, i % 4 == 0 ? hasty : patient)) sent += i;
            }
            channel.close();
        });
        in_coroutine([&] {
            bool open = true;
            const auto receive = [&](Deadline deadline) {
                const cutils::Result<int> item = channel.recv(deadline);
                if (item)
                    received += *item;
                else if (item.error() == NetError::closed)
                    open = false;
            };
            while (open) {
                EvThread doomed = loop.spawn([&] { receive(5s); });
                EvThread hasty = loop.spawn([&] { receive(10us); });
                this_evthread::yield();
                doomed.cancel();
                (void)doomed.join(Deadline::never);
                (void)hasty.join(Deadline::never);
            }
        });
        sender.join();
        CHECK_EQUAL(sent.load(), received.load());
        CHECK(sent.load() > 0);
    }
}
