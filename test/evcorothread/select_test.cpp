#include "evcorothread/select.h"

#include <any>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/select_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"

using namespace test_support;
using cutils::Result;
using evcorothread::Channel;
using evcorothread::select;  // beats ::select(2)

namespace {

constexpr Deadline kNever = Deadline::never;

}  // namespace

TEST_GROUP_BASE(Select, SelectFixture<Channel<int>>){};

// --- one of several
// ------------------------------------------------------------------------------------------------

TEST(Select, TakesWhatIsReadyWithoutSuspending) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        result = select(a.on_recv(take()), full.on_recv(take()), 5s);
        CHECK(!other);
    });
    CHECK(result);
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(1, got);
}

TEST(Select, WaitsForWhicheverComesFirst) {
    EvThread thread = go([&] { result = select(a.on_recv(take()), b.on_recv(take()), kNever); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    CHECK(!b.try_send(7));
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(7, got);
}

TEST(Select, ExactlyOneArmHappens) {
    go([&] { result = select(a.on_recv(take()), b.on_recv(take()), kNever); });
    run_ready();
    CHECK(!b.try_send(7));
    CHECK_EQUAL(NetError::would_block, a.try_send(6));  // before the selecting coroutine has run
    CHECK_EQUAL(NetError::would_block, b.try_send(8));
    run_loop();
    CHECK_EQUAL(7, got);
}

TEST(Select, LeavesNothingBehindInTheOtherQueues) {
    go([&] { result = select(a.on_recv(take()), b.on_recv(take()), kNever); });
    run_ready();
    CHECK(!b.try_send(7));
    run_loop();
    CHECK(!a.may_send());
    CHECK(!b.may_send());
}

TEST(Select, SendsToWhoeverReceives) {
    int value = 5;
    go([&] { result = select(full.on_send(9), b.on_send(std::move(value), note("sent")), kNever); });
    run_ready();
    CHECK_EQUAL(5, *b.try_recv());
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL("sent", called);
}

TEST(Select, SendsIntoABuffer) {
    in_coroutine([&] { result = select(room.on_send(4, note("sent")), kNever); });
    CHECK_EQUAL(0, result.arm);
    CHECK_EQUAL(4, *room.try_recv());
}

TEST(Select, AValueThatWasNotSentStaysWithTheSender) {
    Channel<std::unique_ptr<int>> one;
    Channel<std::unique_ptr<int>> other;
    auto first = std::make_unique<int>(1);
    auto second = std::make_unique<int>(2);
    go([&] { result = select(one.on_send(std::move(first)), other.on_send(std::move(second)), kNever); });
    run_ready();
    CHECK_EQUAL(2, **other.try_recv());
    run_loop();
    CHECK_EQUAL(1, *first);
    CHECK(second == nullptr);
}

TEST(Select, AnLvalueIsCopied) {
    Channel<std::string> channel(1);
    const std::string text(100, 'x');
    in_coroutine([&] { result = select(channel.on_send(text), kNever); });
    CHECK_EQUAL(text, *channel.try_recv());
    CHECK_EQUAL(100, text.size());
}

TEST(Select, OneThatSendsMeetsOneThatReceives) {
    SelectResult other;
    go([&] { result = select(a.on_send(5), full.on_send(6), kNever); });
    go([&] { other = select(b.on_recv(take()), a.on_recv(take()), kNever); });
    run_loop();
    CHECK_EQUAL(0, result.arm);
    CHECK_EQUAL(1, other.arm);
    CHECK_EQUAL(5, got);
}

TEST(Select, NeverMeetsItself) {
    EvThread thread = go([&] { result = select(a.on_send(5), a.on_recv(take()), 1s); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    run_loop();
    CHECK(result.timed_out());
}

TEST(Select, TwoThatBothSendAndReceiveOnOneChannelMeetEachOther) {
    std::array<SelectResult, 2> results;
    for (SelectResult& mine : results) go([&] { mine = select(a.on_send(5), a.on_recv(take()), 1s); });
    run_loop();
    CHECK_EQUAL(1, results[0].arm + results[1].arm);
    CHECK_EQUAL(5, got);
}

TEST(Select, SendingAndReceivingOnOneChannelItTakesWhicheverPartnerComes) {
    go([&] { result = select(a.on_send(5), a.on_recv(take()), 1s); });
    run_ready();
    CHECK(a.may_recv());
    CHECK(a.may_send());
    CHECK(!a.try_send(8));
    CHECK(!a.may_recv());
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(8, got);
}

TEST_IN_ORDER(Select, IsServedInTurnWithPlainReceivers) {
    std::vector<int> order;
    go([&] { (void)select(a.on_recv([&](int) { order.push_back(1); }), b.on_recv([](int) {}), kNever); });
    go([&] {
        if (a.recv(kNever)) order.push_back(2);
    });
    run_ready();
    CHECK(!a.try_send(0));
    CHECK(!a.try_send(0));
    run_loop();
    CHECK(order == (std::vector<int>{1, 2}));
}

// --- functions
// ----------------------------------------------------------------------------------------------------

TEST(Select, AFunctionMayTakeTheValueAResultOrNothing) {
    for (int form = 0; form < 3; ++form) {
        room.try_send(7).clear();
        in_coroutine([&] {
            if (form == 0) (void)select(room.on_recv([&](int value) { got += value; }), kNever);
            if (form == 1) (void)select(room.on_recv([&](Result<int> value) { got += *value; }), kNever);
            if (form == 2) (void)select(room.on_recv([&] { got += 7; }), kNever);
        });
    }
    CHECK_EQUAL(21, got);
}

TEST(Select, AValueThatCouldBeMadeOfAResultIsStillTheValue) {
    Channel<std::any> channel(1);
    in_coroutine([&] {
        CHECK(!channel.send(std::any(5), kNever));
        (void)select(channel.on_recv([&](std::any value) { got = std::any_cast<int>(value); }), kNever);
    });
    CHECK_EQUAL(5, got);
}

TEST(Select, MovesWhatCanOnlyBeMoved) {
    Channel<std::unique_ptr<int>> channel;
    go([&] {
        (void)select(channel.on_recv([&](std::unique_ptr<int> value) { got = *value; }), kNever);
        (void)select(channel.on_recv([&](std::unique_ptr<int> value) { got += *value; }), kNever);
    });
    go([&] {
        for (int i = 1; i <= 2; ++i) CHECK(!channel.send(std::make_unique<int>(i), kNever));
    });
    run_loop();
    CHECK_EQUAL(3, got);
}

TEST(Select, AFunctionMayWaitAndSelectAgain) {
    go([&] {
        result = select(a.on_recv([&](int first) {
            const Result<int> second = a.recv(kNever);
            (void)select(a.on_recv([&](int third) { got = first * 100 + *second * 10 + third; }), kNever);
        }),
                        kNever);
    });
    go([&] {
        for (int i = 1; i <= 3; ++i) CHECK(!a.send(int{i}, kNever));
    });
    run_loop();
    CHECK_EQUAL(123, got);
}

TEST(Select, WhatAFunctionThrowsLeavesIt) {
    in_coroutine([&] {
        bool caught = false;
        try {
            (void)select(full.on_recv([](int) { throw std::runtime_error("no"); }), kNever);
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        CHECK(full.empty());
    });
}

TEST(Select, ANamedArmMayBeUsedAgain) {
    go([&] {
        auto arm = a.on_recv([&](int value) { got = got * 10 + value; });
        for (int i = 0; i < 3; ++i) CHECK(select(arm, b.on_recv(note("b")), kNever));
    });
    go([&] {
        for (int i = 1; i <= 3; ++i) CHECK(!a.send(int{i}, kNever));
    });
    run_loop();
    CHECK_EQUAL(123, got);
}

TEST(Select, TakesArmsWhoseNumberIsKnownAtRunTime) {
    std::vector<std::unique_ptr<Channel<int>>> channels;
    for (int i = 0; i < 20; ++i) channels.push_back(std::make_unique<Channel<int>>());
    const auto function = [this](int value) { got = value; };
    using Arm = RecvArm<int, decltype(function)>;
    go([&] {
        std::vector<std::unique_ptr<Arm>> arms;
        std::vector<SelectArm*> list;
        for (auto& channel : channels) {
            arms.push_back(std::make_unique<Arm>(*channel, function));
            list.push_back(arms.back().get());
        }
        result = select_from(list, SelectOrder::fair, kNever);
    });
    run_ready();
    CHECK(!channels[13]->try_send(5));
    run_loop();
    CHECK_EQUAL(13, result.arm);
    CHECK_EQUAL(5, got);
}

namespace {

// Knows where it has been.
struct alignas(64) Wide {
    explicit Wide(int v) : value(v) {}
    Wide(Wide&& other) noexcept
        : value(other.value),
          aligned(other.aligned && reinterpret_cast<std::uintptr_t>(this) % alignof(Wide) == 0) {}
    int value;
    bool aligned = true;
};

}  // namespace

TEST(Select, KeepsTheAlignmentOfItsValues) {
    Channel<Wide> direct;
    Channel<Wide> ring(3);
    for (Channel<Wide>* channel : {&direct, &ring}) {
        go([channel] {
            for (int i = 0; i < 5; ++i) CHECK(!channel->send(Wide(i), kNever));
        });
        go([channel] {
            for (int i = 0; i < 5; ++i)
                CHECK(select(channel->on_recv([i](const Wide& wide) {
                    CHECK_EQUAL(i, wide.value);
                    CHECK(wide.aligned);
                }),
                             kNever));
        });
        run_loop();
    }
}

// --- time
// ---------------------------------------------------------------------------------------------------------

TEST(Select, ADeadlineEndsItAndNoArmHappens) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        result = select(a.on_recv(note("a")), b.on_send(1, note("b")), 5s);
        CHECK_EQUAL(5s, loop.now() - begin);
    });
    CHECK(result.timed_out());
    CHECK(result.none());
    CHECK_EQUAL("", called);
}

TEST(Select, ADeadlineAlreadyPassedStillTakesWhatIsReady) {
    in_coroutine([&] {
        result = select(a.on_recv(take()), full.on_recv(take()), Deadline(loop.now() - 1s));
        CHECK_EQUAL(1, result.arm);
        result = select(a.on_recv(take()), full.on_recv(take()), 0s);
        CHECK(result.timed_out());
    });
}

TEST(Select, ATimeIsAnArmOfItsOwn) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        result = select(a.on_recv(note("a")), on_time(3s, note("three")), on_time(2s, note("two")), 5s);
        CHECK_EQUAL(2s, loop.now() - begin);
    });
    CHECK(result);
    CHECK_EQUAL(2, result.arm);
    CHECK_EQUAL("two", called);
}

TEST(Select, ATimeArmThatIsDueWithTheDeadlineHappens) {
    in_coroutine([&] { result = select(on_time(2s, note("two")), 2s); });
    CHECK_EQUAL(0, result.arm);
}

TEST(Select, ATimeArmOfNeverNeverHappens) {
    in_coroutine([&] { result = select(on_time(kNever, note("never")), 1s); });
    CHECK(result.timed_out());
}

TEST(Select, ADurationCountsAnewInEachSelect) {
    in_coroutine([&] {
        auto tick = on_time(1s, note("."));
        const TimePoint begin = loop.now();
        for (int i = 0; i < 3; ++i) CHECK(select(tick, kNever));
        CHECK_EQUAL(3s, loop.now() - begin);
    });
}

TEST(Select, WithoutArmsItIsADelay) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        result = select(3s);
        CHECK_EQUAL(3s, loop.now() - begin);
    });
    CHECK(result.timed_out());
}

// --- without waiting
// -----------------------------------------------------------------------------------------------

TEST(Select, TryingNeverWaits) {
    go([&] {
        result = try_select(a.on_recv(take()), full.on_send(1));
        CHECK(result.would_block());
        CHECK(result.none());
        result = try_select(a.on_recv(take()), full.on_recv(take()));
    });
    run_ready();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(1, got);
}

TEST(Select, TryingWorksOutsideOfCoroutines) {
    CHECK(try_select(a.on_recv(take())).would_block());
    CHECK_EQUAL(0, try_select(full.on_recv(take())).arm);
    CHECK_EQUAL(0, try_select_ordered(room.on_send(3), room.on_recv(take())).arm);
}

// --- order
// --------------------------------------------------------------------------------------------------------

TEST(Select, OrderedTakesTheFirstThatIsReady) {
    CHECK(!room.try_send(2));
    in_coroutine([&] {
        CHECK_EQUAL(1, select_ordered(a.on_recv(take()), full.on_recv(take()), room.on_recv(take()), 1s).arm);
        CHECK_EQUAL(2, select_ordered(a.on_recv(take()), full.on_recv(take()), room.on_recv(take()), 1s).arm);
    });
}

TEST(Select, IsFairOverTenThousandRounds) {
    constexpr int kRounds = 10'000;
    Channel<int> one(1);
    Channel<int> two(1);
    Channel<int> three(1);
    Channel<int> empty(1);
    std::array<int, 5> count{};
    in_coroutine([&] {
        for (int i = 0; i < kRounds; ++i) {
            for (Channel<int>* channel : {&one, &two, &three})
                if (channel->empty()) CHECK(!channel->send(int{i}, 0s));
            // The arm that is never ready must not give its share to a neighbour.
            const SelectResult which = select(one.on_recv(take()), empty.on_recv(take()), two.on_recv(take()),
                                              three.on_recv(take()), room.on_send(1), kNever);
            ++count.at(which.arm);
            (void)room.try_recv();
        }
    });
    CHECK_EQUAL(0, count[1]);
    // 2,500 each are expected, with a standard deviation of 43: six of them.
    for (const std::size_t arm : {0U, 2U, 3U, 4U}) CHECK(count.at(arm) > 2240 && count.at(arm) < 2760);
}

TEST(Select, DrawsTheSameFromTheSameSeed) {
    const auto run = [](std::uint64_t seed) {
        StackPool pool({.count = 2, .pages = 16});
        EvLoop seeded(pool, {.clock = LoopClock::virtual_time, .shuffle_seed = seed});
        std::string arms;
        seeded.spawn([&] {
            Channel<int> closed[4];
            for (auto& channel : closed) channel.close();
            for (int i = 0; i < 64; ++i)
                arms += static_cast<char>('0' + select(closed[0].on_recv([] {}), closed[1].on_recv([] {}),
                                                       closed[2].on_recv([] {}), closed[3].on_recv([] {}), 0s)
                                                    .arm);
        });
        seeded.run();
        return arms;
    };
    CHECK_EQUAL(64, run(7).size());
    CHECK_EQUAL(run(7), run(7));
    CHECK(run(7) != run(8));
}

// --- cancel
// -------------------------------------------------------------------------------------------------------

TEST(Select, CancelEndsIt) {
    EvThread thread = go([&] { result = select(a.on_recv(note("a")), b.on_send(1, note("b")), kNever); });
    run_ready();
    thread.cancel();
    run_loop();
    CHECK(result.canceled());
    CHECK(result.none());
    CHECK_EQUAL("", called);
    CHECK(!a.may_send());
    CHECK(!b.may_recv());
}

TEST(Select, InACanceledCoroutineNothingHappens) {
    EvThread thread = go([&] { result = select(full.on_recv(note("full")), kNever); });
    thread.cancel();
    run_loop();
    CHECK(result.canceled());
    CHECK_EQUAL(1, full.size());
}

TEST(Select, UnderAShieldItGoesOn) {
    EvThread thread = go([&] {
        CancelShield shield(2s);
        CHECK_EQUAL(0, select(full.on_recv(take()), kNever).arm);
        CHECK_EQUAL(1, select(a.on_recv(take()), on_time(1s, [] {}), kNever).arm);
        CHECK(select(a.on_recv(take()), kNever).canceled());
    });
    thread.cancel();
    run_loop();
}

TEST(Select, CanceledAfterAnArmHasHappenedItHasHappened) {
    EvThread thread = go([&] { result = select(a.on_recv(take()), b.on_recv(take()), kNever); });
    run_ready();
    CHECK(!b.try_send(7));
    thread.cancel();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(7, got);
}

TEST(Select, ADeadlineAfterAnArmHasHappenedChangesNothing) {
    go([&] { result = select(a.on_recv(take()), b.on_send(3), 1s); });
    run_ready();
    CHECK_EQUAL(3, *b.try_recv());
    advance(1s);
    CHECK_EQUAL(1, result.arm);
}

// --- close
// --------------------------------------------------------------------------------------------------------

TEST(Select, AClosedChannelIsReadyAndSaysSo) {
    a.close();
    in_coroutine([&] {
        result = select(b.on_recv(note("b")), a.on_recv([this](int) { called += "value"; }), kNever);
        CHECK_EQUAL(1, result.arm);
        CHECK(result.closed());
        CHECK_EQUAL("", called);
        (void)select(a.on_recv([this](Result<int> value) { called += value.error().message(); }), kNever);
        CHECK_EQUAL("closed on this side", called);
        (void)select(a.on_recv(note("!")), kNever);
        CHECK_EQUAL("closed on this side!", called);
        result = select(a.on_send(1, note("sent")), kNever);
        CHECK(result.closed());
        (void)select(a.on_send(1, [this](std::error_code e) { called = e.message(); }), kNever);
        CHECK_EQUAL("closed on this side", called);
    });
}

TEST(Select, ClosingWakesItAsAReceiver) {
    go([&] { result = select(a.on_recv(note("a")), b.on_recv(note("b")), kNever); });
    run_ready();
    b.close();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
    CHECK_EQUAL("b", called);
}

TEST(Select, ClosingWakesItAsASender) {
    int value = 5;
    go([&] { result = select(a.on_recv(note("a")), b.on_send(std::move(value), note("b")), kNever); });
    run_ready();
    b.close();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
    CHECK_EQUAL("", called);
}

TEST(Select, AClosedChannelIsDrainedFirst) {
    full.close();
    in_coroutine([&] {
        CHECK(select(full.on_recv(take()), kNever));
        CHECK(select(full.on_recv(take()), kNever).closed());
    });
    CHECK_EQUAL(1, got);
}

TEST(Select, AChannelMayBeDestroyedUnderIt) {
    auto channel = std::make_unique<Channel<int>>();
    go([&] { result = select(a.on_recv(take()), channel->on_recv(take()), channel->on_send(1), kNever); });
    run_ready();
    channel.reset();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
}

TEST(Select, AChannelMayBeDestroyedAfterAnotherArmHasHappened) {
    auto channel = std::make_unique<Channel<int>>();
    go([&] { result = select(a.on_recv(take()), channel->on_recv(take()), kNever); });
    run_ready();
    CHECK(!a.try_send(3));
    channel.reset();
    run_loop();
    CHECK_EQUAL(0, result.arm);
    CHECK_EQUAL(3, got);
}

namespace {

// At the moment when the time of a select has come, and before it runs, another channel takes the place of
// its own.
template <class Before>
SelectResult replace_when_time_has_come(SelectFixture<Channel<int>>& test, std::size_t capacity,
                                        Before before) {
    std::optional<Channel<int>> channel(std::in_place, capacity);
    SelectResult result;
    test.go([&] {
        (void)this_evthread::delay(1s);
        before(*channel);
        channel.emplace(capacity);
    });
    test.go([&] { result = select(channel->on_recv([] {}), test.a.on_recv([] {}), 1s); });
    test.run_loop();
    return result;
}

}  // namespace

TEST_IN_ORDER(Select, AChannelMayBeDestroyedAfterItsTimeHasCome) {
    result = replace_when_time_has_come(*this, 0, [](Channel<int>&) {});
    CHECK_EQUAL(0, result.arm);
    CHECK(result.closed());
}

TEST_IN_ORDER(Select, AChannelMayBeUsedAndDestroyedAfterItsTimeHasCome) {
    result = replace_when_time_has_come(*this, 1, [](Channel<int>& channel) { CHECK(!channel.try_send(7)); });
    CHECK_EQUAL(0, result.arm);
    CHECK(result.closed());
}

// --- sockets and descriptors
// ---------------------------------------------------------------------------------------------------------

TEST(Select, WaitsUntilASocketMayBeRead) {
    Connection connection = unix_connection(loop);
    EvThread thread = go([&] {
        result = select(a.on_recv(take()), on_readable(connection.socket, note("readable")), kNever);
    });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    connection.peer_sends("x");
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL("readable", called);
    in_coroutine([&] { CHECK_EQUAL("x", received(connection.socket, 0s)); });
}

TEST(Select, ASocketThatHasDataIsReadyAtOnce) {
    Connection connection = unix_connection(loop);
    connection.peer_sends("x");
    in_coroutine([&] { CHECK_EQUAL(0, select(on_readable(connection.socket, [] {}), 0s).arm); });
}

TEST(Select, ASocketWhoseDataWasReadIsNotReadyAndBecomesReadyAgain) {
    Connection connection = unix_connection(loop);
    go([&] {
        for (int i = 0; i < 3; ++i) {
            CHECK(select(on_readable(connection.socket, [] {}), kNever));
            CHECK_EQUAL("x", received(connection.socket, 0s));
            CHECK(try_select(on_readable(connection.socket, [] {})).would_block());
        }
    });
    for (int i = 0; i < 3; ++i) {
        run_ready();
        connection.peer_sends("x");
    }
    run_loop();
}

TEST(Select, TriedAgainASocketThatNobodyHasWaitedOnIsAskedAgain) {
    Connection connection = unix_connection(loop);
    in_coroutine([&] {
        CHECK(try_select(on_readable(connection.socket, [] {})).would_block());
        connection.peer_sends("x");
        CHECK(try_select(on_readable(connection.socket, [] {})));
    });
}

TEST(Select, TheEndOfAStreamIsReadable) {
    Connection connection = unix_connection(loop);
    go([&] { result = select(on_readable(connection.socket, [] {}), a.on_recv(take()), kNever); });
    run_ready();
    connection.peer_closes();
    run_loop();
    CHECK_EQUAL(0, result.arm);
}

TEST(Select, OfTwoSocketsTakesTheOneThatIsReadable) {
    Connection one = unix_connection(loop);
    Connection two = tcp_connection(loop);
    go([&] {
        result = select(on_readable(one.socket, note("one")), on_readable(two.socket, note("two")), kNever);
    });
    run_ready();
    two.peer_sends("x");
    run_loop();
    CHECK_EQUAL("two", called);
    // The other one is not disturbed.
    go([&] { CHECK_EQUAL("y", received(one.socket, kNever)); });
    run_ready();
    one.peer_sends("y");
    run_loop();
}

TEST(Select, ASocketThatIsClosedMeanwhileIsClosed) {
    Connection connection = unix_connection(loop);
    go([&] {
        result = select(a.on_recv(take()),
                        on_readable(connection.socket, [this](std::error_code e) { called = e.message(); }),
                        kNever);
    });
    run_ready();
    connection.socket.close();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
    CHECK_EQUAL("closed on this side", called);
}

TEST(Select, ASocketMayBeDestroyedUnderIt) {
    auto connection = std::make_unique<Connection>(unix_connection(loop));
    go([&] { result = select(a.on_recv(take()), on_readable(connection->socket, note("r")), kNever); });
    run_ready();
    connection.reset();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
    CHECK_EQUAL("", called);
}

TEST(Select, AValueHandedOverBeforeASocketWasClosedIsReceived) {
    auto connection = std::make_unique<Connection>(unix_connection(loop));
    go([&] { result = select(a.on_recv(take()), on_readable(connection->socket, note("r")), kNever); });
    run_ready();
    CHECK(!a.try_send(7));
    connection.reset();  // overrides the wake, but not what has happened
    run_loop();
    CHECK_EQUAL(0, result.arm);
    CHECK_EQUAL(7, got);
}

TEST(Select, AClosedSocketIsReadyAndSaysSo) {
    EvSocket none;
    in_coroutine([&] { CHECK(select(on_readable(none, [] {}), kNever).closed()); });
}

TEST(Select, ASocketThatSomebodyElseReadsIsBusy) {
    Connection connection = unix_connection(loop);
    go([&] { CHECK_EQUAL("x", received(connection.socket, kNever)); });
    run_ready();
    in_coroutine([&] {
        result = select(on_readable(connection.socket, note("r")), kNever);
        connection.peer_sends("x");
    });
    CHECK_EQUAL(NetError::busy, result.error);
    CHECK_EQUAL(0, result.arm);
    CHECK_EQUAL("", called);
}

TEST(Select, WhileItWaitsOnASocketAReaderIsBusy) {
    Connection connection = unix_connection(loop);
    EvThread thread = go([&] { result = select(on_readable(connection.socket, note("r")), kNever); });
    run_ready();
    go([&] { CHECK_EQUAL("<somebody else is already waiting>", received(connection.socket, kNever)); });
    run_ready();
    thread.cancel();
    run_loop();
    CHECK(result.canceled());
}

TEST(Select, TheSameSocketTwiceIsBusy) {
    Connection connection = unix_connection(loop);
    in_coroutine([&] {
        result = select_ordered(on_readable(connection.socket, [] {}), on_readable(connection.socket, [] {}),
                                kNever);
        CHECK_EQUAL(NetError::busy, result.error);
        CHECK_EQUAL(1, result.arm);
        CHECK(select(on_readable(connection.socket, [] {}), 1s).timed_out());  // and nothing is left of it
    });
}

TEST(Select, WaitsOnADescriptorOfSomebodyElses) {
    SocketPair pair = unix_pair();
    go([&] {
        CHECK_EQUAL(1, select(a.on_recv(take()), on_writable(pair.near.get(), [] {}), kNever).arm);
        result = select(a.on_recv(take()), on_readable(pair.near.get(), note("readable")), kNever);
    });
    run_ready();
    CHECK_EQUAL("", called);
    CHECK_EQUAL(1, nutils::send_some(pair.far.get(), "x").bytes);
    run_loop();
    CHECK_EQUAL("readable", called);
}

TEST(Select, ADescriptorThatIsNotOpenIsEbadf) {
    for (const int fd : {4000, -1}) {
        in_coroutine([&] { result = select(on_readable(fd, note("r")), 1h); });
        CHECK(result.error == std::errc::bad_file_descriptor);
        CHECK_EQUAL(0, result.arm);
        CHECK_EQUAL("", called);
    }
}

TEST(Select, DataAndTheDeadlineInOnePassAreData) {
    Connection connection = unix_connection(loop);
    go([&] { result = select(on_readable(connection.socket, [] {}), 1s); });
    run_ready();
    connection.peer_sends("x");
    advance(1s);
    CHECK_EQUAL(0, result.arm);
}

// --- misuse, cost
// --------------------------------------------------------------------------------------------------

TEST(Select, OutsideACoroutineAborts) {
    STRCMP_CONTAINS("use EvLoop::spawn",
                    abort_message([this] { (void)select(full.on_recv(take()), 1s); }).c_str());
}

TEST(Select, TheSameArmTwiceAborts) {
    STRCMP_CONTAINS("stands twice", abort_message([this] {
                                        in_coroutine([this] {
                                            auto arm = a.on_recv(take());
                                            (void)select(arm, arm, 1s);
                                        });
                                    }).c_str());
}

TEST(Select, AllocatesNothing) {
    Connection connection = unix_connection(loop);
    std::size_t allocated = 99;
    std::size_t allocated_twice = 99;
    go([&] {
        (void)select(on_readable(connection.socket, [] {}), 1s);  // registers the socket
        AllocationFaults faults;
        faults.fail_all();
        (void)select(a.on_recv(take()), b.on_send(1), on_readable(connection.socket, [] {}),
                     on_time(2s, [] {}), 1s);
        allocated = faults.count();
        (void)select(a.on_recv(take()), full.on_recv(take()), 1s);
        allocated_twice = faults.count();
        faults.stop();
    });
    run_loop();
    CHECK_EQUAL(0, allocated);
    CHECK_EQUAL(0, allocated_twice);
}
