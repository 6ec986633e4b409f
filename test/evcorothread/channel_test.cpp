#include "evcorothread/channel.h"

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"

using namespace test_support;
using cutils::Result;
using evcorothread::Channel;

namespace {

constexpr Deadline kNever = Deadline::never;

class ChannelFixture : public LoopFixture {
  public:
    std::vector<int> got;
    std::vector<std::string> ended;  // who, and how

    void sender(Channel<int>& channel, int value, Deadline deadline = kNever) {
        go("sender", [this, &channel, value, deadline] {
            int mine = value;
            const std::error_code error = channel.send(std::move(mine), deadline);
            ended.push_back("send " + std::to_string(value) + ": " + (error ? error.message() : "done"));
        });
    }
    EvThread receiver(Channel<int>& channel, Deadline deadline = kNever) {
        return go("receiver", [this, &channel, deadline] {
            const Result<int> value = channel.recv(deadline);
            if (value)
                got.push_back(*value);
            else
                ended.push_back("recv: " + value.error().message());
        });
    }
    // What can be had now.
    static std::vector<int> drain(Channel<int>& channel) {
        std::vector<int> values;
        while (auto value = channel.try_recv()) values.push_back(*value);
        return values;
    }
};

using Ints = std::vector<int>;

}  // namespace

// --- unbuffered
// ---------------------------------------------------------------------------------------------------

TEST_GROUP_BASE(Channel, ChannelFixture) {
    Channel<int> unbuffered;
    Channel<int> buffered{3};
};

TEST(Channel, ASendWaitsForItsReceiver) {
    sender(unbuffered, 7);
    run_ready();
    CHECK(ended.empty());
    receiver(unbuffered);
    run_loop();
    CHECK(got == Ints{7});
    CHECK_EQUAL("send 7: done", ended.at(0));
}

TEST(Channel, AReceiveWaitsForItsSender) {
    receiver(unbuffered);
    run_ready();
    CHECK(got.empty());
    sender(unbuffered, 7);
    run_loop();
    CHECK(got == Ints{7});
}

TEST(Channel, ASendToAWaitingReceiverDoesNotSuspend) {
    receiver(unbuffered);
    run_ready();
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK(!unbuffered.send(1, kNever));
        CHECK(!other);
    });
}

TEST(Channel, SaysThatItWorkedWithNoErrorAtAll) {
    receiver(unbuffered);
    run_ready();
    in_coroutine([&] {
        CHECK(std::error_code() == unbuffered.send(1, kNever));
        CHECK(std::error_code() == buffered.send(1, kNever));
        CHECK(std::error_code() == buffered.try_send(1));
    });
}

TEST_IN_ORDER(Channel, SendersAreServedInTheOrderOfTheirComing) {
    for (int i = 1; i <= 4; ++i) sender(unbuffered, i);
    run_ready();
    CHECK(drain(unbuffered) == (Ints{1, 2, 3, 4}));
    run_loop();
}

TEST_IN_ORDER(Channel, ReceiversAreServedInTheOrderOfTheirComing) {
    Ints order;
    for (int i = 1; i <= 4; ++i) {
        go([&, i] {
            CHECK_EQUAL(i * 10, *unbuffered.recv(kNever));
            order.push_back(i);
        });
    }
    run_ready();
    for (int i = 1; i <= 4; ++i) CHECK(!unbuffered.try_send(i * 10));
    run_loop();
    CHECK(order == (Ints{1, 2, 3, 4}));
}

TEST_IN_ORDER(Channel, AWaiterThatGaveUpDoesNotHoldUpTheOthers) {
    sender(unbuffered, 1);
    sender(unbuffered, 2, 1s);
    sender(unbuffered, 3);
    run_ready();
    advance(1s);
    CHECK(drain(unbuffered) == (Ints{1, 3}));
    run_loop();
}

// --- buffered
// -----------------------------------------------------------------------------------------------------

TEST(Channel, TheBufferTakesItsCapacityAndNoMore) {
    in_coroutine([&] {
        for (int i = 1; i <= 3; ++i) CHECK(!buffered.send(int{i}, 0s));
        CHECK_EQUAL(NetError::timed_out, buffered.send(4, 0s));
        CHECK_EQUAL(3, buffered.size());
        CHECK_EQUAL(3, buffered.capacity());
    });
    CHECK(drain(buffered) == (Ints{1, 2, 3}));
    CHECK(buffered.empty());
}

TEST(Channel, ValuesComeOutAsTheyWentInHoweverOftenTheRingGoesRound) {
    int next = 0;
    int expected = 0;
    in_coroutine([&] {
        for (int round = 0; round < 50; ++round) {
            for (int i = 0; i <= round % 3; ++i) CHECK(!buffered.send(next++, 0s));
            for (int i = 0; i <= round % 3; ++i) CHECK_EQUAL(expected++, *buffered.recv(0s));
        }
    });
    CHECK(buffered.empty());
}

TEST_IN_ORDER(Channel, ASenderThatWaitsGetsTheFirstFreePlace) {
    for (int i = 1; i <= 5; ++i) sender(buffered, i);
    run_ready();
    CHECK_EQUAL(3, ended.size());
    CHECK_EQUAL(1, *buffered.try_recv());
    // The place is taken already, before that sender has run: nobody can overtake it.
    CHECK_EQUAL(NetError::would_block, buffered.try_send(99));
    CHECK(drain(buffered) == (Ints{2, 3, 4, 5}));
    run_loop();
    CHECK_EQUAL(5, ended.size());
}

TEST(Channel, SeveralSendersAndReceiversLoseAndDoubleNothing) {
    constexpr int kEach = 1000;
    for (Channel<int>* channel : {&unbuffered, &buffered}) {
        std::vector<int> seen(4 * kEach);
        int senders = 4;
        for (int s = 0; s < 4; ++s) {
            go([&, s] {
                for (int i = 0; i < kEach; ++i) CHECK(!channel->send(s * kEach + i, kNever));
                if (--senders == 0) channel->close();
            });
        }
        for (int r = 0; r < 3; ++r) {
            go([&] {
                while (auto value = channel->recv(kNever)) ++seen.at(static_cast<std::size_t>(*value));
            });
        }
        run_loop();
        for (const int count : seen) CHECK_EQUAL(1, count);
    }
}

TEST(Channel, ACapacityOfOneWorksLikeAnyOther) {
    Channel<int> one(1);
    go([&] {
        for (int i = 0; i < 100; ++i) CHECK(!one.send(int{i}, kNever));
        one.close();
    });
    go([&] {
        for (int i = 0; i < 100; ++i) CHECK_EQUAL(i, *one.recv(kNever));
        CHECK_EQUAL(NetError::closed, one.recv(kNever).error().code());
    });
    run_loop();
}

// --- try
// ----------------------------------------------------------------------------------------------------------

TEST(Channel, TryingNeverWaits) {
    CHECK_EQUAL(NetError::would_block, unbuffered.try_send(1));
    CHECK_EQUAL(NetError::would_block, unbuffered.try_recv().error().code());
    CHECK_EQUAL(NetError::would_block, buffered.try_recv().error().code());
}

TEST(Channel, TryingMeetsWhoeverWaits) {
    receiver(unbuffered);
    sender(buffered, 5);
    run_ready();
    CHECK(unbuffered.may_send());
    CHECK(!unbuffered.try_send(4));
    CHECK(!unbuffered.may_send());
    CHECK(buffered.may_recv());
    CHECK_EQUAL(5, *buffered.try_recv());
    CHECK(!buffered.may_recv());
    run_loop();
    CHECK(got == Ints{4});
}

// --- values
// -------------------------------------------------------------------------------------------------------

TEST(Channel, CarriesWhatCanOnlyBeMoved) {
    Channel<std::unique_ptr<int>> direct;
    Channel<std::unique_ptr<int>> ring(2);
    for (Channel<std::unique_ptr<int>>* channel : {&direct, &ring}) {
        go([channel] {
            for (int i = 0; i < 10; ++i) CHECK(!channel->send(std::make_unique<int>(i), kNever));
        });
        go([channel] {
            for (int i = 0; i < 10; ++i) CHECK_EQUAL(i, **channel->recv(kNever));
        });
        run_loop();
    }
}

TEST(Channel, AFailedSendLeavesTheValueWithTheSender) {
    Channel<std::unique_ptr<int>> channel(1);
    in_coroutine([&] {
        CHECK(!channel.send(std::make_unique<int>(1), 0s));
        auto value = std::make_unique<int>(2);
        CHECK_EQUAL(NetError::timed_out, channel.send(std::move(value), 1s));
        CHECK_EQUAL(NetError::would_block, channel.try_send(std::move(value)));
        channel.close();
        CHECK_EQUAL(NetError::closed, channel.send(std::move(value), 1s));
        CHECK_EQUAL(NetError::closed, channel.try_send(std::move(value)));
        CHECK_EQUAL(2, *value);
    });
}

TEST(Channel, AnLvalueIsCopied) {
    Channel<std::string> channel(1);
    const std::string text(100, 'x');
    in_coroutine([&] { CHECK(!channel.send(text, kNever)); });
    CHECK_EQUAL(100, text.size());
    CHECK_EQUAL(text, *channel.try_recv());
}

TEST(Channel, WhatIsLeftDiesWithIt) {
    const auto watched = std::make_shared<int>(1);
    {
        Channel<std::shared_ptr<int>> channel(4);
        for (int i = 0; i < 3; ++i) CHECK(!channel.try_send(watched));
        (void)channel.try_recv();
        CHECK_EQUAL(3, watched.use_count());
    }
    CHECK_EQUAL(1, watched.use_count());
}

TEST(Channel, ABufferThatIsNotToBeHadIsBadAlloc) {
    CHECK_THROWS(std::bad_alloc, Channel<char>(static_cast<std::size_t>(-1)));  // and rounded up, 0
    CHECK_THROWS(std::bad_alloc, Channel<std::string>(static_cast<std::size_t>(-1) / 8));
    AllocationFaults faults;
    faults.fail_all();
    bool thrown = false;
    try {
        Channel<int> channel(10);
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    faults.stop();
    CHECK(thrown);
}

TEST(Channel, NothingIsAllocatedByWaiting) {
    AllocationFaults faults;
    std::size_t allocated = 99;
    go([&] {
        faults.fail_all();
        for (int i = 0; i < 10; ++i) (void)unbuffered.send(int{i}, 1s);
        allocated = faults.count();
        faults.stop();
    });
    go([&] {
        while (auto value = unbuffered.recv(1s))
            if (*value == 9) break;
    });
    run_loop();
    CHECK_EQUAL(0, allocated);
}

// --- deadlines
// ----------------------------------------------------------------------------------------------------

TEST(Channel, ADeadlineEndsAWait) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK_EQUAL(NetError::timed_out, unbuffered.recv(3s).error().code());
        CHECK_EQUAL(NetError::timed_out, unbuffered.send(1, 4s));
        CHECK_EQUAL(7s, loop.now() - begin);
    });
}

TEST(Channel, ADeadlineAlreadyPassedStillDoesWhatCanBeDoneAtOnce) {
    in_coroutine([&] {
        const Deadline passed(loop.now() - 1s);
        CHECK_EQUAL(NetError::timed_out, buffered.recv(passed).error().code());
        CHECK(!buffered.send(1, passed));
        CHECK_EQUAL(1, *buffered.recv(passed));
        CHECK_EQUAL(NetError::timed_out, unbuffered.send(1, passed));
    });
}

TEST(Channel, AfterADeadlineNobodyIsLeftInTheQueue) {
    receiver(unbuffered, 1s);
    run_ready();
    advance(1s);
    CHECK_EQUAL(NetError::would_block, unbuffered.try_send(1));
    CHECK_EQUAL("recv: deadline passed", ended.at(0));
}

TEST(Channel, AReceiverWhoseTimeIsUpIsNotHandedAnything) {
    // Its deadline has woken it, but it has not run yet when somebody sends.
    EvThread first = go([&] { CHECK_EQUAL(NetError::timed_out, unbuffered.recv(1s).error().code()); });
    go([&] {
        CHECK(!this_evthread::delay(1s));  // due together with it, behind it
        CHECK_EQUAL(NetError::would_block, unbuffered.try_send(1));
    });
    run_loop();
}

// --- cancel
// -------------------------------------------------------------------------------------------------------

TEST(Channel, CancelEndsAWait) {
    EvThread thread = receiver(unbuffered);
    run_ready();
    thread.cancel();
    run_loop();
    CHECK_EQUAL("recv: canceled", ended.at(0));
    CHECK_EQUAL(NetError::would_block, unbuffered.try_send(1));
}

TEST(Channel, ACanceledCoroutineMovesNothingMore) {
    CHECK(!buffered.try_send(1));
    EvThread thread = go([&] {
        CHECK_EQUAL(NetError::canceled, buffered.recv(kNever).error().code());
        CHECK_EQUAL(NetError::canceled, buffered.send(2, kNever));
        CHECK_EQUAL(1, buffered.size());
        CHECK_EQUAL(1, *buffered.try_recv());
    });
    thread.cancel();
    run_loop();
}

TEST(Channel, UnderAShieldACanceledCoroutineGoesOn) {
    CHECK(!buffered.try_send(1));
    EvThread thread = go([&] {
        CancelShield shield(1s);
        CHECK_EQUAL(1, *buffered.recv(kNever));
        CHECK(!buffered.send(2, kNever));
        CHECK_EQUAL(NetError::canceled, unbuffered.recv(kNever).error().code());
    });
    thread.cancel();
    run_loop();
    CHECK_EQUAL(1, buffered.size());
}

TEST(Channel, AReceiverCanceledAfterItWasHandedAValueHasIt) {
    EvThread thread = receiver(unbuffered);
    run_ready();
    CHECK(!unbuffered.try_send(7));
    thread.cancel();
    run_loop();
    CHECK(got == Ints{7});
}

TEST(Channel, AReceiverWhoseDeadlineComesAfterItWasHandedAValueHasIt) {
    receiver(unbuffered, 1s);
    run_ready();
    CHECK(!unbuffered.try_send(7));
    advance(1s);
    CHECK(got == Ints{7});
}

TEST(Channel, ASenderCanceledAfterItsValueWasTakenHasSentIt) {
    std::error_code sent = NetError::busy;
    EvThread thread = go([&] { sent = unbuffered.send(7, kNever); });
    run_ready();
    CHECK_EQUAL(7, *unbuffered.try_recv());
    thread.cancel();
    run_loop();
    CHECK(!sent);
}

TEST(Channel, CanceledFirstItIsNotHandedAnything) {
    EvThread thread = receiver(unbuffered);
    run_ready();
    thread.cancel();
    CHECK_EQUAL(NetError::would_block, unbuffered.try_send(7));
    run_loop();
    CHECK(got.empty());
}

// --- close
// --------------------------------------------------------------------------------------------------------

TEST(Channel, ClosingWakesAllReceivers) {
    for (int i = 0; i < 3; ++i) receiver(unbuffered);
    run_ready();
    unbuffered.close();
    run_loop();
    CHECK(ended == std::vector<std::string>(3, "recv: closed on this side"));
}

TEST(Channel, ClosingWakesAllSendersAndTheirValuesStayWithThem) {
    Channel<std::unique_ptr<int>> channel;
    int kept = 0;
    for (int i = 0; i < 3; ++i) {
        go([&] {
            auto value = std::make_unique<int>(1);
            CHECK_EQUAL(NetError::closed, channel.send(std::move(value), kNever));
            kept += *value;
        });
    }
    run_ready();
    channel.close();
    run_loop();
    CHECK_EQUAL(3, kept);
}

TEST_IN_ORDER(Channel, ReceiversDrainAClosedOneAndThenGetClosed) {
    for (int i = 1; i <= 4; ++i) sender(buffered, i);
    run_ready();
    buffered.close();
    CHECK_EQUAL(NetError::closed, buffered.try_send(9));
    in_coroutine([&] {
        CHECK_EQUAL(NetError::closed, buffered.send(9, kNever));
        for (int i = 1; i <= 3; ++i) CHECK_EQUAL(i, *buffered.recv(kNever));
        for (int i = 0; i < 2; ++i) CHECK_EQUAL(NetError::closed, buffered.recv(kNever).error().code());
        CHECK_EQUAL(NetError::closed, buffered.try_recv().error().code());
    });
    CHECK_EQUAL("send 4: closed on this side", ended.at(3));
}

TEST(Channel, ClosingTwiceIsClosingOnce) {
    receiver(unbuffered);
    run_ready();
    unbuffered.close();
    unbuffered.close();
    run_loop();
    unbuffered.close();
    CHECK(unbuffered.closed());
    CHECK_EQUAL(1, ended.size());
}

TEST(Channel, AValueHandedOverBeforeClosingIsReceived) {
    receiver(unbuffered);
    run_ready();
    CHECK(!unbuffered.try_send(7));
    unbuffered.close();
    run_loop();
    CHECK(got == Ints{7});
}

TEST(Channel, MayBeDestroyedUnderThoseWhoWait) {
    auto channel = std::make_unique<Channel<int>>();
    receiver(*channel);
    receiver(*channel, 1h);
    sender(*channel, 5);  // meets the first
    run_ready();
    sender(*channel, 6, 1h);  // meets the second
    receiver(*channel, 1h);
    run_ready();
    receiver(*channel);
    run_ready();
    channel.reset();
    run_loop();
    CHECK(got == (Ints{5, 6}));
    CHECK_EQUAL(4, ended.size());
}

TEST(Channel, MayBeDestroyedByWhoeverJustReceivedFromIt) {
    auto channel = std::make_unique<Channel<int>>();
    sender(*channel, 5);
    run_ready();
    CHECK_EQUAL(5, *channel->try_recv());
    channel.reset();  // before the sender has run
    run_loop();
    CHECK_EQUAL("send 5: done", ended.at(0));
}

// --- misuse
// -------------------------------------------------------------------------------------------------------

TEST(Channel, WaitingOutsideACoroutineAborts) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)buffered.recv(1s); }).c_str());
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)buffered.send(1, 1s); }).c_str());
    CHECK(!buffered.try_send(1));
    CHECK(!buffered.try_send(2));
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] { (void)buffered.recv(1s); }).c_str());
}

TEST(Channel, UseOnAnotherOsThreadAborts) {
    CHECK(!buffered.try_send(1));
    CHECK(!buffered.try_send(2));
    const auto elsewhere = [](auto f) { std::thread(f).join(); };
    STRCMP_CONTAINS("two OS threads",
                    abort_message([&] { elsewhere([&] { (void)buffered.try_recv(); }); }).c_str());
    STRCMP_CONTAINS("two OS threads", abort_message([&] {
                                          elsewhere([&] {
                                              StackPool others({.count = 1, .pages = 16});
                                              EvLoop other(others, any_order());
                                              other.spawn([&] { (void)buffered.recv(1s); });
                                              other.run();
                                          });
                                      }).c_str());
}

// --- many
// ---------------------------------------------------------------------------------------------------------

TEST_GROUP_BASE(ChannelCrowd, LoopFixture){};

TEST(ChannelCrowd, AHundredThousandCoroutinesThroughOneChannel) {
    // TSan has 8,128 at most.
    const std::size_t count = kTsan || under_valgrind() ? 1'000 : 100'000;
    StackPool pool({.count = count + 1, .pages = 2});
    EvLoop crowd(pool, any_order({.clock = LoopClock::virtual_time}));
    Channel<std::size_t> channel;
    std::vector<bool> seen(count);
    std::vector<std::size_t> came;  // in whatever order they run
    came.reserve(count);
    std::size_t in_order = 0;
    for (std::size_t i = 0; i < count; ++i)
        crowd.spawn([&channel, &came, i] {
            came.push_back(i);
            (void)channel.send(std::size_t{i}, Deadline::never);
        });
    crowd.run_ready();
    CHECK_EQUAL(count, crowd.thread_count());
    crowd.spawn([&] {
        for (std::size_t i = 0; i < count; ++i) {
            const Result<std::size_t> value = channel.recv(Deadline::never);
            seen[*value] = true;
            in_order += *value == came[i] ? 1 : 0;
        }
    });
    crowd.run();
    CHECK_EQUAL(count, in_order);
    CHECK_EQUAL(0, crowd.thread_count());
}
