#include "evcorothread/broadcast.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/select.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;
using evcorothread::select;

namespace {

constexpr Deadline kNever = Deadline::never;
using Ints = std::vector<int>;

// What it has now, and how it ends; -1: open, -2: closed, -3: disconnected.
Ints drain(Subscriber<int>& subscriber) {
    Ints values;
    for (;;) {
        auto value = subscriber.try_recv();
        if (!value) {
            const auto& code = value.error().code();
            values.push_back(code == NetError::would_block ? -1 : code == NetError::closed ? -2 : -3);
            if (values.back() == -3) CHECK(code == std::errc::no_buffer_space);
            return values;
        }
        values.push_back(*value);
    }
}

}  // namespace

TEST_GROUP_BASE(Broadcast, LoopFixture) {
    Broadcast<int> source;
    using Options = SubscriberOptions;
    static constexpr SlowSubscriber kWait = SlowSubscriber::wait;
    static constexpr SlowSubscriber kDrop = SlowSubscriber::drop_oldest;
    static constexpr SlowSubscriber kDisconnect = SlowSubscriber::disconnect;
    std::vector<Published> published;

    EvThread publisher(int from, int to, Deadline deadline = kNever) {
        return go("publisher", [this, from, to, deadline] {
            for (int i = from; i <= to; ++i) published.push_back(source.publish(i, deadline));
        });
    }
};

TEST(Broadcast, EverySubscriberGetsEveryValue) {
    Subscriber<int> one(source, {.capacity = 8, .slow = kWait});
    Subscriber<int> two(source, {.capacity = 8, .slow = kDrop});
    publisher(1, 3);
    run_loop();
    CHECK(drain(one) == (Ints{1, 2, 3, -1}));
    CHECK(drain(two) == (Ints{1, 2, 3, -1}));
    CHECK_EQUAL(2, published.at(0).subscribers);
}

TEST(Broadcast, WithoutSubscribersAValueIsGone) {
    publisher(1, 1);
    run_loop();
    CHECK(published.at(0));
    CHECK_EQUAL(0, published.at(0).subscribers);
}

TEST(Broadcast, ASubscriberGetsWhatComesAfterIt) {
    publisher(1, 1);
    run_loop();
    Subscriber<int> late(source, {.capacity = 8, .slow = kWait});
    publisher(2, 2);
    run_loop();
    CHECK(drain(late) == (Ints{2, -1}));
}

TEST(Broadcast, AReceiverThatWaitsIsWoken) {
    Ints got;
    go([&] {
        Subscriber<int> mine(source, {.capacity = 1, .slow = kWait});
        while (auto value = mine.recv(kNever)) got.push_back(*value);
    });
    run_ready();
    publisher(1, 20);
    run_ready();
    source.close();
    run_loop();
    CHECK_EQUAL(20, got.size());
}

TEST(Broadcast, OneThatAsksToBeWaitedForIsWaitedFor) {
    Subscriber<int> slow(source, {.capacity = 2, .slow = kWait});
    Subscriber<int> quick(source, {.capacity = 8, .slow = kDrop});
    EvThread thread = publisher(1, 4);
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());
    CHECK_EQUAL(3, quick.size());  // the others need not wait for what is published
    CHECK_EQUAL(1, *slow.try_recv());
    run_ready();
    CHECK_EQUAL(4, quick.size());
    CHECK(drain(slow) == (Ints{2, 3, 4, -1}));
    run_loop();
    CHECK_EQUAL(2, published.at(3).subscribers);
}

TEST(Broadcast, AfterTheDeadlineTheSlowOneHasMissedTheValue) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    Subscriber<int> also(source, {.capacity = 1, .slow = kWait});
    Subscriber<int> quick(source, {.capacity = 8, .slow = kDrop});
    go([&] {
        (void)source.publish(1, 1s);
        const TimePoint begin = loop.now();
        published.push_back(source.publish(2, 1s));
        CHECK_EQUAL(1s, loop.now() - begin);  // for all of them together
        (void)slow.try_recv();
        published.push_back(source.publish(3, 0s));
    });
    run_loop();
    CHECK_EQUAL(NetError::timed_out, published.at(0).error);
    CHECK_EQUAL(1, published.at(0).subscribers);
    CHECK_EQUAL(2, published.at(1).subscribers);
    CHECK(drain(slow) == (Ints{3, -1}));
    CHECK(drain(also) == (Ints{1, -1}));
    CHECK(drain(quick) == (Ints{1, 2, 3, -1}));
}

TEST(Broadcast, DroppingTheOldestIsCounted) {
    Subscriber<int> slow(source, {.capacity = 2, .slow = kDrop});
    publisher(1, 5);
    run_loop();
    CHECK_EQUAL(3, slow.dropped());
    CHECK(drain(slow) == (Ints{4, 5, -1}));
}

TEST(Broadcast, ADisconnectedOneTakesWhatItHasAndIsTold) {
    Subscriber<int> slow(source, {.capacity = 2, .slow = kDisconnect});
    Subscriber<int> quick(source, {.capacity = 8, .slow = kDisconnect});
    publisher(1, 4);
    run_loop();
    CHECK_EQUAL(1, source.subscribers());
    CHECK_EQUAL(1, published.at(3).subscribers);
    CHECK(slow.closed());
    in_coroutine([&] {
        CHECK_EQUAL(1, *slow.recv(kNever));
        CHECK_EQUAL(2, *slow.recv(kNever));
        CHECK(slow.recv(kNever).error() == std::errc::no_buffer_space);
        CHECK(select(slow.on_recv([](int) {}), kNever).error == std::errc::no_buffer_space);
    });
    CHECK(drain(slow) == (Ints{-3}));
    CHECK(drain(quick) == (Ints{1, 2, 3, 4, -1}));
}

TEST(Broadcast, ADestroyedSubscriberIsNoMore) {
    {
        Subscriber<int> brief(source, {.capacity = 1, .slow = kWait});
        CHECK_EQUAL(1, source.subscribers());
    }
    CHECK_EQUAL(0, source.subscribers());
    publisher(1, 2);
    run_loop();
    CHECK_EQUAL(2, published.size());
}

TEST(Broadcast, ASubscriberMayGoWhileItIsWaitedFor) {
    std::optional<Subscriber<int>> slow;
    slow.emplace(source, SubscriberOptions{.capacity = 1, .slow = kWait});
    Subscriber<int> other(source, {.capacity = 1, .slow = kWait});
    EvThread thread = publisher(1, 2);
    run_ready();
    slow.reset();
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, thread.state());  // for the other one
    CHECK(drain(other) == (Ints{1, 2, -1}));
    run_loop();
    CHECK(published.at(1));
    CHECK_EQUAL(1, published.at(1).subscribers);
}

TEST(Broadcast, ASubscriberMayGoRightAfterItMadeRoom) {
    std::optional<Subscriber<int>> slow;
    slow.emplace(source, SubscriberOptions{.capacity = 1, .slow = kWait});
    publisher(1, 2);
    run_ready();
    CHECK_EQUAL(1, *slow->try_recv());
    slow.reset();  // before the publisher has run
    run_loop();
    CHECK(published.at(1));
}

TEST(Broadcast, OneThatComesWhileOthersAreWaitedForGetsTheNextValue) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    publisher(1, 3);
    run_ready();
    Subscriber<int> late(source, {.capacity = 8, .slow = kWait});
    Ints values;
    while (auto value = slow.try_recv()) {
        values.push_back(*value);
        run_ready();
    }
    CHECK(values == (Ints{1, 2, 3}));
    CHECK(drain(late) == (Ints{3, -1}));
}

TEST(Broadcast, PublishersTakeTurnsSoThatAllSeeOneOrder) {
    std::vector<Ints> seen(3);
    for (std::size_t i = 0; i < seen.size(); ++i) {
        go([&, i] {
            Subscriber<int> mine(source, {.capacity = i + 1, .slow = kWait});
            while (auto value = mine.recv(kNever)) {
                seen[i].push_back(*value);
                if (i == 1) this_evthread::yield();
            }
        });
    }
    run_ready();
    for (int p = 0; p < 3; ++p) publisher(p * 100, p * 100 + 49);
    run_ready();
    source.close();
    run_loop();
    CHECK_EQUAL(150, seen[0].size());
    CHECK(seen[0] == seen[1]);
    CHECK(seen[0] == seen[2]);
}

TEST(Broadcast, WaitingForOnesTurnTakesOfTheSameDeadline) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    publisher(1, 2, 3s);
    run_ready();
    publisher(7, 7, 2s);
    run_loop();
    CHECK_EQUAL(NetError::timed_out, published.at(1).error);
    CHECK_EQUAL(0, published.at(1).subscribers);
    CHECK(drain(slow) == (Ints{1, -1}));
}

TEST(Broadcast, CancelEndsAPublishersWait) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    EvThread thread = publisher(1, 2);
    run_ready();
    thread.cancel();
    run_loop();
    CHECK_EQUAL(NetError::canceled, published.at(1).error);
    publisher(3, 3, 0s);  // the next one has its turn
    run_loop();
    CHECK_EQUAL(NetError::timed_out, published.at(2).error);
}

TEST(Broadcast, TryingDoesNotWait) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    Subscriber<int> quick(source, {.capacity = 8, .slow = kDrop});
    CHECK(source.try_publish(1));
    const Published second = source.try_publish(2);
    CHECK_EQUAL(NetError::would_block, second.error);
    CHECK_EQUAL(1, second.subscribers);
    publisher(3, 3);
    run_ready();
    CHECK_EQUAL(0, source.try_publish(4).subscribers);  // not before its turn
    CHECK(drain(slow) == (Ints{1, 3, -1}));
    CHECK(drain(quick) == (Ints{1, 2, 3, -1}));
    run_loop();
}

TEST(Broadcast, ClosingEndsSubscribersAndPublishers) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    Subscriber<int> other(source, {.capacity = 1, .slow = kWait});
    publisher(1, 2);
    run_ready();
    publisher(3, 3);
    run_ready();
    source.close();
    source.close();
    run_loop();
    CHECK_EQUAL(3, published.size());
    CHECK_EQUAL(NetError::closed, published.at(1).error);
    CHECK_EQUAL(NetError::closed, published.at(2).error);
    CHECK_EQUAL(NetError::closed, source.try_publish(4).error);
    CHECK(drain(slow) == (Ints{1, -2}));
    CHECK(drain(other) == (Ints{1, -2}));
    Subscriber<int> late(source, {.capacity = 1, .slow = kWait});
    CHECK(drain(late) == (Ints{-2}));
}

TEST(Broadcast, ClosedJustAfterAPublishersTurnHasComeNothingIsPublishedNorLost) {
    Subscriber<int> slow(source, {.capacity = 1, .slow = kWait});
    Subscriber<int> dropping(source, {.capacity = 1, .slow = kDrop});
    go([&] {
        CHECK(source.publish(1, kNever));
        CHECK_EQUAL(NetError::timed_out, source.publish(2, 1s).error);  // from here on it is the other's turn
        source.close();
    });
    run_ready();
    publisher(7, 7);
    run_loop();
    CHECK_EQUAL(NetError::closed, published.at(0).error);
    CHECK_EQUAL(0, published.at(0).subscribers);
    CHECK(drain(slow) == (Ints{1, -2}));
    CHECK(drain(dropping) == (Ints{2, -2}));
    CHECK_EQUAL(1, dropping.dropped());
}

TEST(Broadcast, ASubscriberMayOutliveIt) {
    std::optional<Subscriber<int>> left;
    {
        Broadcast<int> brief;
        left.emplace(brief, SubscriberOptions{.capacity = 2, .slow = kWait});
        CHECK(brief.try_publish(1));
    }
    CHECK(drain(*left) == (Ints{1, -2}));
}

TEST(Broadcast, ASubscriberIsAnArmOfSelect) {
    Subscriber<int> mine(source, {.capacity = 2, .slow = kWait});
    Channel<int> other;
    SelectResult result;
    int got = 0;
    go([&] { result = select(other.on_recv([](int) {}), mine.on_recv([&](int v) { got = v; }), kNever); });
    run_ready();
    publisher(7, 7);
    run_loop();
    CHECK_EQUAL(1, result.arm);
    CHECK_EQUAL(7, got);
}

namespace {

// Copies that fail when told to.
struct Fragile {
    explicit Fragile(int* left) : copies_left(left) {}
    Fragile(const Fragile& other) : copies_left(other.copies_left) {
        if (--*copies_left < 0) throw std::runtime_error("no more copies");
    }
    Fragile(Fragile&&) noexcept = default;
    int* copies_left;
};

}  // namespace

TEST(Broadcast, ACopyThatThrowsLeavesEverythingUsable) {
    int copies = 1;
    Broadcast<Fragile> fragile;
    Subscriber<Fragile> one(fragile, {.capacity = 4, .slow = kWait});
    Subscriber<Fragile> two(fragile, {.capacity = 4, .slow = kWait});
    const Fragile value(&copies);
    in_coroutine([&] {
        bool caught = false;
        try {
            (void)fragile.publish(value, kNever);
        } catch (const std::runtime_error&) {
            caught = true;
        }
        CHECK(caught);
        copies = 2;
        CHECK_EQUAL(2, fragile.publish(value, kNever).subscribers);
    });
    CHECK_EQUAL(2, one.size());
    CHECK_EQUAL(1, two.size());
    CHECK_EQUAL(2, fragile.subscribers());
}

TEST(Broadcast, ASubscriberWithoutAQueueAborts) {
    STRCMP_CONTAINS("give it a capacity", abort_message([this] {
                                              Subscriber<int> none(source, {.capacity = 0, .slow = kWait});
                                          }).c_str());
}
