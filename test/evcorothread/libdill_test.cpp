// What libdill's functions do, as their manual and tutorial tell it, said in our API: a coroutine is an
// EvThread, hclose() of it cancel() and join(); bundle_go() and bundle_wait() are a Bundle's; a channel is a
// Channel, chdone() its close(); choose() is select_ordered(), or the fair select(); msleep() is delay().
// Channels and choose have a file of their own, after libmill, which libdill took them from:
// libmill_channels_test.cpp.
//
// Much of it was tested where it belongs; what follows says where. Below are those that were missing.
//
//   go()
//     runs a function on a coroutine                        Spawn.RunsTheFunctionOnACoroutineThread
//     the stack comes back at the end                       Spawn.GivesTheStackBackWhenTheFunctionHasReturned
//     a hundred thousand, one after the other               Spawn.AHundredThousandThreadsLeaveNothing
//     without memory for a stack: fails at once             Spawn.TrySpawnRunsWhenThereIsAStack,
//                                                           SpawnWait.TrySpawnRefusesInstead (spawn waits)
//     the child runs at once, its parent later              not here: Spawn.DoesNotRunBeforeItsSpawnerWaits
//   hclose() of a coroutine
//     of one that has ended is no harm                      Cancel.OfAFinishedThreadIsNothing,
//                                                           Join.ReturnsAtOnceWhenItHasFinished
//     of one that has not begun                             Cancel.BeforeItRunsIsSeenByTheFirstWait
//     ends it in whatever wait it is                        EveryWait.IsEndedByCancelAtOnceAndStaysCanceled,
//                                                           Shutdown.EndsCoroutinesParkedEverywhere
//     ECANCELED is for ever                                 EveryWait.WhenCanceledBeforeItIsNotBegun
//     twice                                                 Cancel.TwiceIsOnce
//     waits although its caller is canceled                 Bundle.CloseWaitsInACanceledCoroutine
//     yield() fails in a canceled one                       not here: Cancel.DoesNotStopAYield
//   bundle_go(), bundle_wait(), hclose() of a bundle
//     waits for all                                         Bundle.WaitsForAllChildren
//     an empty one does not block                           Bundle.WithoutChildrenThereIsNothingToWaitFor
//     the deadline comes first, and again                   Bundle.WaitTimesOutAndMayBeRepeated
//     a deadline that has passed           Bundle.ADeadlineThatHasPassedStillTellsThatAllHaveEnded
//     closing cancels and waits                             Bundle.CloseCancelsAndWaits,
//                                                           Bundle.TheDestructorCancelsAndWaits
//   chsend(), chrecv(), chdone(), hclose() of a channel
//     blocked senders and receivers get EPIPE               MillChan.DoneUnblocksAllSenders, -Receivers
//     chdone() twice                                        MillChan.DoneTwiceIsNoHarm
//     chdone() comes behind the messages                    MillChan.DoneComesBehindTheMessages
//     hclose() under those who wait                         Channel.MayBeDestroyedUnderThoseWhoWait
//     a hundred thousand through one       ChannelCrowd.AHundredThousandCoroutinesThroughOneChannel
//   choose()
//     of several that are ready, the first                  Select.OrderedTakesTheFirstThatIsReady
//     or any, each as likely                                Select.IsFairOverTenThousandRounds
//     a deadline of zero does not block                     MillChoose.ADeadlineOfNowDoesNotBlock
//     canceled                                              MillChoose.ACanceledChooseSaysCanceled
//   msleep(), now(), yield()
//     sleepers wake in the order of time                    Delay.EndsInTheOrderOfTime
//     a deadline that has passed does not block             Delay.ThatHasPassedDoesNotSuspend
//     -1 is for ever, until canceled                        Delay.WithoutEndIsEndedByCancel
//     never early                                           RealDelay.IsNeverEarly
//     yield lets the others run                             Yield.LetsTheOthersRunInTurn
//     those who yield do not starve descriptors             Yield.DoesNotStarveInputAndOutput
//   any call with a deadline
//     passed: does what can be done at once                 EveryWait.WhoseDeadlineHasPassedDoesNotSuspend
//     -1: none; else ends then                              EveryWait.EndsAtItsDeadlineAndNotBefore
//   fdin(), fdout(), fdclean()                              WaitFd.*
//   go_mem(), hmake() and hquery() have nothing here to be compared with.
#include <memory>
#include <string>
#include <vector>

#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/select.h"
#include "evcorothread/wait_fd.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;
using cutils::Result;
using evcorothread::Channel;
using evcorothread::select;

namespace {

constexpr Deadline kNever = Deadline::never;

class DillFixture : public LoopFixture {
  public:
    std::string order;
    std::error_code ended;

    // A child that waits for ever, and needs a while to clean up when it is told to stop.
    void cleans_up_slowly(const std::string& name) {
        ended = this_evthread::delay(kNever);
        const CancelShield shield(1h);
        (void)this_evthread::delay(3s);
        order += name;
    }
};

}  // namespace

// --- go, hclose

TEST_GROUP_BASE(DillGo, DillFixture){};

TEST(DillGo, HcloseReturnsWhenTheCoroutineHasCleanedUp) {
    in_coroutine([&] {
        EvThread child = go([&] { cleans_up_slowly("child "); });
        this_evthread::yield();
        const TimePoint begin = loop.now();
        child.cancel();
        CHECK(!child.join(kNever));
        order += "parent";
        CHECK_EQUAL(3s, loop.now() - begin);
    });
    CHECK_EQUAL("child parent", order);
    CHECK_EQUAL(std::error_code(NetError::canceled), ended);
}

TEST(DillGo, HcloseOfTheRootEndsTheTreeFromItsLeaves) {
    in_coroutine([&] {
        Bundle root(loop);
        root.go("trunk", [&] {
            Bundle branches(loop);
            branches.go("branch", [&] {
                Bundle leaves(loop);
                leaves.go("leaf", [&] { cleans_up_slowly("leaf "); });
                (void)leaves.wait(kNever);
                (void)leaves.close(kNever);
                order += "branch ";
            });
            (void)branches.wait(kNever);
            (void)branches.close(kNever);
            order += "trunk ";
        });
        CHECK(!this_evthread::delay(1s));
        CHECK(root.close(kNever));
        order += "root";
    });
    CHECK_EQUAL("leaf branch trunk root", order);
}

TEST(DillGo, HcloseOfWhoeverClosesAnotherOneWaitsForBoth) {
    in_coroutine([&] {
        EvThread closer = go([&] {
            Bundle inner(loop);
            inner.go("inner", [&] { cleans_up_slowly("inner "); });
            this_evthread::yield();
            (void)inner.close(kNever);  // canceled in here
            order += "closer ";
        });
        CHECK(!this_evthread::delay(1s));
        closer.cancel();
        CHECK(!closer.join(kNever));
        order += "outer";
    });
    CHECK_EQUAL("inner closer outer", order);
}

TEST(DillGo, WhatACanceledCoroutineOwnedIsGoneWhenHcloseReturns) {
    const auto token = std::make_shared<int>();
    in_coroutine([&] {
        EvThread child = go([token] { (void)this_evthread::delay(kNever); });
        this_evthread::yield();
        CHECK_EQUAL(2, token.use_count());
        child.cancel();
        CHECK(!child.join(kNever));
        CHECK_EQUAL(1, token.use_count());
    });
}

// One of their performance tests: a message is whispered from ear to ear.
TEST(DillGo, AWhisperGoesThroughAThousandCoroutines) {
    constexpr int kCount = 1000;
    StackPool pool({.count = kCount + 1, .pages = 2});
    EvLoop mine(pool, any_order({.clock = LoopClock::virtual_time}));
    std::vector<std::unique_ptr<Channel<int>>> ears(kCount + 1);
    for (auto& ear : ears) ear = std::make_unique<Channel<int>>();
    for (std::size_t i = 0; i < kCount; ++i)
        mine.spawn(
            [&left = *ears[i], &right = *ears[i + 1]] { (void)left.send(1 + *right.recv(kNever), kNever); });
    int heard = 0;
    mine.spawn([&] {
        (void)ears.back()->send(1, kNever);
        heard = *ears.front()->recv(kNever);
    });
    mine.run();
    CHECK_EQUAL(1 + kCount, heard);
}

// --- bundles

TEST_GROUP_BASE(DillBundle, DillFixture){};

TEST(DillBundle, HcloseTwiceIsNoHarm) {
    in_coroutine([&] {
        Bundle bundle(loop);
        bundle.go("child", [&] { cleans_up_slowly("child "); });
        this_evthread::yield();
        CHECK(bundle.close(kNever));
        const TimePoint begin = loop.now();
        CHECK(bundle.close(kNever));
        CHECK_EQUAL(0s, loop.now() - begin);
    });
    CHECK_EQUAL("child ", order);
}

TEST(DillBundle, HcloseOfOneWhoseChildrenHaveEndedDoesNotBlock) {
    in_coroutine([&] {
        Bundle bundle(loop);
        for (int i = 0; i < 3; ++i) bundle.go([&] { order += '.'; });
        CHECK(!this_evthread::delay(1s));
        const TimePoint begin = loop.now();
        CHECK(bundle.close(0s));
        CHECK_EQUAL(0s, loop.now() - begin);
    });
    CHECK_EQUAL("...", order);
}

TEST(DillBundle, WaitWaitsForThoseWhoComeMeanwhile) {
    in_coroutine([&] {
        Bundle bundle(loop);
        bundle.go([&] {
            CHECK(!this_evthread::delay(1s));
            bundle.go([&] {
                CHECK(!this_evthread::delay(1s));
                order += "second ";
            });
            order += "first ";
        });
        CHECK(bundle.wait(kNever));
        order += "end";
    });
    CHECK_EQUAL("first second end", order);
}

// The tutorial's server: who is busy gets a grace period, then is canceled.
TEST(DillBundle, WaitThenHcloseIsAGracePeriod) {
    in_coroutine([&] {
        Bundle connections(loop);
        connections.go([&] {
            CHECK(!this_evthread::delay(1s));
            order += "finished ";
        });
        connections.go([&] {
            ended = this_evthread::delay(1h);
            order += "canceled ";
        });
        const Result<void> graceful = connections.wait(2s);
        CHECK(graceful.error() == NetError::timed_out);
        order += "grace ";
        CHECK(connections.close(kNever));
    });
    CHECK_EQUAL("finished grace canceled ", order);
    CHECK_EQUAL(std::error_code(NetError::canceled), ended);
}

TEST(DillBundle, ACanceledWaitLeavesTheChildrenToHclose) {
    in_coroutine([&] {
        EvThread owner = go([&] {
            Bundle bundle(loop);
            bundle.go([&] { cleans_up_slowly("child "); });
            const Result<void> waited = bundle.wait(kNever);
            CHECK(waited.error() == NetError::canceled);
            CHECK_EQUAL(1, bundle.size());
            order += "canceled ";
        });
        CHECK(!this_evthread::delay(1s));
        owner.cancel();
        CHECK(!owner.join(kNever));
    });
    CHECK_EQUAL("canceled child ", order);
}

// --- channels, choose

TEST_GROUP_BASE(DillChan, DillFixture){};

TEST(DillChan, DoneUnderSendersAndReceiversOfSeveralKindsEndsThemAll) {
    Channel<int> in, out(1);
    CHECK(!out.try_send(0));
    std::vector<std::error_code> codes;
    for (int i = 0; i < 2; ++i) {
        go([&] { codes.push_back(in.recv(kNever).error().code()); });
        go([&] { codes.push_back(out.send(1, 1h)); });
        go([&] { codes.push_back(select(in.on_recv([] {}), kNever).error); });
        go([&] { codes.push_back(select_ordered(out.on_send(2), 1h).error); });
    }
    run_ready();
    CHECK(codes.empty());
    in.close();
    out.close();
    run_loop();
    CHECK_EQUAL(8, codes.size());
    for (const std::error_code& code : codes) CHECK_EQUAL(std::error_code(NetError::closed), code);
    CHECK_EQUAL(1, out.size());
}

TEST(DillChan, AReplyTravelsThroughAChannelThatCameInAMessage) {
    struct Question {
        int number;
        Channel<int>* reply;
    };
    Channel<Question> questions;
    go([&] {
        while (auto question = questions.recv(kNever))
            CHECK(!question->reply->send(2 * question->number, kNever));
    });
    in_coroutine([&] {
        Channel<int> reply;
        CHECK(!questions.send(Question{21, &reply}, kNever));
        CHECK_EQUAL(42, *reply.recv(kNever));
        questions.close();
    });
}

TEST_GROUP_BASE(DillChoose, DillFixture){};

TEST(DillChoose, OfSeveralReadyArmsTheOthersKeepTheirMessages) {
    Channel<int> one(1), two(1), room(1);
    CHECK(!one.try_send(1));
    CHECK(!two.try_send(2));
    in_coroutine([&] {
        int got = 0;
        const auto take = [&](int value) { got = value; };
        CHECK_EQUAL(1, select_ordered(room.on_recv(take), two.on_recv(take), one.on_recv(take),
                                      room.on_send(3), kNever)
                           .arm);
        CHECK_EQUAL(2, got);
    });
    CHECK_EQUAL(1, one.size());
    CHECK_EQUAL(0, two.size());
    CHECK_EQUAL(0, room.size());
}

// A loop around choose, as in their tutorial: several producers, one consumer, until all have said done.
TEST(DillChoose, GathersWhatSeveralProducersSendUntilTheLastIsDone) {
    Channel<int> one, two;
    for (Channel<int>* channel : {&one, &two})
        go([channel] {
            for (int i = 1; i <= 100; ++i) CHECK(!channel->send(int{i}, kNever));
            channel->close();
        });
    in_coroutine([&] {
        int sum = 0;
        bool open[2] = {true, true};
        while (open[0] || open[1]) {
            const auto take = [&](bool& still) {
                return [&sum, &still](Result<int> value) {
                    if (value)
                        sum += *value;
                    else
                        still = false;
                };
            };
            Channel<int> never;
            CHECK(!select((open[0] ? one : never).on_recv(take(open[0])),
                          (open[1] ? two : never).on_recv(take(open[1])), 1h)
                       .timed_out());
        }
        CHECK_EQUAL(2 * 5050, sum);
    });
}

// --- time

TEST_GROUP_BASE(DillTime, DillFixture){};

// Their deadlines are points in time for just this: an outer one goes for all calls inside.
TEST(DillTime, OneDeadlineServesSeveralCalls) {
    Channel<int> ch;
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        const Deadline deadline(begin + 10s);
        CHECK(!this_evthread::delay(7s));
        CHECK(ch.recv(deadline).error() == NetError::timed_out);
        CHECK_EQUAL(10s, loop.now() - begin);
        CHECK(ch.send(1, deadline) == NetError::timed_out);
        CHECK(select(ch.on_recv([] {}), deadline).timed_out());
        CHECK_EQUAL(10s, loop.now() - begin);
    });
}

TEST_GROUP_BASE(DillRealTime, RealTimeFixture){};

TEST(DillRealTime, NowGoesOnWhileACoroutineComputes) {
    in_coroutine([&] {
        const TimePoint begin = loop.precise_now();
        spin_until(cutils::monotonic_now() + 2ms);
        CHECK(loop.precise_now() - begin >= 2ms);
        CHECK(loop.precise_now() >= loop.now());
    });
}

// Two that are always ready must not keep a sleeper and a descriptor from their turn.
TEST(DillRealTime, ThoseWhoTalkWithoutEndDoNotStarveTheOthers) {
    SocketPair pair = unix_pair();
    Channel<int> ping, pong;
    go([&] {
        while (auto value = ping.recv(kNever))
            if (pong.send(*value + 1, kNever)) break;
    });
    go([&] {
        int value = 0;
        while (!ping.send(int{value}, kNever)) {
            const Result<int> answer = pong.recv(kNever);
            if (!answer) break;
            value = *answer;
        }
    });
    in_coroutine([&] {
        CHECK(!this_evthread::delay(1ms));
        EvThread sender = go([&] {
            CHECK(!this_evthread::delay(1ms));
            CHECK_EQUAL(1, nutils::send_some(pair.far.get(), "x").bytes);
        });
        CHECK(!wait_readable(pair.near.get(), 5s));
        CHECK(!sender.join(5s));
        ping.close();
        pong.close();
    });
}
