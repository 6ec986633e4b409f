// The program itself, as a shell starts it. It stands beside the test program, in ../bin; where it has not
// been built there is nothing to test.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <filesystem>
#include <string>
#include <vector>

#include "nutils/blocking_socket.h"
#include "nutils/unique_fd.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;
using namespace std::chrono_literals;

extern char** environ;

namespace {

std::string program_path() {
    std::error_code error;
    const auto here = std::filesystem::read_symlink("/proc/self/exe", error);
    const auto program = here.parent_path().parent_path() / "bin" / "webby";
    return std::filesystem::exists(program, error) ? program.string() : "";
}

class Program {
  public:
    explicit Program(std::vector<std::string> arguments) {
        int out[2], err[2];
        if (::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0) return;
        out_.reset(out[0]);
        err_.reset(err[0]);
        const nutils::UniqueFd out_end(out[1]), err_end(err[1]);
        arguments.insert(arguments.begin(), program_path());
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        if (::posix_spawn(&pid_, pointers[0], &actions, nullptr, pointers.data(), environ) != 0) pid_ = -1;
        posix_spawn_file_actions_destroy(&actions);
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            (void)wait();
        }
    }

    // The first line on stdout, without its end.
    std::string line() {
        std::string text;
        char c;
        while (readable(out_.get()) && ::read(out_.get(), &c, 1) == 1 && c != '\n') text += c;
        return text;
    }
    std::string complaint() {
        std::string text;
        char buffer[1000];
        ssize_t got;
        while (readable(err_.get()) && (got = ::read(err_.get(), buffer, sizeof buffer)) > 0)
            text.append(buffer, static_cast<std::size_t>(got));
        return text;
    }
    void signal(int number) const { ::kill(pid_, number); }
    // Its exit code; 1000 + the signal that killed it.
    int wait() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    }

  private:
    static bool readable(int fd) {
        pollfd entry{fd, POLLIN, 0};
        return ::poll(&entry, 1, 30'000) == 1;
    }
    pid_t pid_ = -1;
    nutils::UniqueFd out_, err_;
};

nutils::SockAddr address_in(const std::string& line) {
    const std::size_t begin = line.find("http://") + 7;
    return nutils::SockAddr::parse(line.substr(begin, line.find("/ (") - begin)).value();
}

std::string ask(nutils::BlockingSocket& socket, std::string_view request) {
    if (!socket.send_all(request, 10s)) return "";
    char buffer[4000];
    const auto got = socket.recv(buffer, 10s);
    return {buffer, got.bytes};
}

}  // namespace

TEST_GROUP_BASE(Program, test_support::Fixture) {
    TempFolder folder;
    std::vector<std::string> usual;

    void setup() override {
        folder.write("index.html", "<h1>home</h1>");
        usual = {"--listen", "127.0.0.1:0", "--root", folder.path()};
    }
    // The exit code and the complaint, if it is one line.
    std::string refuses(std::vector<std::string> arguments) {
        Program program(std::move(arguments));
        const std::string complaint = program.complaint();
        const int code = program.wait();
        if (complaint.find('\n') != complaint.size() - 1) return "not one line: " + complaint;
        return std::to_string(code) + " " + complaint;
    }
};

TEST(Program, SaysWhatItServesAndServesIt) {
    if (program_path().empty()) return;
    Program program(usual);
    const std::string line = program.line();
    STRCMP_CONTAINS(("webby: serving " + folder.path() + " at http://127.0.0.1:").c_str(), line.c_str());
    STRCMP_CONTAINS("/ (coroutine)", line.c_str());
    auto socket = nutils::BlockingSocket::connect(address_in(line), 10s).value();
    STRCMP_CONTAINS("<h1>home</h1>", ask(socket, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").c_str());
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(Program, ServesWithSeveralWorkersAndEndsThemOnASignal) {
    if (program_path().empty()) return;
    usual.insert(usual.end(), {"--workers", "3"});
    Program program(usual);
    const nutils::SockAddr where = address_in(program.line());
    std::vector<nutils::BlockingSocket> clients;
    for (int i = 0; i < 6; ++i) {
        clients.push_back(nutils::BlockingSocket::connect(where, 10s).value());
        STRCMP_CONTAINS("<h1>home</h1>", ask(clients.back(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n").c_str());
    }
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
    char byte;
    for (nutils::BlockingSocket& client : clients) CHECK(client.recv({&byte, 1}, 10s).eof());
}

TEST(Program, FinishesWhatIsInFlight) {
    if (program_path().empty()) return;
    Program program(usual);
    const nutils::SockAddr at = address_in(program.line());
    auto idle = nutils::BlockingSocket::connect(at, 10s).value();
    (void)ask(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    auto busy = nutils::BlockingSocket::connect(at, 10s).value();
    (void)ask(busy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(busy.send_all("GET / HTTP/1.1\r\n", 10s));
    (void)ask(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");  // the server has seen both
    program.signal(SIGINT);
    char byte;
    CHECK(idle.recv({&byte, 1}, 10s).eof());
    const std::string last = ask(busy, "Host: a\r\n\r\n");
    STRCMP_CONTAINS("Connection: close\r\n", last.c_str());
    STRCMP_CONTAINS("<h1>home</h1>", last.c_str());
    busy.close();
    LONGS_EQUAL(0, program.wait());
}

TEST(Program, ASecondSignalEndsItAtOnce) {
    if (program_path().empty()) return;
    Program program(usual);
    const nutils::SockAddr at = address_in(program.line());
    auto busy = nutils::BlockingSocket::connect(at, 10s).value();
    CHECK(busy.send_all("GET / HTTP/1.1\r\n", 10s));
    auto other = nutils::BlockingSocket::connect(at, 10s).value();
    (void)ask(other, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    program.signal(SIGTERM);
    char byte;
    CHECK(other.recv({&byte, 1}, 10s).eof());
    program.signal(SIGTERM);
    LONGS_EQUAL(128 + SIGTERM, program.wait());
}

TEST(Program, BadArgumentsAreOneLineAndExitCode2) {
    if (program_path().empty()) return;
    STRCMP_CONTAINS("2 webby: ", refuses({"--bogus"}).c_str());
    STRCMP_CONTAINS("2 webby: /nonexistent", refuses({"--root", "/nonexistent"}).c_str());
    STRCMP_CONTAINS("2 webby: address \"nonsense\"", refuses({"--listen", "nonsense"}).c_str());
    STRCMP_CONTAINS("2 webby: --max-active", refuses({"--max-active", "0"}).c_str());
    STRCMP_CONTAINS("2 webby: --io-timeout", refuses({"--io-timeout", "nan"}).c_str());
    STRCMP_CONTAINS("2 webby: --paradigm", refuses({"--paradigm", "magic"}).c_str());
    STRCMP_CONTAINS("2 webby: ", refuses({"surplus"}).c_str());
    auto taken = nutils::BlockingListener::listen(nutils::SockAddr::loopback(0)).value();
    STRCMP_CONTAINS("2 webby: ", refuses({"--listen", taken.address().value().to_string()}).c_str());
}

TEST(Program, TellsItsVersionAndHelps) {
    if (program_path().empty()) return;
    Program version({"--version"});
    STRCMP_CONTAINS("webby 0.", version.line().c_str());
    LONGS_EQUAL(0, version.wait());
    Program help({"--help"});
    CHECK(!help.line().empty());
    LONGS_EQUAL(0, help.wait());
}
