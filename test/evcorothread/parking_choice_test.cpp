// EvParking: whom it closes to make room, and what guests do instead of waiting for a stack.
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/parking_fixture.h"

using namespace test_support;

TEST_GROUP_BASE(ParkingOrder,
                ParkingFixture){bool has_ended(std::size_t peer) const {return reply(peer) == "<end>";
}
void park(int guests) {
    for (int i = 0; i < guests; ++i) CHECK(!adopt(echo()));
    run_ready();
}
void talk_to(std::size_t peer) {
    send(peer, "hello");
    run_ready();
    CHECK_EQUAL("hello", reply(peer));
}
}
;

TEST(ParkingOrder, NobodyIsThereToClose) {
    CHECK_FALSE(parking->close_oldest());
    CHECK_EQUAL(0, gone);
}

TEST(ParkingOrder, TheOneWhoCameFirstIsTheOldest) {
    parking->keep_order();
    park(3);
    CHECK(parking->close_oldest());
    CHECK_EQUAL(2, parking->size());
    CHECK_EQUAL(1, gone);
    CHECK(has_ended(0));
    CHECK(!has_ended(1));
    CHECK(!has_ended(2));
}

TEST(ParkingOrder, WhoWasServedIsYoungAgain) {
    parking->keep_order();
    park(3);
    talk_to(0);
    CHECK(parking->close_oldest());
    CHECK(has_ended(1));
    CHECK(parking->close_oldest());
    CHECK(has_ended(2));
    talk_to(0);
    CHECK(parking->close_oldest());
    CHECK(has_ended(0));
    CHECK_FALSE(parking->close_oldest());
}

TEST(ParkingOrder, WhoHasSentSomethingThatTheLoopHasNotHeardOfIsPassedOver) {
    parking->keep_order();
    park(1);
    talk_to(0);
    send(0, "once more");
    CHECK_FALSE(parking->close_oldest());
    run_ready();
    CHECK_EQUAL("once more", reply(0));
}

TEST(ParkingOrder, WhoHasSentSomethingIsPassedOver) {
    parking->keep_order();
    park(2);
    send(0, "served still");
    CHECK(parking->close_oldest());
    run_ready();
    CHECK_EQUAL("served still", reply(0));
    CHECK(has_ended(1));
}

TEST(ParkingOrder, WhoIsBeingServedIsNotClosed) {
    CHECK(!adopt([](EvSocket& socket) {
        char byte[1];
        (void)socket.recv(byte, 3s);
        (void)this_evthread::delay(1s);
        return Next::close();
    }));
    send(0, "x");
    run_ready();
    CHECK_EQUAL(1, parking->active());
    CHECK_FALSE(parking->close_oldest());
    CHECK_EQUAL(1, parking->size());
}

TEST(ParkingOrder, WhoWaitsInTheMiddleOfSomethingIsNotClosed) {
    CHECK(!adopt([](EvSocket& socket) {
        char half[16];
        (void)socket.recv(half, 3s);
        return Next::wait(1min);
    }));
    send(0, "half");
    run_ready();
    CHECK_EQUAL(1, parking->in_between());
    CHECK_FALSE(parking->close_oldest());
}

namespace {

// Says what to do without a stack, once for each answer it is given; then it waits for its turn.
class Impatient final : public EvParking::Guest {
  public:
    Impatient(EvSocket socket, std::deque<Next> answers, int& asked, int& served)
        : Guest(std::move(socket)), answers_(std::move(answers)), asked_(asked), served_(served) {}

  private:
    Next serve() override {
        ++served_;
        char buffer[64];
        (void)socket().recv(buffer, 3s);
        return Next::close();
    }
    std::optional<Next> without_stack() override {
        ++asked_;
        if (answers_.empty()) return {};
        const Next answer = answers_.front();
        answers_.pop_front();
        return answer;
    }
    std::deque<Next> answers_;
    int& asked_;
    int& served_;
};

}  // namespace

TEST_GROUP_BASE(ParkingWithoutStack, ParkingFixture) {
    int asked = 0;

    // All stacks are in use, and something arrives for a guest that answers so.
    void arrive(std::deque<Next> answers) {
        for (std::size_t i = 0; i < stacks.capacity(); ++i) go([] { (void)this_evthread::delay(10s); });
        run_ready();
        Connection connection = unix_connection(loop);
        peers.push_back(std::move(connection.peer));
        CHECK(!parking->adopt(
            std::make_unique<Impatient>(std::move(connection.socket), std::move(answers), asked, served),
            Deadline::never));
        send(0, "now");
        run_ready();
        CHECK_EQUAL(1, asked);
        CHECK_EQUAL(0, served);
    }
};

TEST(ParkingWithoutStack, WithoutAnAnswerItWaitsForItsTurn) {
    arrive({});
    CHECK_EQUAL(1, parking->waiting());
    advance(10s);
    run_ready();
    CHECK_EQUAL(1, served);
}

TEST(ParkingWithoutStack, ItMayClose) {
    arrive({Next::close()});
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL(1, gone);
}

TEST(ParkingWithoutStack, ItMayWaitInTheMiddleUntilMoreArrives) {
    arrive({Next::wait(1min)});
    CHECK_EQUAL(1, parking->in_between());
    CHECK_EQUAL(0, parking->waiting());
    advance(10s);  // the stacks are free again: what has arrived since finds one
    send(0, "more");
    run_ready();
    CHECK_EQUAL(1, served);
}

TEST(ParkingWithoutStack, ItMayParkAgain) {
    arrive({Next::park(1min)});
    CHECK_EQUAL(1, parking->parked());
}

TEST(ParkingWithoutStack, ADrainedOneIsClosedInsteadOfParked) {
    for (std::size_t i = 0; i < stacks.capacity(); ++i) go([] { (void)this_evthread::delay(10s); });
    run_ready();
    Connection connection = unix_connection(loop);
    peers.push_back(std::move(connection.peer));
    CHECK(!parking->adopt(
        std::make_unique<Impatient>(std::move(connection.socket),
                                    std::deque{Next::wait(1min), Next::park(1min)}, asked, served),
        Deadline::never));
    send(0, "half");
    run_ready();
    parking->drain();
    CHECK_EQUAL(1, parking->size());  // in the middle of something
    send(0, "the rest");
    run_ready();
    CHECK_EQUAL(2, asked);
    CHECK_EQUAL(0, parking->size());
}

namespace {

// Waits to be woken; says how it was served.
class Sleeper final : public EvParking::Guest {
  public:
    Sleeper(EvSocket socket, std::string& log) : Guest(std::move(socket)), log_(log) {}
    using Guest::wake;
    bool notices = false;
    bool wakes_itself = false;

  private:
    Next serve() override {
        char buffer[64];
        const IoResult got = socket().try_recv(buffer);
        log_ += std::string(buffer, got.bytes) + (got.eof() ? "<end>" : ".");
        if (got.eof()) return Next::close();
        if (std::exchange(wakes_itself, false)) wake();
        return Next::wait_woken(1min);
    }
    bool disturbed() noexcept override { return notices; }
    bool expired() override {
        log_ += "<late>";
        return false;
    }
    std::string& log_;
};

}  // namespace

TEST_GROUP_BASE(ParkingWoken, ParkingFixture) {
    std::string log;
    Sleeper* sleeper = nullptr;

    void setup() override {
        ParkingFixture::setup();
        Connection connection = unix_connection(loop);
        peers.push_back(std::move(connection.peer));
        auto made = std::make_unique<Sleeper>(std::move(connection.socket), log);
        sleeper = made.get();
        CHECK(!parking->adopt(std::move(made), Deadline::never));
        send(0, "a");
        run_ready();
        CHECK_EQUAL("a.", log);
        CHECK_EQUAL(0, stacks.in_use());
        CHECK_EQUAL(1, parking->in_between());
    }
};

TEST(ParkingWoken, WhatArrivesMeanwhileIsServedWhenItIsWoken) {
    send(0, "b");
    run_ready();
    CHECK_EQUAL("a.", log);
    sleeper->wake();
    run_ready();
    CHECK_EQUAL("a.b.", log);
    CHECK_EQUAL(1, parking->in_between());
}

TEST(ParkingWoken, AWakeThatComesBeforeTheWaitIsNotLost) {
    sleeper->wakes_itself = true;
    sleeper->wake();
    run_ready();
    CHECK_EQUAL("a...", log);  // once for the wake, once for its own
}

TEST(ParkingWoken, WakingTwiceIsWakingOnce) {
    sleeper->wake();
    sleeper->wake();
    run_ready();
    CHECK(log == "a.." || log == "a...");  // the second may have come while it was served
    const std::string before = log;
    run_ready();
    CHECK_EQUAL(before, log);
}

TEST(ParkingWoken, TheClientsEndIsNoticedByWhoWantsTo) {
    sleeper->notices = true;
    peers[0].reset();
    run_ready();
    CHECK_EQUAL("a.<end>", log);
    CHECK_EQUAL(0, parking->size());
}

TEST(ParkingWoken, TheDeadlineExpiresAndCloses) {
    advance(1min);
    run_ready();
    CHECK_EQUAL("a.<late>", log);
    CHECK_EQUAL(0, parking->size());
}

TEST(ParkingWoken, CancelingClosesIt) {
    parking->cancel_active();
    CHECK_EQUAL(0, parking->size());
}
