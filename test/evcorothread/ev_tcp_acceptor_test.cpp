#include "evcorothread/ev_tcp_acceptor.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "test/evcorothread/acceptor_fixture.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"
#include "test/support/temp_dir.h"

using namespace test_support;

namespace {

bool exists(const std::string& path) {
    struct stat status = {};
    return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

TEST_GROUP_BASE(Acceptor, AcceptorFixture) {
    FaultInjection faults;
    TempDir folder;
};

TEST(Acceptor, ServesAClient) {
    listen_echo();
    check_echoes(client());
    until([&] { return loop.thread_count() == 0; });
}

TEST(Acceptor, ServesManyClientsAtOnce) {
    listen_echo();
    const auto all = clients(10);
    for (const UniqueFd& one : all) check_echoes(one);
    for (const UniqueFd& one : all) check_echoes(one, "again");
    CHECK_EQUAL(10, served);
}

TEST(Acceptor, ServesMoreThanItTakesInOneGo) {
    listen([this](EvSocket) { ++served; });
    const auto all = clients(200);
    until_served(200);
    CHECK_EQUAL(200, acceptor->accepted());
}

TEST(Acceptor, ServesOnSocketFilesAndAbstractNamesAndIpv6) {
    for (const SockAddr& where : {SockAddr::unix_path(folder.file("s")).value(),
                                  test_support::abstract_address("accept"), SockAddr::loopback6(0)}) {
        listen([](EvSocket socket) { CHECK(socket.send_all("hi", 5s)); }, {}, where);
        const UniqueFd one = client();
        CHECK_EQUAL("hi", reply(one));
    }
}

TEST(Acceptor, TellsWhereItListens) {
    listen_echo();
    CHECK(acceptor->local_address().port() != 0);
    CHECK(acceptor->is_open());
}

TEST(Acceptor, NamesItsCoroutines) {
    std::string name;
    listen([&](EvSocket) { name = this_evthread::name(); }, {{}, "greeter"});
    const UniqueFd one = client();
    until([&] { return !name.empty(); });
    CHECK_EQUAL("greeter", name);
}

TEST(Acceptor, SetsNoDelayOnWhatItAccepts) {
    int on = -1;
    listen([&](EvSocket socket) {
        socklen_t size = sizeof on;
        ::getsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, &size);
    });
    const UniqueFd one = client();
    until([&] { return on >= 0; });
    CHECK_EQUAL(1, on);
}

TEST(Acceptor, WhatItAcceptsIsCloseOnExecAndNonblocking) {
    int descriptor_flags = -1, status_flags = -1;
    listen([&](EvSocket socket) {
        descriptor_flags = ::fcntl(socket.fd(), F_GETFD);
        status_flags = ::fcntl(socket.fd(), F_GETFL);
    });
    const UniqueFd one = client();
    until([&] { return status_flags >= 0; });
    CHECK((descriptor_flags & FD_CLOEXEC) != 0);
    CHECK((status_flags & O_NONBLOCK) != 0);
}

TEST(Acceptor, TheConnectionClosesWhenTheHandlerReturns) {
    listen([](EvSocket) {});
    CHECK_EQUAL("<end>", reply(client()));
}

TEST(Acceptor, AnAddressInUseSaysWhich) {
    listen_echo();
    const SockAddr taken = acceptor->local_address();
    const auto second = EvTcpAcceptor::listen(loop, taken, [](EvSocket) {});
    CHECK(second.error() == std::errc::address_in_use);
    STRCMP_CONTAINS(taken.to_string().c_str(), second.error().message().c_str());
}

TEST(Acceptor, IsWorkAsLongAsItIsOpen) {
    listen_echo();
    loop.post([&] { acceptor->close(); });
    run_loop();
    CHECK(!acceptor->is_open());
}

TEST(Acceptor, CloseRefusesNewConnections) {
    listen_echo();
    const SockAddr where = acceptor->local_address();
    acceptor->close();
    acceptor->close();
    const UniqueFd late = nutils::socket_stream(AF_INET).value();
    const auto error = nutils::connect_start(late.get(), where);
    CHECK(error == std::errc::connection_refused ||
          (error == NetError::in_progress && wait_for(late.get(), POLLOUT) &&
           nutils::connect_result(late.get()) == std::errc::connection_refused));
}

TEST(Acceptor, CloseLeavesConnectionsAlone) {
    listen_echo();
    const UniqueFd one = client();
    check_echoes(one);
    acceptor->close();
    check_echoes(one);
}

TEST(Acceptor, ConnectionsOutliveIt) {
    listen_echo();
    const UniqueFd one = client();
    check_echoes(one);
    acceptor.reset();
    check_echoes(one);
}

TEST(Acceptor, ClosesInAHandler) {
    listen([this](EvSocket) {
        ++served;
        acceptor->close();
    });
    const auto both = clients(2);
    until([&] { return !acceptor->is_open(); });
    run_loop();
    CHECK(served >= 1);
}

TEST(Acceptor, DiesInAHandler) {
    listen([this](EvSocket) {
        ++served;
        acceptor.reset();
    });
    const UniqueFd one = client();
    until([&] { return !acceptor.has_value(); });
    CHECK_EQUAL("<end>", reply(one));
}

TEST(Acceptor, Moves) {
    listen_echo();
    EvTcpAcceptor moved(std::move(*acceptor));
    acceptor.emplace(std::move(moved));
    check_echoes(client());
}

TEST(Acceptor, ASocketFileIsRemovedAtTheEnd) {
    const std::string path = folder.file("s");
    listen([](EvSocket) {}, {}, SockAddr::unix_path(path).value());
    CHECK(exists(path));
    acceptor->close();
    CHECK(!exists(path));
    listen([](EvSocket) {}, {}, SockAddr::unix_path(path).value());
    acceptor.reset();
    CHECK(!exists(path));
}

TEST(Acceptor, ASocketFileLeftBehindIsReplaced) {
    const SockAddr where = SockAddr::unix_path(folder.file("s")).value();
    nutils::listen_stream(where).value().reset();
    listen([](EvSocket) {}, {}, where);
    const UniqueFd one = client();
    CHECK_EQUAL("<end>", reply(one));
}

TEST(Acceptor, TheSocketFileOfASuccessorStays) {
    const std::string path = folder.file("s");
    listen([](EvSocket) {}, {}, SockAddr::unix_path(path).value());
    ::unlink(path.c_str());
    const UniqueFd successor = nutils::listen_stream(SockAddr::unix_path(path).value()).value();
    acceptor.reset();
    CHECK_EQUAL(0, ::access(path.c_str(), F_OK));
}

TEST(Acceptor, ASocketFileHasThePermissionsAskedFor) {
    const std::string path = folder.file("s");
    AcceptOptions options;
    options.permissions = 0660;
    listen([](EvSocket) {}, std::move(options), SockAddr::unix_path(path).value());
    struct stat status = {};
    CHECK_EQUAL(0, ::lstat(path.c_str(), &status));
    CHECK_EQUAL(0660, status.st_mode & 0777);
}

TEST(Acceptor, AnExceptionOfAHandlerEndsItsConnectionOnly) {
    LogCapture log;
    bool first = true;
    listen([&](EvSocket socket) {
        if (std::exchange(first, false)) throw std::runtime_error("first");
        CHECK(socket.send_all("second", 5s));
    });
    CHECK_EQUAL("<end>", reply(client()));
    CHECK_EQUAL("second", reply(client()));
    STRCMP_CONTAINS("coroutine \"connection\" ended by an exception: first", log.text().c_str());
}

// --- admission ---

TEST(Acceptor, AdmitRefusesAndSeesThePeer) {
    std::vector<SockAddr> asked;
    AcceptOptions options;
    options.admit = [&](int fd, const SockAddr& peer) {
        CHECK(fd >= 0);
        asked.push_back(peer);
        return asked.size() > 1;
    };
    listen_echo(options);
    const UniqueFd refused = client();
    CHECK_EQUAL("<end>", reply(refused));
    const UniqueFd admitted = client();
    check_echoes(admitted);
    CHECK_EQUAL(SockAddr::local_of(admitted.get()).value(), asked.at(1));
    CHECK_EQUAL(1, acceptor->accepted());
    CHECK_EQUAL(1, served);
}

TEST(Acceptor, AnExceptionOfAdmitDropsTheConnection) {
    LogCapture log;
    AcceptOptions options;
    options.admit = [](int, const SockAddr&) -> bool { throw std::runtime_error("who?"); };
    listen_echo(options);
    CHECK_EQUAL("<end>", reply(client()));
    STRCMP_CONTAINS("is dropped: who?", log.text().c_str());
    CHECK(acceptor->is_open());
}

TEST(Acceptor, AnExceptionOfAdmitThatIsNoStdExceptionToo) {
    LogCapture log;
    AcceptOptions options;
    options.admit = [](int, const SockAddr&) -> bool { throw 42; };
    listen_echo(options);
    CHECK_EQUAL("<end>", reply(client()));
    CHECK(log.lines() > 0);
    CHECK(acceptor->is_open());
}

TEST(Acceptor, ClosesInAdmit) {
    AcceptOptions options;
    options.admit = [&](int, const SockAddr&) {
        acceptor->close();
        return false;
    };
    listen_echo(options);
    CHECK_EQUAL("<end>", reply(client()));
    CHECK(!acceptor->is_open());
}

TEST(Acceptor, DiesInAdmit) {
    const auto token = std::make_shared<int>(7);
    int after = 0;
    AcceptOptions options;
    options.admit = [&, token](int, const SockAddr&) {
        acceptor.reset();
        after = *token;  // what it captured lives until it returns
        return true;
    };
    listen_echo(options);
    options = {};
    CHECK_EQUAL("<end>", reply(client()));
    CHECK_EQUAL(7, after);
    CHECK_EQUAL(0, served);
}

// --- pausing ---

TEST(Acceptor, PausedItAcceptsNothing) {
    listen_echo();
    acceptor->pause();
    acceptor->pause();
    const auto all = clients(3);
    settle();
    CHECK_EQUAL(0, served);
    acceptor->resume();
    until_served(3);
}

TEST(Acceptor, PausedAndResumedItServesWhatComesLater) {
    listen_echo();
    acceptor->pause();
    acceptor->resume();
    acceptor->resume();
    check_echoes(client());
}

TEST(Acceptor, PausedItUsesNoCpu) {
    listen_echo();
    acceptor->pause();
    const auto all = clients(3);
    CHECK(cpu_time_of_waiting(50ms) < 25ms);
    CHECK_EQUAL(0, served);
}

TEST(Acceptor, PausedItMayBeClosed) {
    listen_echo();
    acceptor->pause();
    acceptor->close();
    acceptor->resume();
    run_loop();
}

// --- without a coroutine ---

TEST(Acceptor, RawHandlersGetDescriptorAndPeer) {
    SockAddr seen;
    std::vector<UniqueFd> kept;
    acceptor.emplace(
        EvTcpAcceptor::listen_raw(loop, SockAddr::loopback(0), [&](UniqueFd fd, const SockAddr& peer) {
            CHECK(!this_evthread::in_evthread());
            kept.push_back(std::move(fd));
            seen = peer;
        }).value());
    const UniqueFd one = client();
    until([&] { return kept.size() == 1; });
    CHECK_EQUAL(SockAddr::local_of(one.get()).value(), seen);
    CHECK_EQUAL(0, stacks.peak());
}

TEST(Acceptor, RawHandlersAreNotCalledInACoroutineThatResumes) {
    bool inside = false;
    acceptor.emplace(EvTcpAcceptor::listen_raw(loop, SockAddr::loopback(0), [&](UniqueFd, const SockAddr&) {
                         ++served;
                         inside |= this_evthread::in_evthread();
                     }).value());
    acceptor->pause();
    const UniqueFd one = client();
    settle();
    go([&] { acceptor->resume(); });
    until_served(1);
    CHECK(!inside);
}

TEST(Acceptor, ARawHandlerMayClose) {
    acceptor.emplace(EvTcpAcceptor::listen_raw(loop, SockAddr::loopback(0), [&](UniqueFd, const SockAddr&) {
                         ++served;
                         acceptor->close();
                     }).value());
    const auto both = clients(2);
    run_loop();
    CHECK_EQUAL(1, served);
}

TEST(Acceptor, ARawHandlerMayDestroyIt) {
    const auto token = std::make_shared<int>(7);
    int after = 0;
    acceptor.emplace(
        EvTcpAcceptor::listen_raw(loop, SockAddr::loopback(0), [&, token](UniqueFd, const SockAddr&) {
            ++served;
            acceptor.reset();
            after = *token;  // what it captured lives until it returns
        }).value());
    const auto both = clients(2);
    run_loop();
    CHECK_EQUAL(1, served);
    CHECK_EQUAL(7, after);
}

TEST(Acceptor, AnExceptionOfARawHandlerIsLogged) {
    LogCapture log;
    acceptor.emplace(EvTcpAcceptor::listen_raw(loop, SockAddr::loopback(0), [&](UniqueFd, const SockAddr&) {
                         ++served;
                         throw std::runtime_error("raw");
                     }).value());
    const auto both = clients(2);
    until_served(2);
    STRCMP_CONTAINS("raw", log.text().c_str());
}

// --- adopting ---

TEST(Acceptor, AdoptsAListener) {
    UniqueFd listener = nutils::listen_stream(SockAddr::loopback(0)).value();
    ::fcntl(listener.get(), F_SETFL, 0);  // a blocking one, from elsewhere
    acceptor.emplace(EvTcpAcceptor::adopt(loop, std::move(listener), [](EvSocket socket) {
                         CHECK(socket.send_all("adopted", 5s));
                     }).value());
    CHECK_EQUAL("adopted", reply(client()));
}

TEST(Acceptor, AdoptsAListenerThatHasClientsAlready) {
    UniqueFd listener = nutils::listen_stream(SockAddr::loopback(0)).value();
    const UniqueFd early = client_of(SockAddr::local_of(listener.get()).value());
    acceptor.emplace(EvTcpAcceptor::adopt_raw(loop, std::move(listener), [this](UniqueFd, const SockAddr&) {
                         ++served;
                     }).value());
    until_served(1);
}

TEST(Acceptor, LeavesTheFileOfAnAdoptedListener) {
    const std::string path = folder.file("s");
    UniqueFd listener = nutils::listen_stream(SockAddr::unix_path(path).value()).value();
    acceptor.emplace(EvTcpAcceptor::adopt(loop, std::move(listener), [](EvSocket) {}).value());
    acceptor.reset();
    CHECK(exists(path));
}

TEST(Acceptor, AdoptingWhatIsNoSocketIsAnError) {
    UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    CHECK(!EvTcpAcceptor::adopt(loop, std::move(file), [](EvSocket) {}));
    CHECK(!EvTcpAcceptor::adopt(loop, UniqueFd(), [](EvSocket) {}));
}

TEST(Acceptor, AdoptingASocketThatDoesNotListenIsAnError) {
    auto idle = nutils::socket_stream(AF_INET).value();
    const auto adopted = EvTcpAcceptor::adopt(loop, std::move(idle), [](EvSocket) {});
    CHECK(!adopted && adopted.error() == std::errc::invalid_argument);
    auto raw = nutils::socket_stream(AF_INET).value();
    CHECK(!EvTcpAcceptor::adopt_raw(loop, std::move(raw), [](UniqueFd, const SockAddr&) {}));
}

TEST(Acceptor, MovedFromIsClosed) {
    listen_echo();
    EvTcpAcceptor other = std::move(*acceptor);
    acceptor->pause();
    acceptor->resume();
    acceptor->close();
    CHECK(!acceptor->is_open());
    CHECK_EQUAL(0, acceptor->accepted());
    CHECK(acceptor->local_address().is_none());
    CHECK(other.is_open());
}

TEST(Acceptor, AListenerThatBreaksIsLoggedAndClosed) {
    LogCapture log;
    listen_echo();
    faults.fail("accept4", EINVAL);
    const UniqueFd one = client();
    until([&] { return !acceptor->is_open(); });
    STRCMP_CONTAINS("cannot accept at 127.0.0.1:", log.text().c_str());
    run_loop();
}
