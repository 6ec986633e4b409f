#include "nutils/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "nutils/sock_addr.h"
#include "test/support/log_capture.h"

#include "test/support/harness.h"

using namespace nutils;
using namespace std::chrono_literals;

namespace {

constexpr const char* kVariables[] = {"LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES",
                                      "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};

// What a manager hears, at an abstract name of its own.
class Manager {
  public:
    Manager() : name_("@webby-test-" + std::to_string(::getpid())) {
        const SockAddr address = SockAddr::unix_path(name_).value();
        socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (::bind(socket_.get(), address.data(), address.size()) != 0) FAIL("bind");
    }
    const std::string& name() const { return name_; }
    std::string hears() const {
        char buffer[500];
        const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
        return got < 0 ? "<nothing>" : std::string(buffer, static_cast<std::size_t>(got));
    }

  private:
    std::string name_;
    UniqueFd socket_;
};

void set(const char* name, const std::string& value) { ::setenv(name, value.c_str(), 1); }

// Neither before nor after a test has anybody said anything to us.
class Environment {
  public:
    Environment() { forget(); }
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment() { forget(); }

  private:
    static void forget() {
        for (const char* name : kVariables) ::unsetenv(name);
    }
};

}  // namespace

TEST_GROUP_BASE(ServiceManager, test_support::Fixture) { Environment environment; };

TEST(ServiceManager, WithoutOneNobodyHearsAnything) {
    const ServiceNotifier manager = ServiceNotifier::from_environment();
    CHECK_FALSE(manager.is_heard());
    CHECK(manager.ready().ok());
    CHECK_FALSE(manager.watchdog().has_value());
    CHECK(take_passed_sockets().empty());
}

TEST(ServiceManager, HearsHowTheServiceIs) {
    const Manager manager;
    set("NOTIFY_SOCKET", manager.name());
    const ServiceNotifier notifier = ServiceNotifier::from_environment();
    notifier.ready("serving\nREADY=0").value();
    STRCMP_EQUAL("READY=1\nSTATUS=serving READY=0", manager.hears().c_str());
    notifier.reloading().value();
    STRCMP_CONTAINS("RELOADING=1\nMONOTONIC_USEC=", manager.hears().c_str());
    notifier.status("busy").value();
    STRCMP_EQUAL("STATUS=busy", manager.hears().c_str());
    notifier.alive().value();
    STRCMP_EQUAL("WATCHDOG=1", manager.hears().c_str());
    notifier.stopping().value();
    STRCMP_EQUAL("STOPPING=1", manager.hears().c_str());
}

TEST(ServiceManager, IsNotWaitedFor) {
    const Manager manager;
    const ServiceNotifier notifier(manager.name());
    cutils::Result<void> told;
    for (int i = 0; i < 10'000 && told.ok(); ++i) told = notifier.alive();
    CHECK(told.error() == std::errc::resource_unavailable_try_again);
}

TEST(ServiceManager, ThatIsNotThereIsAnError) {
    const cutils::Result<void> told = ServiceNotifier("/nonexistent/notify").ready();
    CHECK_FALSE(told.ok());
    STRCMP_CONTAINS("/nonexistent/notify", told.error().message().c_str());
    CHECK_FALSE(ServiceNotifier(std::string(200, 'x')).ready().ok());
}

TEST(ServiceManager, TheWatchdogIsForTheProcessItNames) {
    set("WATCHDOG_USEC", "3000000");
    CHECK(ServiceNotifier::from_environment().watchdog() == 3s);
    set("WATCHDOG_PID", std::to_string(::getpid()));
    CHECK(ServiceNotifier::from_environment().watchdog() == 3s);
    set("WATCHDOG_PID", "1");
    CHECK_FALSE(ServiceNotifier::from_environment().watchdog().has_value());
}

TEST(ServiceManager, AWatchdogThatIsNoNumberIsNone) {
    for (const char* value : {"", "x", "3s", "-1", "0", "99999999999999999999", "9223372036854775807"}) {
        set("WATCHDOG_USEC", value);
        CHECK_FALSE(ServiceNotifier::from_environment().watchdog().has_value());
    }
}

// Passed descriptors begin at 3, which this process has in use: it is put aside meanwhile.
TEST(ServiceManager, PassesSocketsWithTheirNamesOnce) {
    const UniqueFd three(::fcntl(3, F_DUPFD_CLOEXEC, 100)), four(::fcntl(4, F_DUPFD_CLOEXEC, 100));
    UniqueFd high;  // neither 3 nor 4 itself
    {
        const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        high.reset(::fcntl(socket.get(), F_DUPFD_CLOEXEC, 100));
    }
    const bool placed = ::dup2(high.get(), 3) == 3 && ::dup2(high.get(), 4) == 4;
    set("LISTEN_PID", std::to_string(::getpid()));
    set("LISTEN_FDS", "2");
    set("LISTEN_FDNAMES", "web:tls");
    std::string names;
    bool closes_on_exec = true;
    std::size_t count = 0;
    for (PassedSocket& one : take_passed_sockets()) {
        names += one.name + " ";
        closes_on_exec = closes_on_exec && ::fcntl(one.fd.get(), F_GETFD) == FD_CLOEXEC;
        (void)one.fd.release();
        ++count;
    }
    const std::size_t again = take_passed_sockets().size();
    if (three)
        ::dup3(three.get(), 3, O_CLOEXEC);
    else
        ::close(3);
    if (four)
        ::dup3(four.get(), 4, O_CLOEXEC);
    else
        ::close(4);
    CHECK(placed);
    LONGS_EQUAL(2, count);
    STRCMP_EQUAL("web tls ", names.c_str());
    CHECK(closes_on_exec);
    LONGS_EQUAL(0, again);
    POINTERS_EQUAL(nullptr, std::getenv("LISTEN_FDS"));
}

TEST(ServiceManager, SocketsForAnotherProcessAreNotTaken) {
    set("LISTEN_PID", "1");
    set("LISTEN_FDS", "1");
    CHECK(take_passed_sockets().empty());
}

TEST(ServiceManager, ANumberOfSocketsThatIsNoneIsLoggedAndNothingIsTaken) {
    for (const char* number : {"many", "", "-1", "1000000", "1x"}) {
        set("LISTEN_PID", std::to_string(::getpid()));
        set("LISTEN_FDS", number);
        const test_support::LogCapture log;
        CHECK(take_passed_sockets().empty());
        STRCMP_CONTAINS(("LISTEN_FDS=\"" + std::string(number) + "\"").c_str(), log.text().c_str());
        POINTERS_EQUAL(nullptr, std::getenv("LISTEN_FDS"));
    }
}
