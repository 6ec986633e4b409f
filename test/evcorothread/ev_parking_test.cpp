#include "evcorothread/ev_parking.h"

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "nutils/socket_options.h"
#include "test/evcorothread/parking_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Parking, ParkingFixture) {
    FaultInjection faults;
    LogCapture log;
};

TEST(Parking, AParkedGuestHoldsNoStack) {
    for (int i = 0; i < 5; ++i) CHECK(!adopt(echo()));
    run_ready();
    CHECK_EQUAL(5, parking->size());
    CHECK_EQUAL(5, parking->parked());
    CHECK_EQUAL(0, stacks.peak());
}

TEST(Parking, ServesWhenDataComes) {
    CHECK(!adopt(echo()));
    run_ready();
    CHECK_EQUAL(0, served);
    send(0, "ping");
    run_ready();
    CHECK_EQUAL("ping", reply(0));
    CHECK_EQUAL(1, served);
}

TEST(Parking, ParksAgainAndServesAgain) {
    CHECK(!adopt(echo()));
    for (int i = 1; i <= 5; ++i) {
        send(0, "again");
        run_ready();
        CHECK_EQUAL("again", reply(0));
        CHECK_EQUAL(i, served);
        CHECK_EQUAL(1, parking->parked());
        CHECK_EQUAL(0, stacks.in_use());
    }
}

TEST(Parking, ParkingAgainCostsNoSyscallWhenItAnswered) {
    CHECK(!adopt(echo()));
    send(0, "once");
    run_ready();
    (void)reply(0);
    send(0, "more");
    const long before = faults.calls();
    run_ready();
    CHECK_EQUAL(2, faults.calls() - before);  // recv, send
    CHECK_EQUAL("more", reply(0));
}

TEST(Parking, ServesDataThatWasThereBefore) {
    Connection connection = unix_connection(loop);
    connection.peer_sends("early");
    peers.push_back(std::move(connection.peer));
    CHECK(!parking->adopt(std::make_unique<Guest>(std::move(connection.socket), echo()), Deadline::never));
    run_ready();
    CHECK_EQUAL("early", reply(0));
}

TEST(Parking, ServesDataThatASocketInUseHadLeft) {
    Connection connection = unix_connection(loop);
    in_coroutine(
        [&] { CHECK_EQUAL("<deadline passed>", received(connection.socket, 1s)); });  // has been waited on
    connection.peer_sends("hello, world");
    in_coroutine([&] { CHECK_EQUAL("hello", received(connection.socket, 1s, 5)); });
    peers.push_back(std::move(connection.peer));
    CHECK(!parking->adopt(std::make_unique<Guest>(std::move(connection.socket), echo()), Deadline::never));
    run_ready();
    CHECK_EQUAL(", world", reply(0));
}

TEST_IN_ORDER(Parking, AGuestThatLeavesDataIsServedOnAfterOthersHadTheirTurn) {
    std::string order;
    CHECK(!adopt([&](EvSocket& socket) {
        char byte;
        CHECK(socket.recv({&byte, 1}, 1s));
        order += byte;
        return Next::park(idle);
    }));
    send(0, "abc");
    loop.post([&] { go([&] { order += '-'; }); });
    run_ready();
    CHECK_EQUAL("abc", std::string(order).erase(order.find('-'), 1));
    CHECK(order.find('-') < 3);
}

TEST(Parking, NamesItsCoroutines) {
    std::string name;
    CHECK(!adopt([&](EvSocket&) {
        name = this_evthread::name();
        return Next::close();
    }));
    send(0, "x");
    run_ready();
    CHECK_EQUAL("guest", name);
}

TEST(Parking, CountsWhoIsParkedWaitsAndIsServed) {
    for (int i = 0; i < 5; ++i)
        CHECK(!adopt([](EvSocket&) {
            (void)this_evthread::delay(1s);
            return Next::close();
        }));
    for (std::size_t i = 0; i < 4; ++i) send(i, "x");
    run_ready();
    CHECK_EQUAL(5, parking->size());
    CHECK_EQUAL(1, parking->parked());
    CHECK_EQUAL(2, parking->active());
    CHECK_EQUAL(2, parking->waiting());
    peers.pop_back();
    run_loop();
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL(5, gone);
}

TEST_IN_ORDER(Parking, WhoWaitsForAStackIsServedInOrder) {
    std::string order;
    for (const char name : {'a', 'b', 'c', 'd', 'e'})
        CHECK(!adopt([&, name](EvSocket&) {
            order += name;
            (void)this_evthread::delay(1s);
            return Next::close();
        }));
    for (std::size_t i = 0; i < 5; ++i) send(i, "x");
    run_loop();
    CHECK_EQUAL("abcde", order);
    CHECK_EQUAL(2, stacks.peak());
}

TEST_IN_ORDER(Parking, WhoWaitsAndWhoIsSpawnedTakeTurns) {
    std::string order;
    for (int i = 0; i < 2; ++i) go([] { (void)this_evthread::delay(1s); });
    run_ready();
    for (const char name : {'a', 'b'}) {
        CHECK(!adopt([&, name](EvSocket&) {
            order += name;
            return Next::close();
        }));
        send(peers.size() - 1, "x");
        run_ready();
        go([&, name] { order += static_cast<char>(name - 'a' + 'A'); });
    }
    run_loop();
    CHECK_EQUAL("aAbB", order);
}

// --- ends ---

TEST(Parking, WhoWaitsForRoomHoldsNoStackAndGoesOnWhenThereIsSome) {
    CHECK(!adopt([this](EvSocket& socket) {
        if (++served == 2) return Next::close();
        while (socket.try_send(std::string(10'000, 'x'))) {
        }
        return Next::wait_writable(10s);
    }));
    send(0, "a");
    run_ready();
    CHECK_EQUAL(0, stacks.in_use());
    CHECK_EQUAL(1, parking->in_between());
    send(0, "b");  // has to wait
    run_ready();
    CHECK_EQUAL(1, served);
    char buffer[10'000];
    while (nutils::recv_some(peers.back().get(), buffer)) {
    }
    run_ready();
    CHECK_EQUAL(2, served);
    CHECK_EQUAL(1, gone);
}

TEST(Parking, WhatArrivedWhileAGuestWaitedForRoomIsServed) {
    std::string heard;
    CHECK(!adopt([&](EvSocket& socket) {
        if (++served == 2) return Next::park(10s);  // reads nothing yet
        if (served == 3) {
            char byte;
            while (socket.try_recv({&byte, 1})) heard += byte;
            return Next::close();
        }
        char byte;
        (void)socket.try_recv({&byte, 1});
        while (socket.try_send(std::string(10'000, 'x'))) {
        }
        return Next::wait_writable(10s);
    }));
    send(0, "a");
    run_ready();
    send(0, "b");
    run_ready();
    CHECK_EQUAL(1, served);
    char buffer[10'000];
    while (nutils::recv_some(peers.back().get(), buffer)) {
    }
    run_ready();
    CHECK_EQUAL(std::string("b"), heard);
}

TEST(Parking, TheDeadlineOfWhoWaitsForRoomExpiresAndCloses) {
    CHECK(!adopt([](EvSocket& socket) {
        while (socket.try_send(std::string(10'000, 'x'))) {
        }
        return Next::wait_writable(10s);
    }));
    send(0, "a");
    run_ready();
    CHECK_EQUAL(0, gone);
    advance(11s);
    CHECK_EQUAL(1, expired);
    CHECK_EQUAL(1, gone);
}

TEST(Parking, TheDeadlineExpiresAndCloses) {
    CHECK(!adopt(echo(), 10s));
    advance(9s);
    CHECK_EQUAL(0, expired);
    advance(1s);
    CHECK_EQUAL(1, expired);
    CHECK_EQUAL("<end>", reply(0));
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL(1, gone);
}

TEST(Parking, TheDeadlineIsTheOneOfTheLastPark) {
    CHECK(!adopt(echo(), 10s));
    advance(9s);
    send(0, "x");
    advance(2s);  // past the first
    CHECK_EQUAL(0, expired);
    CHECK_EQUAL(1, served);
    advance(28s);
    CHECK_EQUAL(1, expired);
}

TEST(Parking, DoesNotExpireWhileItIsServed) {
    CHECK(!adopt(
        [](EvSocket&) {
            (void)this_evthread::delay(1min);
            return Next::close();
        },
        10s));
    send(0, "x");
    run_loop();
    CHECK_EQUAL(0, expired);
    CHECK_EQUAL(1, gone);
}

TEST(Parking, DoesNotExpireWhileItWaitsForAStack) {
    for (int i = 0; i < 2; ++i) go([] { (void)this_evthread::delay(1min); });
    run_ready();
    CHECK(!adopt(echo(), 10s));
    send(0, "x");
    advance(30s);
    CHECK_EQUAL(1, parking->waiting());
    CHECK_EQUAL(0, expired);
    advance(30s);
    CHECK_EQUAL("x", reply(0));
    peers.clear();
    run_loop();
}

TEST(Parking, MayParkForEver) {
    idle = Duration::max();
    CHECK(!adopt(echo()));
    send(0, "x");
    run_ready();
    advance(1000h);
    CHECK_EQUAL(1, parking->parked());
}

TEST(Parking, ADeadlineThatHasPassedExpiresAtOnce) {
    CHECK(!adopt(echo(), -1s));
    advance(0s);
    CHECK_EQUAL(1, expired);
}

TEST(Parking, AnEndWhileParkedIsServed) {
    bool end = false;
    CHECK(!adopt([&](EvSocket& socket) {
        char byte;
        end = socket.recv({&byte, 1}, 1s).eof();
        return Next::close();
    }));
    run_ready();
    peers.clear();
    run_ready();
    CHECK(end);
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, DataAndEndTogetherAreBothServed) {
    std::string story;
    CHECK(!adopt([&](EvSocket& socket) {
        const std::string got = received(socket, 1s);
        story += got + ";";
        return got[0] == '<' ? Next::close() : Next::park(idle);
    }));
    run_ready();
    send(0, "last");
    peers.clear();
    run_loop();
    CHECK_EQUAL("last;<end of stream>;", story);
}

TEST(Parking, AResetWhileParkedIsServed) {
    std::error_code error;
    SocketPair pair = tcp_pair();
    CHECK(!parking->adopt(std::make_unique<Guest>(EvSocket(loop, std::move(pair.near)),
                                                  [&](EvSocket& socket) {
                                                      char byte;
                                                      error = socket.recv({&byte, 1}, 1s).error;
                                                      return Next::close();
                                                  }),
                          Deadline::never));
    run_ready();
    CHECK(!nutils::set_reset_on_close(pair.far.get(), true));
    pair.far.reset();
    until([&] { return static_cast<bool>(error); });
    CHECK(error == std::errc::connection_reset);
}

TEST(Parking, AResetThatCameWithDataIsNotMissed) {
    std::string story;
    SocketPair pair = tcp_pair();
    const int watched = pair.near.get();
    CHECK(!parking->adopt(std::make_unique<Guest>(EvSocket(loop, std::move(pair.near)),
                                                  [&](EvSocket& socket) {
                                                      const std::string got = received(socket, 1s);
                                                      story += got + ";";
                                                      return got[0] == '<' ? Next::close()
                                                                           : Next::park(Deadline::never);
                                                  }),
                          Deadline::never));
    run_ready();
    CHECK_EQUAL(1, nutils::send_some(pair.far.get(), "x").bytes);
    CHECK(!nutils::set_reset_on_close(pair.far.get(), true));
    pair.far.reset();
    CHECK(wait_for(watched, POLLERR));
    until([&] { return parking->size() == 0; });
    STRCMP_CONTAINS("Connection reset by peer", story.c_str());
}

TEST(Parking, ClosesWhatIsParked) {
    for (int i = 0; i < 3; ++i) CHECK(!adopt(echo()));
    parking->close_parked();
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL("<end>", reply(0));
    CHECK(!adopt(echo()));  // goes on
    CHECK_EQUAL(1, parking->size());
}

TEST(Parking, ClosingLeavesThoseAloneForWhomSomethingCame) {
    CHECK(!adopt([this](EvSocket& socket) {
        (void)this_evthread::delay(1s);
        return echo()(socket);
    }));
    CHECK(!adopt(echo()));
    send(0, "x");
    run_ready();
    parking->close_parked();
    CHECK_EQUAL(1, parking->size());
    advance(1s);
    CHECK_EQUAL("x", reply(0));
}

TEST(Parking, DrainClosesNowAndLater) {
    CHECK(!adopt([this](EvSocket& socket) {
        (void)this_evthread::delay(1s);
        return echo()(socket);
    }));
    CHECK(!adopt(echo()));
    send(0, "x");
    run_ready();
    parking->drain();
    CHECK_EQUAL("<end>", reply(1));
    CHECK_EQUAL(1, parking->size());
    run_loop();
    CHECK_EQUAL("x", reply(0));
    CHECK_EQUAL("<end>", reply(0));
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, WhatHasArrivedUnheardIsServedBeforeItCloses) {
    CHECK(!adopt(echo()));
    CHECK(!adopt(echo()));
    run_ready();
    send(1, "late");
    parking->drain();
    CHECK_EQUAL(1, gone);
    run_ready();
    CHECK_EQUAL(2, gone);
    STRCMP_EQUAL("<end>", reply(0).c_str());
    STRCMP_EQUAL("late", reply(1).c_str());
}

TEST(Parking, DrainedItServesWhoWaitsForAStack) {
    for (int i = 0; i < 2; ++i) go([] { (void)this_evthread::delay(1s); });
    run_ready();
    CHECK(!adopt(echo()));
    send(0, "x");
    run_ready();
    parking->drain();
    run_loop();
    CHECK_EQUAL("x", reply(0));
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, DrainedItTakesNobodyIn) {
    parking->drain();
    CHECK_EQUAL(NetError::closed, adopt(echo()));
    CHECK_EQUAL("<end>", reply(0));
}

TEST(Parking, CancelsThoseBeingServed) {
    std::error_code seen;
    CHECK(!adopt([&](EvSocket& socket) {
        char byte;
        (void)socket.recv({&byte, 1}, 1s);
        seen = socket.recv({&byte, 1}, Deadline::never).error;
        return Next::park(idle);
    }));
    send(0, "x");
    run_ready();
    parking->cancel_active();
    run_ready();
    CHECK_EQUAL(NetError::canceled, seen);
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, CancelsThoseThatHaveNotBegun) {
    bool canceled = false;
    CHECK(!adopt([&](EvSocket&) {
        canceled = this_evthread::canceled();
        return Next::park(idle);
    }));
    send(0, "x");
    loop.post([&] { loop.post([&] { parking->cancel_active(); }); });
    run_loop();
    CHECK(canceled || served == 0);
    CHECK_EQUAL(0, parking->active());
}

TEST(Parking, AGuestClosesItself) {
    CHECK(!adopt([](EvSocket& socket) {
        socket.close();
        return Next::park(1s);
    }));
    send(0, "x");
    run_ready();
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, AGuestGivesItsSocketAway) {
    std::optional<EvSocket> taken;
    CHECK(!adopt([&](EvSocket& socket) {
        taken = std::move(socket);
        return Next::park(1s);
    }));
    send(0, "upgrade");
    run_ready();
    CHECK_EQUAL(0, parking->size());
    in_coroutine([&] { CHECK_EQUAL("upgrade", received(*taken, 1s)); });
}

TEST(Parking, IsWorkWhileSomebodyIsParked) {
    CHECK(!adopt(echo(), 10s));
    run_loop();  // returns when the last one has gone
    CHECK_EQUAL(1, expired);
}

TEST(Parking, AClosedSocketIsNotTakenIn) {
    CHECK_EQUAL(NetError::closed,
                parking->adopt(std::make_unique<Guest>(EvSocket(), echo()), Deadline::never));
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, GoneIsToldWhenTheLastHasGone) {
    std::size_t left = 99;
    parking->on_gone([&] { left = parking->size(); });
    CHECK(!adopt(echo()));
    peers.clear();
    run_loop();
    CHECK_EQUAL(0, left);
}

TEST(Parking, DyingWhileItServesAborts) {
    STRCMP_CONTAINS("destroyed while it serves guests", abort_message([this] {
                                                            CHECK(!adopt([](EvSocket&) {
                                                                (void)this_evthread::delay(1s);
                                                                return Next::close();
                                                            }));
                                                            send(0, "x");
                                                            run_ready();
                                                            parking.reset();
                                                        }).c_str());
}

// --- exceptions ---

TEST(Parking, AnExceptionInServeIsLoggedAndCloses) {
    CHECK(!adopt([](EvSocket&) -> Next { throw std::runtime_error("broken"); }));
    send(0, "x");
    run_loop();
    STRCMP_CONTAINS("broken", log.text().c_str());
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, AnExceptionInServeThatIsNoStdExceptionToo) {
    CHECK(!adopt([](EvSocket&) -> Next { throw 42; }));
    send(0, "x");
    run_loop();
    CHECK_EQUAL(1, log.lines());
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, AnExceptionInExpiredIsLoggedAndCloses) {
    Connection connection = unix_connection(loop);
    peers.push_back(std::move(connection.peer));
    CHECK(!parking->adopt(std::make_unique<Guest>(std::move(connection.socket), echo(),
                                                  [] { throw std::runtime_error("too late"); }),
                          10s));
    run_loop();
    STRCMP_CONTAINS("too late", log.text().c_str());
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL("<end>", reply(0));
}

TEST(Parking, DrainsInExpired) {
    Connection connection = unix_connection(loop);
    peers.push_back(std::move(connection.peer));
    CHECK(!parking->adopt(
        std::make_unique<Guest>(std::move(connection.socket), echo(), [this] { parking->drain(); }), 10s));
    CHECK(!adopt(echo()));
    run_loop();
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL(2, gone);
}

TEST(Parking, AnExceptionInGoneIsLogged) {
    parking->on_gone([] { throw std::runtime_error("gone wrong"); });
    CHECK(!adopt(echo(), 10s));
    run_loop();
    STRCMP_CONTAINS("gone wrong", log.text().c_str());
}

// --- faults ---

TEST(Parking, NoMemoryForAdoptingClosesTheConnection) {
    std::size_t left = 0;
    for_each_failing_allocation([&] {
        try {
            (void)adopt(echo());
        } catch (const std::bad_alloc&) {
        }
        parking->close_parked();
        left += parking->size();
        peers.clear();
    });
    CHECK_EQUAL(0, left);
}

TEST(Parking, AGuestInTheMiddleOfSomethingHoldsNoStackAndIsNotClosedByDraining) {
    std::string heard;
    CHECK(!adopt([&](EvSocket& socket) {
        char buffer[10];
        const auto got = socket.try_recv(buffer);
        if (!got) return Next::close();
        heard.append(buffer, got.bytes);
        return heard.size() < 2 ? Next::wait(30s) : Next::park(idle);
    }));
    send(0, "a");
    loop.run_ready();
    CHECK_EQUAL(1, parking->in_between());
    CHECK_EQUAL(0, parking->parked());
    CHECK_EQUAL(0, parking->active());
    CHECK_EQUAL(0, stacks.in_use());
    parking->drain();
    CHECK_EQUAL(1, parking->size());
    send(0, "b");
    loop.run_ready();
    CHECK_EQUAL("ab", heard);
    CHECK_EQUAL(0, parking->size());
    CHECK_EQUAL(1, gone);
}

TEST(Parking, AnExpiredGuestMayBeServedOnceMore) {
    class Patient final : public EvParking::Guest {
      public:
        Patient(EvSocket socket, std::string& told) : Guest(std::move(socket)), told_(told) {}

      private:
        Next serve() override {
            char buffer[10];
            (void)socket().try_recv(buffer);
            if (!expired_) return Next::wait(30s);
            told_ = "late";
            return Next::close();
        }
        bool expired() override { return expired_ = true; }
        std::string& told_;
        bool expired_ = false;
    };
    std::string told;
    Connection connection = unix_connection(loop);
    peers.push_back(std::move(connection.peer));
    CHECK(!parking->adopt(std::make_unique<Patient>(std::move(connection.socket), told), 30s));
    send(0, "a");
    loop.run();
    CHECK_EQUAL("late", told);
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, CancelingClosesThoseThatWaitInTheMiddle) {
    CHECK(!adopt([&](EvSocket& socket) {
        char buffer[10];
        (void)socket.try_recv(buffer);
        return Next::wait(30s);
    }));
    send(0, "a");
    loop.run_ready();
    CHECK_EQUAL(1, parking->in_between());
    parking->cancel_active();
    CHECK_EQUAL(0, parking->size());
}

TEST(Parking, ShutdownWaitsForThoseWhoAreBeingServed) {
    bool slept = false, canceled = false;
    CHECK(!adopt([&](EvSocket&) {
        {
            const CancelShield shield(Deadline::never);
            slept = !this_evthread::delay(1h);
        }
        canceled = this_evthread::canceled();
        return Next::park(30s);
    }));
    CHECK(!adopt(echo()));
    send(0, "x");
    run_ready();
    parking->shutdown();
    CHECK(slept);
    CHECK(canceled);
    LONGS_EQUAL(0, parking->size());
    LONGS_EQUAL(2, gone);
}
