#include "evcorothread/happy_eyeballs.h"

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/listeners.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"
#include "test/support/temp_dir.h"

using namespace test_support;

namespace {

std::string order(const std::vector<std::string>& addresses, std::size_t first_family_count = 1) {
    std::vector<SockAddr> parsed;
    for (const std::string& text : addresses) parsed.push_back(SockAddr::parse(text).value());
    std::string out;
    for (const SockAddr& address : interleaved(parsed, first_family_count)) out += address.to_string() + " ";
    return out;
}

}  // namespace

TEST_GROUP_BASE(AddressOrder, Fixture){};

TEST(AddressOrder, OfOneFamilyStaysAsItIs) {
    CHECK_EQUAL("1.1.1.1:1 2.2.2.2:1 3.3.3.3:1 ", order({"1.1.1.1:1", "2.2.2.2:1", "3.3.3.3:1"}));
}

TEST(AddressOrder, LetsTheFamiliesTakeTurns) {
    CHECK_EQUAL("[::1]:1 1.1.1.1:1 [::2]:1 2.2.2.2:1 [::3]:1 ",
                order({"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"}));
}

TEST(AddressOrder, BeginsWithTheFamilyOfTheFirst) {
    CHECK_EQUAL("1.1.1.1:1 [::1]:1 [::2]:1 ", order({"1.1.1.1:1", "[::1]:1", "[::2]:1"}));
}

TEST(AddressOrder, MayPreferTheFirstFamily) {
    CHECK_EQUAL("[::1]:1 [::2]:1 1.1.1.1:1 [::3]:1 ",
                order({"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"}, 2));
    CHECK_EQUAL("1.1.1.1:1 [::1]:1 ", order({"[::1]:1", "1.1.1.1:1"}, 0));
    CHECK_EQUAL("[::1]:1 [::2]:1 1.1.1.1:1 ", order({"[::1]:1", "1.1.1.1:1", "[::2]:1"}, SIZE_MAX));
}

TEST(AddressOrder, DropsDoubles) {
    CHECK_EQUAL("1.1.1.1:1 1.1.1.1:2 ", order({"1.1.1.1:1", "1.1.1.1:1", "1.1.1.1:2"}));
}

TEST(AddressOrder, OfNoneIsEmpty) { CHECK(interleaved({}).empty()); }

TEST_GROUP_BASE(ConnectAny, RealTimeFixture) {
    FaultInjection faults;
    TempDir folder;
    FdLeakCheck descriptors;

    static std::string message(const cutils::Result<EvSocket>& result) {
        return result ? "connected" : result.error().message();
    }
};

TEST(ConnectAny, TakesTheOnlyOne) {
    const Listener listener(SockAddr::loopback(0));
    in_coroutine([&] {
        const SockAddr only[] = {listener.address};
        const EvSocket socket = connect_any(loop, only, {}, 5s).value();
        CHECK_EQUAL(listener.address, socket.peer().value());
    });
}

TEST(ConnectAny, OfABlackHoleAndAServerReachesTheServerAfterAQuarterOfASecond) {
    const FullListener hole(SockAddr::loopback(0));
    const Listener server(SockAddr::loopback6(0));
    in_coroutine([&] {
        const SockAddr both[] = {hole.address, server.address};
        const TimePoint begin = loop.precise_now();
        const EvSocket socket = connect_any(loop, both, {}, 5s).value();
        const Duration took = loop.precise_now() - begin;
        CHECK_EQUAL(server.address, socket.peer().value());
        CHECK(took >= 250ms);
        CHECK(took < 2s);
    });
}

TEST(ConnectAny, AFailureDoesNotWaitForTheDelay) {
    const SockAddr refusing = nowhere();
    const Listener server(SockAddr::loopback(0));
    in_coroutine([&] {
        const SockAddr both[] = {refusing, server.address};
        HappyEyeballsOptions patient;
        patient.attempt_delay = 1h;
        CHECK(connect_any(loop, both, patient, 5s));
    });
}

TEST(ConnectAny, AnEarlierOneThatAnswersLateStillWins) {
    const SockAddr full = SockAddr::unix_path(folder.file("full")).value();
    std::optional<FullListener> first(full);
    const FullListener hole(SockAddr::loopback(0));
    EvThread client = go([&] {
        const SockAddr both[] = {full, hole.address};
        HappyEyeballsOptions quick;
        quick.attempt_delay = 10ms;
        const EvSocket socket = connect_any(loop, both, quick, 5s).value();
        CHECK_EQUAL(full, socket.peer().value());
    });
    until([&] { return faults.calls("connect") > 20; });
    while (nutils::accept_one(first->fd.get())) continue;
    until([&] { return client.finished(); });
}

TEST(ConnectAny, ClosesTheOthers) {
    const FullListener hole(SockAddr::loopback(0));
    const Listener server(SockAddr::loopback(0));
    const FdLeakCheck now;
    in_coroutine([&] {
        const SockAddr both[] = {hole.address, server.address};
        HappyEyeballsOptions quick;
        quick.attempt_delay = 10ms;
        EvSocket socket = connect_any(loop, both, quick, 5s).value();
        socket.close();
        CHECK_EQUAL("", now.leaked());
    });
}

TEST(ConnectAny, WhenAllFailTellsWhatHappenedAtEach) {
    const SockAddr refusing = nowhere();
    const SockAddr missing = SockAddr::unix_path(folder.file("no")).value();
    in_coroutine([&] {
        const SockAddr both[] = {refusing, missing};
        const auto failed = connect_any(loop, both, {}, 5s);
        CHECK(failed.error() == std::errc::connection_refused);
        CHECK_EQUAL("none of 2 addresses [connect to " + refusing.to_string() +
                        " (nobody listens there: is the server running?): Connection refused; connect to " +
                        missing.to_string() +
                        " (no such socket file: is the server running?): No such file or directory]"
                        ": Connection refused",
                    message(failed));
    });
}

TEST(ConnectAny, TheFirstAddressSaysWhatItWasThoughAnotherFailedBefore) {
    const SockAddr full = SockAddr::unix_path(folder.file("full")).value();
    const SockAddr missing = SockAddr::unix_path(folder.file("no")).value();
    std::optional<FullListener> first(full);
    EvThread client = go([&] {
        const SockAddr both[] = {full, missing};
        HappyEyeballsOptions quick;
        quick.attempt_delay = 10ms;
        const auto failed = connect_any(loop, both, quick, 1h);
        CHECK(failed.error() == std::errc::connection_refused);
        STRCMP_CONTAINS("No such file or directory; connect to", message(failed).c_str());
    });
    until([&] { return faults.calls("connect") > 50; });
    first.reset();
    until([&] { return client.finished(); });
}

TEST(ConnectAny, ADelayThatIsLongerThanAllTimeIsNever) {
    const FullListener hole(SockAddr::loopback(0));
    const Listener server(SockAddr::loopback(0));
    in_coroutine([&] {
        const SockAddr both[] = {hole.address, server.address};
        HappyEyeballsOptions patient;
        patient.attempt_delay = std::chrono::milliseconds::max();
        CHECK(connect_any(loop, both, patient, 50ms).error() == NetError::timed_out);
    });
}

TEST(ConnectAny, OfOneThatFailsTellsJustThat) {
    const SockAddr only[] = {nowhere()};
    in_coroutine([&] {
        CHECK_EQUAL("connect to " + only[0].to_string() +
                        " (nobody listens there: is the server running?): Connection refused",
                    message(connect_any(loop, only, {}, 5s)));
    });
}

TEST(ConnectAny, HasOneDeadlineForAll) {
    const FullListener one(SockAddr::loopback(0));
    const FullListener two(SockAddr::loopback(0));
    in_coroutine([&] {
        const SockAddr both[] = {one.address, two.address};
        HappyEyeballsOptions quick;
        quick.attempt_delay = 10ms;
        const TimePoint begin = loop.precise_now();
        const auto late = connect_any(loop, both, quick, 40ms);
        CHECK_EQUAL(NetError::timed_out, late.error().code());
        CHECK(loop.precise_now() - begin >= 40ms);
        STRCMP_CONTAINS(one.address.to_string().c_str(), message(late).c_str());
        STRCMP_CONTAINS(two.address.to_string().c_str(), message(late).c_str());
    });
}

TEST(ConnectAny, IsCanceled) {
    const FullListener one(SockAddr::loopback(0));
    const FdLeakCheck now;
    EvThread client = go([&] {
        const SockAddr only[] = {one.address};
        CHECK_EQUAL(NetError::canceled, connect_any(loop, only, {}, 1h).error().code());
    });
    run_ready();
    client.cancel();
    run_loop();
    CHECK_EQUAL("", now.leaked());
}

TEST(ConnectAny, InACanceledCoroutineIsCanceled) {
    const Listener listener(SockAddr::loopback(0));
    EvThread client = go([&] {
        const SockAddr only[] = {listener.address};
        CHECK_EQUAL(NetError::canceled, connect_any(loop, only, {}, 1h).error().code());
    });
    client.cancel();
    run_loop();
}

TEST(ConnectAny, OfNoAddressIsAnError) {
    in_coroutine([&] { CHECK(connect_any(loop, {}, {}, 1s).error() == std::errc::invalid_argument); });
}

TEST(ConnectAny, WithOptionsAndALocalAddressOfOneFamily) {
    const Listener four(SockAddr::loopback(0));
    const Listener six(SockAddr::loopback6(0));
    in_coroutine([&] {
        HappyEyeballsOptions options;
        options.connect.local = SockAddr::parse("127.0.0.5:0").value();
        const SockAddr first[] = {four.address};
        CHECK_EQUAL(options.connect.local.ip(), connect_any(loop, first, options, 5s).value().local()->ip());
        const SockAddr second[] = {six.address};
        CHECK(connect_any(loop, second, options, 5s));
    });
}

TEST(ConnectAny, WhateverFailsLeavesNothingBehind) {
    const SockAddr refusing = nowhere();
    const Listener server(SockAddr::loopback(0));
    const FdLeakCheck now;
    for (const int error : {EIO, EMFILE, EINTR, ENETUNREACH}) {
        const long failures = for_each_failing_call(error, [&] {
            in_coroutine([&] {
                const SockAddr both[] = {refusing, server.address};
                HappyEyeballsOptions quick;
                quick.attempt_delay = 10ms;
                (void)connect_any(loop, both, quick, 50ms);
            });
        });
        CHECK(failures > 3);
    }
    CHECK_EQUAL("", now.leaked());
}
