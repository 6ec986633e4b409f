// The stack pool is the throttle; descriptors may run out, too. Neither costs CPU, both heal.
#include <fcntl.h>
#include <sys/resource.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "corothread/coroutine.h"
#include "test/evcorothread/acceptor_fixture.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {

class ThreeStacksFixture : public AcceptorFixture {
  public:
    ThreeStacksFixture() : AcceptorFixture(3) {}
};

}  // namespace

TEST_GROUP_BASE(Throttle, ThreeStacksFixture) { FaultInjection faults; };

TEST(Throttle, AsManyAreServedAsThereAreStacks) {
    listen_patiently();
    const auto ten = clients(10);
    until_served(3);
    settle();
    CHECK_EQUAL(3, served);
    CHECK_EQUAL(3, acceptor->accepted());
}

TEST(Throttle, TheOthersAreServedAsStacksComeBack) {
    listen_patiently();
    auto ten = clients(10);
    for (int done = 0; done < 10; ++done) {
        until_served(done < 7 ? done + 3 : 10);
        ten[static_cast<std::size_t>(done)].reset();
    }
    until([&] { return loop.thread_count() == 0; });
    CHECK_EQUAL(10, served);
    CHECK_EQUAL(3, stacks.peak());
}

TEST(Throttle, AllAreServedWhenTheyAreQuick) {
    listen([this](EvSocket socket) {
        ++served;
        CHECK(socket.send_all("done", 5s));
    });
    const auto many = clients(50);
    for (const UniqueFd& one : many) CHECK_EQUAL("done", reply(one));
    CHECK_EQUAL(50, served);
}

TEST(Throttle, SaturatedItUsesNoCpu) {
    listen_patiently();
    const auto ten = clients(10);
    until_served(3);
    const long before = faults.calls("accept4");
    CHECK(cpu_time_of_waiting(50ms) < 25ms);
    CHECK(faults.calls("accept4") - before <= 1);
}

TEST(Throttle, NewClientsMeanwhileCostNoAccept) {
    listen_patiently();
    const auto three = clients(3);
    until_served(3);
    settle();
    const long before = faults.calls("accept4");
    const auto more = clients(20);
    settle();
    CHECK_EQUAL(before, faults.calls("accept4"));
}

TEST(Throttle, AStackUsedByAnotherCoroutineCounts) {
    std::optional<corothread::Coroutine<void>> other;
    other.emplace(stacks, [](auto& yield) { yield(); });
    listen_patiently();
    const auto three = clients(3);
    until_served(2);
    settle();
    CHECK_EQUAL(2, served);
    other.reset();
    until_served(3);
}

TEST(Throttle, TwoAcceptorsShareTheStacks) {
    listen_patiently();
    int served_by_second = 0;
    EvTcpAcceptor second = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket socket) {
                               ++served_by_second;
                               char byte;
                               while (socket.recv({&byte, 1}, Deadline::never)) continue;
                           }).value();
    auto first_three = clients(3);
    until_served(3);
    const auto of_first = clients(3);
    std::vector<UniqueFd> of_second;
    for (int i = 0; i < 3; ++i) of_second.push_back(client_of(second.local_address()));
    settle();
    CHECK_EQUAL(0, served_by_second);
    first_three.clear();
    until([&] { return served + served_by_second == 6; });
    CHECK(served_by_second > 0 && served_by_second < 3);  // both got some
}

TEST(Throttle, ASpawnThatWaitsAndConnectionsTakeTurns) {
    listen_patiently();
    auto three = clients(3);
    until_served(3);
    settle();
    int served_before = 0;
    EvThread waiting = go([&] { served_before = served; });
    const auto more = clients(3);
    three[0].reset();  // the acceptor's turn: it has waited longer
    until_served(4);
    settle();
    CHECK_EQUAL(EvThreadState::waiting_for_stack, waiting.state());
    three[1].reset();
    until([&] { return waiting.finished(); });
    CHECK_EQUAL(4, served_before);
    until_served(5);
}

TEST(Throttle, ClosedWhileSaturatedItTakesNoStack) {
    listen_patiently();
    auto ten = clients(10);
    until_served(3);
    acceptor->close();
    ten.clear();
    until([&] { return loop.thread_count() == 0; });
    CHECK_EQUAL(3, served);
    run_loop();
}

TEST(Throttle, PausedWhileSaturatedItTakesNoStack) {
    listen_patiently();
    auto five = clients(5);
    until_served(3);
    acceptor->pause();
    five[0].reset();
    settle();
    CHECK_EQUAL(3, served);
    CHECK_EQUAL(2, loop.thread_count());
    acceptor->resume();
    until_served(4);
}

TEST(Throttle, RawHandlersAreNotThrottled) {
    std::vector<UniqueFd> kept;
    acceptor.emplace(
        EvTcpAcceptor::listen_raw(loop, SockAddr::loopback(0), [&](UniqueFd fd, const SockAddr&) {
            kept.push_back(std::move(fd));
        }).value());
    const auto ten = clients(10);
    until([&] { return kept.size() == 10; });
}

// --- descriptors ---

TEST_GROUP_BASE(Descriptors, AcceptorFixture) {
    FaultInjection faults;
    LogCapture log;
};

TEST(Descriptors, OutOfThemItWaitsWithoutSpinning) {
    listen_echo();
    faults.fail("accept4", EMFILE, FaultInjection::kAlways);
    const UniqueFd one = client();
    settle();
    const long before = faults.calls("accept4");
    CHECK(cpu_time_of_waiting(120ms) < 60ms);
    const long tries = faults.calls("accept4") - before;
    CHECK(tries >= 1 && tries <= 4);
}

TEST(Descriptors, OutOfThemIsLoggedOnce) {
    listen_echo();
    faults.fail("accept4", EMFILE, 3);
    const UniqueFd one = client();
    until_served(1);
    CHECK_EQUAL(1, log.lines());
    STRCMP_CONTAINS("waiting until a descriptor is free (see `ulimit -n`)", log.text().c_str());
}

TEST(Descriptors, OutOfMemoryIsNotCalledOutOfThem) {
    listen_echo();
    faults.fail("accept4", ENOMEM);
    const UniqueFd one = client();
    until_served(1);
    STRCMP_CONTAINS("Cannot allocate memory; trying again in a moment", log.text().c_str());
}

TEST(Descriptors, ItGoesOnByItself) {
    for (const int number : {EMFILE, ENFILE, ENOBUFS, ENOMEM}) {
        served = 0;
        listen_echo();
        faults.fail("accept4", number);
        check_echoes(client());
        acceptor.reset();
    }
}

TEST(Descriptors, ItGoesOnAtOnceWhenASocketOfTheLoopCloses) {
    listen_echo();
    Connection other = unix_connection(loop);
    faults.fail("accept4", EMFILE);
    const UniqueFd one = client();
    until([&] { return log.lines() > 0; });
    const long before = faults.calls("accept4");
    other.socket.close();
    run_ready();  // not a matter of time
    CHECK(faults.calls("accept4") > before);
    check_echoes(one);
}

TEST(Descriptors, TheRealLimitIsMetAndHeals) {
    listen_patiently();
    auto few = clients(2);
    until_served(2);
    const UniqueFd late = nutils::socket_stream(AF_INET).value();
    // Descriptors below the limit: all in use.
    rlimit before = {};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const UniqueFd highest(::fcntl(late.get(), F_DUPFD_CLOEXEC, 0));
    const rlimit tight = {static_cast<rlim_t>(highest.get()) + 1, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &tight);
    (void)nutils::connect_start(late.get(), acceptor->local_address());
    until([&] { return log.lines() > 0; });
    CHECK_EQUAL(2, served);
    few[0].reset();  // its coroutine ends, and closes one of ours
    until([&] { return served == 3; });
    ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST(Descriptors, ConnectionsThatDiedInTheQueueArePassedOver) {
    listen_echo();
    faults.fail("accept4", ECONNABORTED, 2);
    const UniqueFd one = client();
    check_echoes(one);
    CHECK_EQUAL(0, log.lines());
}

TEST(Descriptors, InterruptedAcceptsGoOn) {
    listen_echo();
    faults.fail("accept4", EINTR, 3);
    check_echoes(client());
}

TEST(Descriptors, ClosedWhileItWaitsForThem) {
    listen_echo();
    faults.fail("accept4", EMFILE, FaultInjection::kAlways);
    const UniqueFd one = client();
    until([&] { return log.lines() > 0; });
    acceptor->close();
    run_loop();
}

TEST(Descriptors, PausedWhileItWaitsForThem) {
    listen_echo();
    faults.fail("accept4", EMFILE);
    const UniqueFd one = client();
    until([&] { return log.lines() > 0; });
    acceptor->pause();
    CHECK(cpu_time_of_waiting(80ms) < 40ms);
    CHECK_EQUAL(0, served);
    acceptor->resume();
    until_served(1);
}
