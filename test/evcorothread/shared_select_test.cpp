// Arms of select at SharedChannels: what they mean in one loop, and that nothing is lost between several.
#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/select.h"
#include "evcorothread/shared_channel.h"
#include "test/evcorothread/select_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"

using namespace test_support;
using cutils::Result;
using evcorothread::Channel;
using evcorothread::select;  // beats ::select(2)

namespace {

constexpr Deadline kNever = Deadline::never;
using Ints = SharedChannel<int>;
std::error_code code(NetError error) { return error; }

class SharedSelectFixture : public SelectFixture<Ints> {
  public:
    Channel<int> local;

    EvThread selects_on_both() {
        return go([this] { result = select(a.on_recv(take()), b.on_recv(take()), 1h); });
    }
};

}  // namespace

// --- in one loop, with a virtual clock: what it means
// -----------------------------------------------------

TEST_GROUP_BASE(SharedSelect, SharedSelectFixture){};

TEST(SharedSelect, TakesWhatIsReadyWithoutSuspending) {
    bool other = false;  // written after the first one has ended
    in_coroutine([&] {
        go([&] { other = true; });
        result = select(a.on_recv(take()), full.on_recv(take()), 5s);
        CHECK(!other);
    });
    CHECK(result);
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(1, got);
    CHECK_EQUAL(0, full.size());
}

TEST(SharedSelect, SendsIntoABufferWithoutSuspending) {
    in_coroutine([&] { result = select(a.on_send(1), room.on_send(4, note("sent")), 5s); });
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL("sent", called);
    CHECK_EQUAL(4, room.try_recv().value());
}

TEST(SharedSelect, WaitsForWhicheverComesFirst) {
    EvThread thread = selects_on_both();
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    CHECK(!b.try_send(7));
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(7, got);
}

TEST(SharedSelect, ExactlyOneArmHappens) {
    selects_on_both();
    run_ready();
    CHECK(!b.try_send(7));
    CHECK_EQUAL(code(NetError::would_block), a.try_send(6));  // before the selecting coroutine has run
    CHECK_EQUAL(code(NetError::would_block), b.try_send(8));
    run_loop();
    CHECK_EQUAL(7, got);
}

TEST(SharedSelect, LeavesNothingBehindInTheOtherQueues) {
    selects_on_both();
    run_ready();
    CHECK(!b.try_send(7));
    run_loop();
    CHECK_EQUAL(code(NetError::would_block), a.try_send(6));
    CHECK_EQUAL(code(NetError::would_block), b.try_send(8));
}

TEST(SharedSelect, SendsToWhoeverReceives) {
    int value = 5;
    go([&] { result = select(full.on_send(9), b.on_send(std::move(value), note("sent")), 1h); });
    run_ready();
    CHECK_EQUAL(5, b.try_recv().value());
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL("sent", called);
    CHECK_EQUAL(1, full.size());
}

TEST(SharedSelect, AnItemThatWasNotSentStaysWithTheSender) {
    ::SharedChannel<std::unique_ptr<int>> one(0), other(0);
    auto first = std::make_unique<int>(1), second = std::make_unique<int>(2);
    go([&] { result = select(one.on_send(std::move(first)), other.on_send(std::move(second)), 1h); });
    run_ready();
    CHECK_EQUAL(2, *other.try_recv().value());
    run_loop();
    CHECK_EQUAL(1, *first);
    CHECK(second == nullptr);
}

TEST(SharedSelect, TwoSelectsMeet) {
    SelectResult other;
    go([&] { result = select(a.on_send(5), full.on_send(6), 1h); });
    go([&] { other = select(b.on_recv(take()), a.on_recv(take()), 1h); });
    run_loop();
    CHECK_EQUAL(0, result.arm);
    CHECK_EQUAL(1, other.arm);
    CHECK_EQUAL(5, got);
}

TEST(SharedSelect, NeverMeetsItself) {
    in_coroutine([&] { result = select(a.on_send(1), a.on_recv(take()), 1s); });
    CHECK(result.timed_out());
}

TEST_IN_ORDER(SharedSelect, IsServedInTurnWithPlainReceivers) {
    go([&] { called += std::to_string(a.recv(1h).value()); });
    go([&] { result = select(local.on_recv(take()), a.on_recv(take()), 1h); });
    go([&] { called += std::to_string(a.recv(1h).value()); });
    run_ready();
    for (int i = 1; i <= 3; ++i) CHECK(!a.try_send(int{i}));
    run_loop();
    CHECK_EQUAL(2, got);
    CHECK_EQUAL("13", called);
}

TEST(SharedSelect, AFunctionMayTakeTheItemAResultOrNothing) {
    Ints three(3);
    for (int i = 1; i <= 3; ++i) CHECK(!three.try_send(int{i}));
    in_coroutine([&] {
        CHECK(select(three.on_recv([&](int item) { got = item; }), 0s));
        CHECK_EQUAL(1, got);
        CHECK(select(three.on_recv([&](Result<int> item) { got = *item; }), 0s));
        CHECK_EQUAL(2, got);
        CHECK(select(three.on_recv([&] { got = 0; }), 0s));
        CHECK_EQUAL(0, got);
    });
    CHECK_EQUAL(0, three.size());
}

TEST(SharedSelect, ANamedArmMayBeUsedAgain) {
    auto arm = a.on_recv(take());
    go([&] {
        for (int i = 0; i < 3; ++i) {
            result = select(arm, local.on_recv(take()), 1h);
            called += std::to_string(got);
        }
    });
    for (int i = 0; i < 3; ++i) {
        run_ready();
        CHECK(!a.try_send(int{i}));
    }
    run_loop();
    CHECK_EQUAL("012", called);
}

TEST(SharedSelect, TryingNeverWaits) {
    CHECK(try_select(a.on_recv(take()), full.on_send(2)).would_block());
    CHECK_EQUAL(1, try_select(a.on_recv(take()), full.on_recv(take())).arm);
    CHECK_EQUAL(1, got);
}

TEST(SharedSelect, ADeadlineEndsItAndNoArmHappens) {
    in_coroutine([&] {
        result = select(a.on_recv(take()), full.on_send(2), 3s);
        CHECK(result.timed_out());
        CHECK(result.none());
        CHECK(select(a.on_recv(take()), -1s).timed_out());
        CHECK(select(full.on_recv(take()), -1s));  // what is ready, still
    });
    CHECK_EQUAL(code(NetError::would_block), a.try_send(1));
}

TEST(SharedSelect, CancelEndsIt) {
    EvThread thread = selects_on_both();
    run_ready();
    thread.cancel();
    run_loop();
    CHECK(result.canceled());
    CHECK(result.none());
    CHECK_EQUAL(code(NetError::would_block), a.try_send(1));
}

TEST(SharedSelect, CanceledAfterAnArmHasHappenedItHasHappened) {
    EvThread thread = selects_on_both();
    run_ready();
    CHECK(!a.try_send(9));
    thread.cancel();
    run_loop();
    CHECK(result);
    CHECK_EQUAL(9, got);
}

TEST(SharedSelect, CanceledAndThenHandedAnItemItHasIt) {
    EvThread thread = selects_on_both();
    run_ready();
    thread.cancel();
    const bool sent = !a.try_send(9);
    run_loop();
    CHECK_EQUAL(sent, result.arm == 0);
    CHECK_EQUAL(sent ? 9 : 0, got);
}

TEST(SharedSelect, AnArmOfTheOwnLoopEndsIt) {
    go([&] { result = select(a.on_recv(take()), local.on_recv(take()), full.on_send(3), 1h); });
    run_ready();
    CHECK(local.may_send());
    CHECK(!local.try_send(8));
    CHECK(!local.may_send());
    CHECK_EQUAL(code(NetError::would_block), a.try_send(9));
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(8, got);
}

TEST(SharedSelect, OnceASharedArmHasHappenedTheOwnChannelsPassItOver) {
    go([&] { result = select(a.on_recv(take()), local.on_recv(take()), 1h); });
    run_ready();
    CHECK(!a.try_send(9));
    CHECK(!local.may_send());
    CHECK_EQUAL(code(NetError::would_block), local.try_send(8));
    local.close();
    run_loop();
    CHECK_EQUAL(0, result.arm);
    CHECK(!result.error);
    CHECK_EQUAL(9, got);
}

TEST(SharedSelect, ClosingAnOwnChannelEndsIt) {
    go([&] { result = select(a.on_recv(take()), local.on_recv(take()), 1h); });
    run_ready();
    local.close();
    CHECK_EQUAL(code(NetError::would_block), a.try_send(9));
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
}

TEST(SharedSelect, ATimeArmEndsIt) {
    in_coroutine([&] { result = select(a.on_recv(take()), on_time(2s, note("time")), 1h); });
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL("time", called);
}

TEST(SharedSelect, ASocketEndsItAndIsFreeAfterwards) {
    Connection pair = unix_connection(loop);
    go([&] {
        result = select(a.on_recv(take()), on_readable(pair.socket, note("readable")), kNever);
        called += received(pair.socket, 0s);
    });
    run_ready();
    pair.peer_sends("x");
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL("readablex", called);
}

TEST_IN_ORDER(SharedSelect, ASocketThatSomebodyElseReadsIsBusyAndNoOtherArmIsLeftInAQueue) {
    Connection pair = unix_connection(loop);
    go([&] { called = received(pair.socket, kNever); });
    go([&] { result = select(a.on_recv(take()), on_readable(pair.socket, note("readable")), kNever); });
    run_ready();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(NetError::busy, result.error);
    pair.peer_sends("y");
    run_loop();
    CHECK_EQUAL("y", called);
}

TEST(SharedSelect, AClosedChannelIsReadyAndSaysSo) {
    full.close();
    in_coroutine([&] {
        result = select(full.on_send(3, note("sent")), a.on_recv(take()), 1h);
        CHECK_EQUAL(0, result.arm);
        CHECK(result.closed());
        CHECK(select(full.on_recv(take()), 1h));  // drained first
        CHECK_EQUAL(1, got);
        CHECK(select(full.on_recv([&](Result<int> item) { got = item ? -1 : 77; }), 1h).closed());
    });
    CHECK_EQUAL("", called);
    CHECK_EQUAL(77, got);
}

TEST(SharedSelect, ClosingWakesItAsAReceiverAndAsASender) {
    SelectResult sender;
    go([&] { result = select(a.on_recv(note("a")), b.on_recv(note("b")), 1h); });
    go([&] { sender = select(full.on_send(2, note("full")), local.on_recv(take()), 1h); });
    run_ready();
    b.close();
    full.close();
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK(result.closed());
    CHECK_EQUAL(0, sender.arm);
    CHECK(sender.closed());
    CHECK_EQUAL("b", called);
}

TEST(SharedSelect, IsFairOverTenThousandRounds) {
    constexpr int kRounds = 10'000;
    Ints one(1), two(1);
    std::array<int, 4> count{};
    in_coroutine([&] {
        for (int i = 0; i < kRounds; ++i) {
            for (Ints* channel : {&one, &two})
                if (channel->size() == 0) CHECK(!channel->send(i, 0s));
            const SelectResult which =
                select(one.on_recv(take()), a.on_recv(take()), two.on_recv(take()), room.on_send(1), kNever);
            ++count.at(which.arm);
            (void)room.try_recv();
        }
    });
    CHECK_EQUAL(0, count[1]);
    // 3,333 each are expected, with a standard deviation of 47: six of them.
    for (const std::size_t arm : {0U, 2U, 3U}) CHECK(count.at(arm) > 3050 && count.at(arm) < 3617);
}

TEST(SharedSelect, OrderedTakesTheFirstThatIsReady) {
    in_coroutine([&] {
        for (int i = 0; i < 50; ++i) {
            CHECK_EQUAL(1, select_ordered(a.on_recv(take()), full.on_recv(take()), room.on_send(1), 1s).arm);
            CHECK(!full.try_send(1));
        }
    });
    CHECK_EQUAL(0, room.size());
}

TEST(SharedSelect, AllocatesNothing) {
    std::size_t used = 1;
    int given = 0;
    go([&] {
        AllocationFaults faults;
        faults.fail_all();
        for (int i = 0; i < 10; ++i)
            (void)select(a.on_recv(take()), full.on_send(1), local.on_recv(take()), 1h);
        used = faults.count();
        faults.stop();
    });
    for (int i = 0; i < 10; ++i) {
        run_ready();
        if (!a.try_send(1)) ++given;
    }
    run_loop();
    CHECK_EQUAL(0, used);
    CHECK_EQUAL(10, given);
}

TEST(SharedSelect, WhatItWaitsForIsInTheReport) {
    selects_on_both();
    run_ready();
    STRCMP_CONTAINS("recv of a shared channel, holds 0 of 0", loop.dump().c_str());
    a.close();
    run_loop();
}

TEST(SharedSelect, MisuseAborts) {
    STRCMP_CONTAINS("one arm stands twice in a select", abort_message([this] {
                                                            go([this] {
                                                                auto arm = a.on_recv(take());
                                                                result = select(arm, arm, 1h);
                                                            });
                                                            run_ready();
                                                        }).c_str());
    STRCMP_CONTAINS("destroyed while somebody waits on it",
                    abort_message([this] {
                        auto channel = std::make_unique<Ints>(0);
                        go([&] { result = select(channel->on_recv(take()), 1h); });
                        run_ready();
                        channel.reset();
                    }).c_str());
}

// --- several OS threads
// -----------------------------------------------------------------------------------

TEST_GROUP_BASE(SharedSelectThreads, RealTimeFixture) {
    static constexpr int kRounds = kTsan ? 400 : 4000;

    // A loop with coroutines on an OS thread of its own.
    template <class... Bodies>
    static std::thread loop_of(Bodies... bodies) {
        return std::thread([bodies...]() mutable {
            StackPool own({.count = sizeof...(Bodies) + 1, .pages = 16});
            EvLoop mine(own, any_order());
            (mine.spawn(bodies), ...);
            mine.run();
        });
    }
};

// Two senders on OS threads, one on a loop; the receiver selects on all three, an own channel and times.
TEST(SharedSelectThreads, ReceivesEverythingFromSeveralThreads) {
    for (const std::size_t capacity : {0U, 2U}) {
        Ints one(capacity), two(capacity), three(capacity);
        std::atomic<long> sent{0};
        long received = 0;
        const auto send_all = [&sent](Ints& channel) {
            for (int i = 1; i <= kRounds; ++i)
                if (!channel.send(i, kNever)) sent += i;
            channel.close();
        };
        std::thread first([&] { send_all(one); });
        std::thread second([&] { send_all(two); });
        std::thread third = loop_of([&] { send_all(three); });
        long own = 0;
        Channel<int> local;
        in_coroutine([&] {
            EvThread neighbour = loop.spawn([&] {
                while (!local.send(1, kNever)) this_evthread::yield();
            });
            std::array<bool, 3> open{true, true, true};
            const auto take = [&](std::size_t which) {
                return [&, which](Result<int> item) {
                    if (item)
                        received += *item;
                    else
                        open.at(which) = false;
                };
            };
            while (open[0] || open[1] || open[2]) {
                auto a = one.on_recv(take(0)), b = two.on_recv(take(1)), c = three.on_recv(take(2));
                auto d = local.on_recv([&](int n) { own += n; });
                auto tick = on_time(50us, [] {});
                std::vector<SelectArm*> arms{&d, &tick};
                if (open[2]) arms.push_back(&c);
                if (open[0]) arms.push_back(&a);
                if (open[1]) arms.push_back(&b);
                (void)select_from(arms, SelectOrder::fair, kNever);
            }
            local.close();
            (void)neighbour.join(kNever);
        });
        for (std::thread* const thread : {&first, &second, &third}) thread->join();
        CHECK_EQUAL(3L * kRounds * (kRounds + 1) / 2, sent.load());
        CHECK_EQUAL(sent.load(), received);
        CHECK(own > 0);
    }
}

// What the arm said it has sent, somebody has received: with deadlines, cancels and an own channel that end
// the select at the same moment as a receiver on another OS thread comes.
TEST(SharedSelectThreads, WhatItHasSentHasBeenReceivedWhateverElseEndsIt) {
    for (const std::size_t capacity : {0U, 1U}) {
        Ints channel(capacity);
        std::atomic<long> received{0};
        std::thread receiver([&] {
            for (int i = 0;; ++i) {
                const Result<int> item = channel.recv(i % 3 == 0 ? Deadline(5us) : kNever);
                if (item)
                    received += *item;
                else if (item.error() == NetError::closed)
                    return;
            }
        });
        long sent = 0, rest = 0;
        in_coroutine([&] {
            Channel<int> local;
            for (int i = 1; i <= kRounds; ++i) {
                const auto send = [&, i](Deadline deadline) {
                    const SelectResult which =
                        select(channel.on_send(i), local.on_recv([&](int n) { rest -= n; }), deadline);
                    if (which && which.arm == 0) sent += i;
                };
                EvThread doomed = loop.spawn([&] { send(kNever); });
                EvThread hasty = loop.spawn([&] { send(3us); });
                this_evthread::yield();
                if (!local.try_send(1)) ++rest;
                doomed.cancel();
                (void)doomed.join(kNever);
                (void)hasty.join(kNever);
            }
            channel.close();
        });
        receiver.join();
        CHECK_EQUAL(sent, received.load());
        CHECK_EQUAL(0, rest);
        CHECK(sent > 0);
    }
}

// The same the other way round: whom a sender gave it to, has it.
TEST(SharedSelectThreads, WhatItWasHandedIsNotLostWhateverElseEndsIt) {
    for (const std::size_t capacity : {0U, 1U}) {
        Ints one(capacity), two(capacity);
        std::atomic<long> sent{0};
        std::thread sender([&] {
            for (int i = 1; i <= kRounds; ++i) {
                Ints& channel = i % 2 == 0 ? one : two;
                if (!channel.send(i, i % 5 == 0 ? Deadline(5us) : Deadline(5s))) sent += i;
            }
            one.close();
            two.close();
        });
        long received = 0, rest = 0;
        in_coroutine([&] {
            Channel<int> local;
            bool open = true;
            const auto take = [&](Result<int> item) {
                if (item)
                    received += *item;
                else
                    open = false;
            };
            const auto receive = [&](Deadline deadline) {
                (void)select(one.on_recv(take), two.on_recv(take), local.on_recv([&](int n) { rest -= n; }),
                             deadline);
            };
            while (open) {
                EvThread doomed = loop.spawn([&] { receive(5s); });
                EvThread hasty = loop.spawn([&] { receive(3us); });
                this_evthread::yield();
                if (!local.try_send(1)) ++rest;
                doomed.cancel();
                (void)doomed.join(kNever);
                (void)hasty.join(kNever);
            }
            // One of the two was closed first; the other may still hold one.
            for (Ints* channel : {&one, &two})
                while (Result<int> item = channel->recv(kNever)) received += *item;
        });
        sender.join();
        CHECK_EQUAL(sent.load(), received);
        CHECK_EQUAL(0, rest);
        CHECK(received > 0);
    }
}

// Selects on both sides, over two unbuffered channels that each names in another order: nobody else is there,
// so they make progress only by meeting each other.
TEST(SharedSelectThreads, SelectsOfTwoThreadsMeetWithoutABuffer) {
    Ints x(0), y(0);
    long sent = 0, received = 0;
    std::thread sender = loop_of([&] {
        for (int i = 1; i <= kRounds; ++i)
            if (select(x.on_send(i), y.on_send(i), kNever)) sent += i;
        x.close();
    });
    std::thread receiver = loop_of([&] {
        bool open = true;
        const auto take = [&](Result<int> item) {
            if (item)
                received += *item;
            else
                open = false;
        };
        while (open) (void)select(y.on_recv(take), x.on_recv(take), kNever);
    });
    sender.join();
    receiver.join();
    CHECK_EQUAL(static_cast<long>(kRounds) * (kRounds + 1) / 2, sent);
    CHECK_EQUAL(sent, received);
}

// Everybody both sends and receives on the same two channels.
TEST(SharedSelectThreads, SelectsThatSendAndReceiveMeetEachOther) {
    Ints x(0), y(0);
    std::atomic<long> sent{0}, received{0};
    const auto party = [&] {
        for (int i = 1; i <= kRounds / 4; ++i) {
            const SelectResult which = select(x.on_send(i), y.on_recv([&](int n) { received += n; }),
                                              x.on_recv([&](int n) { received += n; }), y.on_send(i), 200us);
            if (which && (which.arm == 0 || which.arm == 3)) sent += i;
        }
    };
    std::thread first = loop_of(party, party);
    std::thread second = loop_of(party);
    first.join();
    second.join();
    CHECK_EQUAL(sent.load(), received.load());
    CHECK(sent > 0);
}

TEST(SharedSelectThreads, CloseOnAnotherThreadWakesIt) {
    Ints one(0), two(0);
    std::atomic<bool> selecting{false};
    std::thread closer([&] {
        while (!selecting) ::sched_yield();
        two.close();
    });
    in_coroutine([&] {
        go([&] { selecting = true; });
        const SelectResult which = select(one.on_recv([] {}), two.on_recv([] {}), kNever);
        CHECK_EQUAL(1, which.arm);
        CHECK(which.closed());
    });
    closer.join();
}
