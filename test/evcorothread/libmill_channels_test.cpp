// What libmill's and libdill's channels and choose statements do, as their users know it, said in our API.
#include <array>
#include <string>
#include <vector>

#include "evcorothread/channel.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/select.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;
using cutils::Result;
using evcorothread::Channel;
using evcorothread::select;

namespace {

constexpr Deadline kNever = Deadline::never;

class MillFixture : public LoopFixture {
  public:
    // libmill's little helpers: `count` yields, then a send or a receive.
    void send(Channel<int>& channel, int value, int yields = 0) {
        go("sender", [&channel, value, yields] {
            for (int i = 0; i < yields; ++i) this_evthread::yield();
            CHECK(!channel.send(int{value}, kNever));
        });
    }
    void receive(Channel<int>& channel, int expected, int yields = 0) {
        go("receiver", [&channel, expected, yields] {
            for (int i = 0; i < yields; ++i) this_evthread::yield();
            CHECK_EQUAL(expected, *channel.recv(kNever));
        });
    }
    // Sends the same for ever.
    void feed(Channel<int>& channel, int value) {
        go("feeder", [&channel, value] {
            while (!channel.send(int{value}, kNever)) this_evthread::yield();
        });
    }
    static int chosen(Channel<int>& channel) {
        int got = -1;
        CHECK(select(channel.on_recv([&got](int value) { got = value; }), kNever));
        return got;
    }
};

}  // namespace

TEST_GROUP_BASE(MillChan, MillFixture){};

TEST(MillChan, TheReceiverWaitsForTheSender) {
    Channel<int> ch;
    send(ch, 333, 1);
    in_coroutine([&] { CHECK_EQUAL(333, *ch.recv(kNever)); });
}

TEST(MillChan, TheSenderWaitsForTheReceiver) {
    Channel<int> ch;
    send(ch, 444);
    in_coroutine([&] {
        this_evthread::yield();
        CHECK_EQUAL(444, *ch.recv(kNever));
    });
}

TEST_IN_ORDER(MillChan, TwoSimultaneousSenders) {
    Channel<int> ch;
    send(ch, 888);
    send(ch, 999);
    in_coroutine([&] {
        CHECK_EQUAL(888, *ch.recv(kNever));
        this_evthread::yield();
        CHECK_EQUAL(999, *ch.recv(kNever));
    });
}

TEST_IN_ORDER(MillChan, TwoSimultaneousReceivers) {
    Channel<int> ch;
    receive(ch, 333);
    receive(ch, 444);
    in_coroutine([&] {
        CHECK(!ch.send(333, kNever));
        CHECK(!ch.send(444, kNever));
    });
}

TEST(MillChan, CarriesTypes) {
    struct Foo {
        int first;
        int second;
    };
    Channel<std::string> strings;
    Channel<Foo> foos;
    go([&] { CHECK(!strings.send("yyy", kNever)); });
    go([&] { CHECK(!foos.send(Foo{555, 222}, kNever)); });
    in_coroutine([&] {
        CHECK_EQUAL("yyy", *strings.recv(kNever));
        const Result<Foo> foo = foos.recv(kNever);
        CHECK_EQUAL(555, foo->first);
        CHECK_EQUAL(222, foo->second);
    });
}

TEST(MillChan, ALargeMessageGoesThrough) {
    using Large = std::array<char, 2048>;
    Channel<Large> ch(1);
    in_coroutine([&] {
        Large large;
        large.fill('x');
        CHECK(!ch.send(large, kNever));
        CHECK(large == *ch.recv(kNever));
    });
}

TEST(MillChan, MessagesWaitInTheBuffer) {
    Channel<int> ch(2);
    in_coroutine([&] {
        CHECK(!ch.send(222, kNever));
        CHECK(!ch.send(333, kNever));
        CHECK_EQUAL(222, *ch.recv(kNever));
        CHECK_EQUAL(333, *ch.recv(kNever));
        CHECK(!ch.send(444, kNever));
        CHECK_EQUAL(444, *ch.recv(kNever));
        CHECK(!ch.send(555, kNever));
        CHECK(!ch.send(666, kNever));
        CHECK_EQUAL(555, *ch.recv(kNever));
        CHECK_EQUAL(666, *ch.recv(kNever));
    });
}

TEST(MillChan, ABlockedSenderAndAnItemInTheChannelComeInOrder) {
    Channel<int> ch(1);
    in_coroutine([&] {
        CHECK(!ch.send(1, kNever));
        send(ch, 2);
        this_evthread::yield();
        CHECK_EQUAL(1, *ch.recv(kNever));
        CHECK_EQUAL(2, *ch.recv(kNever));
    });
}

TEST(MillChan, DoneIsReceivedForEver) {
    Channel<int> ch;
    ch.close();
    in_coroutine([&] {
        for (int i = 0; i < 3; ++i) CHECK_EQUAL(NetError::closed, ch.recv(kNever).error().code());
    });
}

TEST(MillChan, DoneComesBehindTheMessages) {
    Channel<int> ch(10);
    in_coroutine([&] {
        CHECK(!ch.send(999, kNever));
        ch.close();
        CHECK_EQUAL(999, *ch.recv(kNever));
        for (int i = 0; i < 2; ++i) CHECK_EQUAL(NetError::closed, ch.recv(kNever).error().code());
    });
}

TEST(MillChan, DoneUnblocksAllReceivers) {
    Channel<int> ch;
    int unblocked = 0;
    for (int i = 0; i < 2; ++i) {
        go([&] {
            CHECK_EQUAL(NetError::closed, ch.recv(kNever).error().code());
            ++unblocked;
        });
    }
    run_ready();
    ch.close();
    run_loop();
    CHECK_EQUAL(2, unblocked);
}

TEST(MillChan, DoneUnblocksAllSenders) {
    Channel<int> ch;
    int unblocked = 0;
    for (int i = 0; i < 2; ++i) {
        go([&] {
            CHECK_EQUAL(NetError::closed, ch.send(1, kNever));
            ++unblocked;
        });
    }
    run_ready();
    ch.close();
    run_loop();
    CHECK_EQUAL(2, unblocked);
}

TEST(MillChan, DoneTwiceIsNoHarm) {
    Channel<int> ch;
    ch.close();
    ch.close();
    in_coroutine([&] { CHECK_EQUAL(NetError::closed, ch.send(1, kNever)); });
}

TEST(MillChan, ADeadlineOfNowDoesNotBlock) {
    Channel<int> ch;
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK_EQUAL(NetError::timed_out, ch.recv(0s).error().code());
        CHECK_EQUAL(NetError::timed_out, ch.send(1, 0s));
        CHECK(!other);
    });
}

TEST(MillChan, ClosingTheChannelThatACanceledOneWaitedAtIsNoHarm) {
    Channel<int> ch;
    EvThread thread = go([&] { CHECK_EQUAL(NetError::canceled, ch.recv(kNever).error().code()); });
    run_ready();
    thread.cancel();
    ch.close();
    run_loop();
}

TEST_GROUP_BASE(MillChoose, MillFixture){};

TEST(MillChoose, ReceivesWithoutBlocking) {
    Channel<int> ch;
    send(ch, 555);
    run_ready();
    in_coroutine([&] { CHECK_EQUAL(555, chosen(ch)); });
}

TEST(MillChoose, ReceivesBlocking) {
    Channel<int> ch;
    send(ch, 666, 2);
    in_coroutine([&] { CHECK_EQUAL(666, chosen(ch)); });
}

TEST(MillChoose, SendsWithoutBlocking) {
    Channel<int> ch;
    receive(ch, 777);
    run_ready();
    in_coroutine([&] { CHECK_EQUAL(0, select(ch.on_send(777), kNever).arm); });
}

TEST(MillChoose, SendsBlocking) {
    Channel<int> ch;
    receive(ch, 888, 2);
    in_coroutine([&] { CHECK_EQUAL(0, select(ch.on_send(888), kNever).arm); });
}

TEST(MillChoose, BetweenTwoChannelsTakesTheOneThatHasSomething) {
    Channel<int> first;
    Channel<int> second;
    in_coroutine([&] {
        int got = 0;
        const auto take = [&got](int value) { got = value; };
        send(first, 555);
        CHECK_EQUAL(0, select(first.on_recv(take), second.on_recv(take), kNever).arm);
        CHECK_EQUAL(555, got);
        send(second, 666);
        CHECK_EQUAL(1, select(first.on_recv(take), second.on_recv(take), kNever).arm);
        CHECK_EQUAL(666, got);
    });
}

TEST(MillChoose, BetweenTwoFedChannelsChoosesAtRandom) {
    Channel<int> first;
    Channel<int> second;
    feed(first, 111);
    feed(second, 222);
    std::array<int, 2> count{};
    in_coroutine([&] {
        for (int i = 0; i < 100; ++i) {
            ++count.at(select(first.on_recv([] {}), second.on_recv([] {}), kNever).arm);
            this_evthread::yield();
        }
        first.close();
        second.close();
    });
    CHECK(count[0] > 1 && count[1] > 1);
}

TEST(MillChoose, BetweenTwoFullBuffersChoosesAtRandom) {
    Channel<int> first(100);
    Channel<int> second(100);
    std::array<int, 2> count{};
    in_coroutine([&] {
        for (int i = 0; i < 100; ++i) {
            CHECK(!first.send(111, kNever));
            CHECK(!second.send(222, kNever));
        }
        for (int i = 0; i < 100; ++i)
            ++count.at(select(first.on_recv([] {}), second.on_recv([] {}), kNever).arm);
    });
    CHECK(count[0] > 1 && count[1] > 1);
}

TEST(MillChoose, BetweenTwoWaitingReceiversSendsAtRandom) {
    Channel<int> first(1000);
    Channel<int> second(1000);
    in_coroutine([&] {
        for (int i = 0; i < 100; ++i) CHECK(select(first.on_send(111), second.on_send(222), kNever));
    });
    CHECK(first.size() > 1 && second.size() > 1);
    CHECK_EQUAL(100, first.size() + second.size());
}

TEST_IN_ORDER(MillChoose, OtherwiseIsTakenWhenNothingIsReady) {
    Channel<int> ch;
    in_coroutine([&] {
        CHECK(try_select(ch.on_recv([] {})).would_block());
        send(ch, 111);
        this_evthread::yield();
        CHECK_EQUAL(0, try_select(ch.on_recv([] {})).arm);
        CHECK(try_select().would_block());  // otherwise alone
    });
}

TEST_IN_ORDER(MillChoose, TwoSimultaneousSenders) {
    Channel<int> ch;
    send(ch, 888);
    send(ch, 999);
    in_coroutine([&] {
        CHECK_EQUAL(888, chosen(ch));
        this_evthread::yield();
        CHECK_EQUAL(999, chosen(ch));
    });
}

TEST_IN_ORDER(MillChoose, TwoSimultaneousReceivers) {
    Channel<int> ch;
    receive(ch, 333);
    receive(ch, 444);
    in_coroutine([&] {
        CHECK(select(ch.on_send(333), kNever));
        CHECK(select(ch.on_send(444), kNever));
    });
}

TEST(MillChoose, ChooseMeetsChoose) {
    Channel<int> ch;
    go([&] { CHECK(select(ch.on_send(111), kNever)); });
    in_coroutine([&] { CHECK_EQUAL(111, chosen(ch)); });
    go([&] { CHECK_EQUAL(222, chosen(ch)); });
    in_coroutine([&] { CHECK(select(ch.on_send(222), kNever)); });
}

TEST(MillChoose, ALargeMessageGoesThrough) {
    using Large = std::array<char, 2048>;
    Channel<Large> ch;
    Large large;
    large.fill('x');
    go([&] { CHECK(select(ch.on_send(large), kNever)); });
    bool same = false;
    in_coroutine([&] { CHECK(select(ch.on_recv([&](const Large& got) { same = got == large; }), kNever)); });
    CHECK(same);
}

TEST(MillChoose, SendsAndReceivesThroughABuffer) {
    Channel<int> ch(2);
    in_coroutine([&] {
        CHECK(select(ch.on_send(111), kNever));
        CHECK(select(ch.on_send(222), kNever));
        CHECK(select(ch.on_send(333), 0s).timed_out());
        CHECK_EQUAL(111, chosen(ch));
        CHECK_EQUAL(222, chosen(ch));
        CHECK(select(ch.on_recv([] {}), 0s).timed_out());
    });
}

TEST(MillChoose, DoneBeforeChoosingIsChosen) {
    Channel<int> ch;
    ch.close();
    in_coroutine([&] {
        for (int i = 0; i < 2; ++i) {
            const SelectResult result = select(ch.on_recv([](int) {}), kNever);
            CHECK(result.closed());
            CHECK_EQUAL(0, result.arm);
        }
    });
}

TEST(MillChoose, DoneWhileChoosingIsChosen) {
    Channel<int> first;
    Channel<int> second;
    SelectResult result;
    go([&] { result = select(first.on_recv([](int) {}), second.on_send(1), kNever); });
    run_ready();
    second.close();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
}

TEST(MillChoose, DoneOnABufferedChannelComesBehindTheMessages) {
    Channel<int> ch(2);
    in_coroutine([&] {
        CHECK(select(ch.on_send(111), kNever));
        ch.close();
        CHECK_EQUAL(111, chosen(ch));
        CHECK(select(ch.on_recv([](int) {}), kNever).closed());
    });
}

TEST(MillChoose, BothArmsOfOneChannelMeetWhoeverComes) {
    Channel<int> ch;
    int got = 0;
    const auto both = [&] {
        return select(ch.on_recv([&](int value) { got = value; }), ch.on_send(2), kNever);
    };
    send(ch, 1, 1);
    in_coroutine([&] { CHECK_EQUAL(0, both().arm); });
    CHECK_EQUAL(1, got);
    receive(ch, 2, 1);
    in_coroutine([&] { CHECK_EQUAL(1, both().arm); });
}

TEST(MillChoose, ReceivingTwiceOnOneChannelGetsOneMessage) {
    Channel<int> ch;
    send(ch, 5, 1);
    in_coroutine([&] {
        CHECK(select(ch.on_recv([] {}), ch.on_recv([] {}), kNever));
        CHECK(!ch.may_send());
    });
}

TEST(MillChoose, TheDeadlineExpires) {
    Channel<int> ch;
    in_coroutine([&] {
        const TimePoint start = loop.now();
        CHECK(select(ch.on_recv([] {}), 100ms).timed_out());
        CHECK_EQUAL(100ms, loop.now() - start);
    });
}

TEST(MillChoose, TheDeadlineDoesNotExpire) {
    Channel<int> ch;
    go([&] {
        CHECK(!this_evthread::delay(50ms));
        CHECK(!ch.send(4555, kNever));
    });
    in_coroutine([&] {
        const TimePoint start = loop.now();
        CHECK_EQUAL(0, select(ch.on_recv([] {}), 1000ms).arm);
        CHECK_EQUAL(50ms, loop.now() - start);
    });
}

TEST(MillChoose, ADeadlineOfNeverIsNone) {
    Channel<int> ch;
    go([&] {
        CHECK(!this_evthread::delay(24h));
        CHECK(!ch.send(4555, kNever));
    });
    in_coroutine([&] { CHECK_EQUAL(4555, chosen(ch)); });
}

TEST(MillChoose, ADeadlineOfNowDoesNotBlock) {
    Channel<int> ch;
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        CHECK(select(ch.on_recv([] {}), 0s).timed_out());
        CHECK(!other);
    });
}

TEST(MillChoose, AnOldDeadlineDoesNotEndALaterChoose) {
    Channel<int> ch;
    go([&] {
        for (int i = 0; i < 2; ++i) {
            CHECK(!this_evthread::delay(50ms * (i + 1)));
            CHECK(!ch.send(int{i}, kNever));
        }
    });
    in_coroutine([&] {
        CHECK(select(ch.on_recv([] {}), 60ms));
        CHECK(select(ch.on_recv([] {}), kNever));
    });
}

TEST(MillChoose, ACanceledChooseSaysCanceled) {
    Channel<int> ch;
    SelectResult result;
    EvThread thread = go([&] { result = select(ch.on_recv([] {}), kNever); });
    run_ready();
    thread.cancel();
    run_loop();
    CHECK(result.canceled());
    CHECK(result.none());
}
