// The program under a service manager, and in front of load balancers.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "nutils/blocking_socket.h"
#include "nutils/listen_stream.h"
#include "nutils/unique_fd.h"
#include "test/webby/program.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// $NOTIFY_SOCKET, and what was said to it.
class Manager {
  public:
    Manager() : name_("@webby-program-test-" + std::to_string(::getpid())) {
        const nutils::SockAddr address = nutils::SockAddr::unix_path(name_).value();
        socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (::bind(socket_.get(), address.data(), address.size()) != 0) FAIL("bind");
        ::setenv("NOTIFY_SOCKET", name_.c_str(), 1);
    }
    Manager(const Manager&) = delete;
    Manager& operator=(const Manager&) = delete;
    ~Manager() {
        ::unsetenv("NOTIFY_SOCKET");
        ::unsetenv("WATCHDOG_USEC");
    }
    std::string hears() const {
        char buffer[500];
        pollfd entry{socket_.get(), POLLIN, 0};
        if (::poll(&entry, 1, 30'000) != 1) return "<nothing>";
        const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
        return {buffer, static_cast<std::size_t>(got > 0 ? got : 0)};
    }

  private:
    std::string name_;
    nutils::UniqueFd socket_;
};

// A listening socket, out of the way of the numbers it shall have elsewhere.
nutils::UniqueFd listener() {
    const nutils::UniqueFd made = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
    return nutils::UniqueFd(::fcntl(made.get(), F_DUPFD_CLOEXEC, 50));
}
nutils::SockAddr address_of(const nutils::UniqueFd& fd) {
    return nutils::SockAddr::local_of(fd.get()).value();
}

}  // namespace

TEST_GROUP_BASE(ProgramService, test_support::Fixture) {
    TempFolder folder;
    std::vector<std::string> usual;

    void setup() override {
        folder.write("index.html", "<h1>home</h1>");
        usual = {"--root", folder.path()};
    }
    std::vector<std::string> with(std::vector<std::string> more) const {
        more.insert(more.begin(), usual.begin(), usual.end());
        return more;
    }
    static void end(Program & program) {
        program.signal(SIGTERM);
        LONGS_EQUAL(0, program.wait());
    }
};

TEST(ProgramService, TellsTheManagerWhenItIsReadyAndWhenItEnds) {
    if (program_path().empty()) return;
    const Manager manager;
    Program program(with({"--listen", "127.0.0.1:0"}));
    STRCMP_CONTAINS("READY=1\nSTATUS=serving ", manager.hears().c_str());
    (void)program.line();
    program.signal(SIGTERM);
    STRCMP_EQUAL("STOPPING=1", manager.hears().c_str());
    LONGS_EQUAL(0, program.wait());
}

TEST(ProgramService, TellsTheManagerThatItIsAlive) {
    if (program_path().empty()) return;
    for (const char* workers : {"1", "2"}) {
        const Manager manager;
        ::setenv("WATCHDOG_USEC", "60000", 1);
        Program program(with({"--listen", "127.0.0.1:0", "--workers", workers}));
        STRCMP_CONTAINS("READY=1", manager.hears().c_str());
        STRCMP_EQUAL("WATCHDOG=1", manager.hears().c_str());
        STRCMP_EQUAL("WATCHDOG=1", manager.hears().c_str());
        end(program);
    }
}

TEST(ProgramService, AManagerThatIsInAHurryIsToldAsOftenAsItCanBe) {
    if (program_path().empty()) return;
    const Manager manager;
    ::setenv("WATCHDOG_USEC", "1", 1);
    Program program(with({"--listen", "127.0.0.1:0"}));
    STRCMP_CONTAINS("READY=1", manager.hears().c_str());
    for (int i = 0; i < 3; ++i) STRCMP_EQUAL("WATCHDOG=1", manager.hears().c_str());
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(ProgramService, ServesOnThePassedSockets) {
    if (program_path().empty()) return;
    for (const char* workers : {"1", "2"}) {
        const nutils::UniqueFd first = listener(), second = listener();
        Program program(with({"--workers", workers}), {{first.get(), second.get()}, "a:b"});
        STRCMP_CONTAINS(address_of(first).to_string().c_str(), program.line().c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(address_of(first), "/").c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(address_of(second), "/").c_str());
        end(program);
    }
}

TEST(ProgramService, FindsAPassedSocketByItsNameAndByItsNumber) {
    if (program_path().empty()) return;
    const nutils::UniqueFd first = listener(), second = listener();
    {
        Program program(with({"--listen", "fd:b"}), {{first.get(), second.get()}, "a:b"});
        STRCMP_CONTAINS(address_of(second).to_string().c_str(), program.line().c_str());
        end(program);
    }
    {
        Program program(with({"--listen", "fd:3"}), {{first.get()}, "a"});
        STRCMP_CONTAINS(address_of(first).to_string().c_str(), program.line().c_str());
        end(program);
    }
    STRCMP_CONTAINS("no socket of that name was passed", refusal_of(with({"--listen", "fd:c"})).c_str());
    STRCMP_CONTAINS("2 webby: address \"fd:1\": not a stream socket that listens",
                    refusal_of(with({"--listen", "fd:1"})).c_str());
}

TEST(ProgramService, SocketFilesHaveTheModeThatIsAskedFor) {
    if (program_path().empty()) return;
    const std::string path = folder.path() + "/web.sock";
    for (const char* workers : {"1", "2"}) {
        Program program(with({"--listen", "unix:" + path, "--socket-mode", "0604", "--workers", workers}));
        STRCMP_CONTAINS(("unix:" + path).c_str(), program.line().c_str());
        struct stat status = {};
        LONGS_EQUAL(0, ::stat(path.c_str(), &status));
        LONGS_EQUAL(0604, status.st_mode & 0777);
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(nutils::SockAddr::unix_path(path).value(), "/").c_str());
        end(program);
        CHECK_FALSE(std::filesystem::exists(path));
    }
    STRCMP_CONTAINS("2 webby: --socket-mode: ", refusal_of({"--socket-mode", "8"}).c_str());
}

TEST(ProgramService, HealthTurnsWhileItStillServes) {
    if (program_path().empty()) return;
    for (const char* workers : {"1", "2"}) {
        const Manager manager;
        Program program(with({"--listen", "127.0.0.1:0", "--health", "/healthz", "--drain-delay", "60",
                              "--workers", workers}));
        const nutils::SockAddr at = address_in(program.line());
        (void)manager.hears();
        STRCMP_CONTAINS("HTTP/1.1 200 OK", answer_of(at, "/healthz").c_str());
        program.signal(SIGTERM);
        STRCMP_EQUAL("STOPPING=1", manager.hears().c_str());
        std::string health;  // a worker hears of it a moment later
        for (int i = 0; i < 1000 && !health.starts_with("HTTP/1.1 503"); ++i)
            health = answer_of(at, "/healthz");
        STRCMP_CONTAINS("HTTP/1.1 503 ", health.c_str());
        STRCMP_CONTAINS("draining\n", health.c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/").c_str());
        program.signal(SIGTERM);
        LONGS_EQUAL(128 + SIGTERM, program.wait());
    }
}

TEST(ProgramService, EndsAfterTheDelay) {
    if (program_path().empty()) return;
    for (const char* workers : {"1", "2"}) {
        Program program(with({"--listen", "127.0.0.1:0", "--drain-delay", "0.1", "--workers", workers}));
        (void)program.line();
        end(program);
    }
}

TEST(ProgramService, OpensItsAccessLogAgainOnSighup) {
    if (program_path().empty()) return;
    const Manager manager;
    const std::string path = folder.path() + "/access.log";
    Program program(with({"--listen", "127.0.0.1:0", "--access-log", path, "--access-log-format", "json"}));
    const nutils::SockAddr at = address_in(program.line());
    (void)manager.hears();
    (void)answer_of(at, "/before");
    std::filesystem::rename(path, path + ".1");
    program.signal(SIGHUP);
    STRCMP_CONTAINS("RELOADING=1\nMONOTONIC_USEC=", manager.hears().c_str());
    STRCMP_EQUAL("READY=1", manager.hears().c_str());
    (void)answer_of(at, "/after");
    end(program);
    STRCMP_CONTAINS("\"target\":\"/after\"", text_of(path).c_str());
}

TEST(ProgramService, SighupEndsNothingAsSoonAsAnybodyCanBeConnected) {
    if (program_path().empty()) return;
    for (int i = 0; i < 8; ++i) {
        const std::string path = folder.path() + "/" + std::to_string(i) + ".sock";
        const nutils::SockAddr at = nutils::SockAddr::unix_path(path).value();
        Program program(with(
            {"--listen", "unix:" + path, "--access-log", folder.path() + "/access.log", "--workers", "2"}));
        while (!nutils::BlockingSocket::connect(at, std::chrono::seconds(1))) ::sched_yield();
        program.signal(SIGHUP);
        STRCMP_CONTAINS("serving", program.line().c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/").c_str());
        end(program);
    }
}

TEST(ProgramService, WithAManagerSighupEndsNothingThoughThereIsNothingToReadAgain) {
    if (program_path().empty()) return;
    const Manager manager;
    Program program(with({"--listen", "127.0.0.1:0"}));
    const nutils::SockAddr at = address_in(program.line());
    (void)manager.hears();
    program.signal(SIGHUP);
    STRCMP_CONTAINS("RELOADING=1", manager.hears().c_str());
    STRCMP_EQUAL("READY=1", manager.hears().c_str());
    STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/").c_str());
    end(program);
}
