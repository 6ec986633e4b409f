// The program itself: its options, its lines, its end.
#include <csignal>
#include <string>
#include <vector>

#include "nutils/blocking_socket.h"
#include "test/webby/program.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;
using namespace std::chrono_literals;

namespace {

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
    static std::string refuses(std::vector<std::string> arguments) {
        return refusal_of(std::move(arguments));
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

TEST(Program, ServesFilesAsItIsTold) {
    if (program_path().empty()) return;
    folder.write("start.htm", "<h1>start</h1>");
    folder.write("start.htm.gz", "GZIP");
    folder.write("sub/a.txt", "a");
    usual.insert(usual.end(), {"--index", "start.htm", "--index", "index.html", "--listing", "--spa-fallback",
                               "index.html", "--cache-control", "max-age=7", "--precompressed"});
    Program program(usual);
    auto socket = nutils::BlockingSocket::connect(address_in(program.line()), 10s).value();
    const std::string start = ask(socket, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    STRCMP_CONTAINS("\r\nCache-Control: max-age=7\r\n", start.c_str());
    STRCMP_CONTAINS("\r\n\r\nGZIP", start.c_str());
    STRCMP_CONTAINS("./a.txt", ask(socket, "GET /sub/ HTTP/1.1\r\nHost: a\r\n\r\n").c_str());
    STRCMP_CONTAINS("<h1>home</h1>", ask(socket, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n").c_str());
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
    STRCMP_CONTAINS("2 webby: --compress", refuses({"--compress", "--stack-pages", "4"}).c_str());
    STRCMP_CONTAINS("2 webby: ", refuses({"--listen", "127.0.0.1:0", "--cache-control", "a\nb"}).c_str());
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
    STRCMP_CONTAINS("2 webby: --listen: address \"nonsense\"", refuses({"--listen", "nonsense"}).c_str());
    STRCMP_CONTAINS("2 webby: --max-active", refuses({"--max-active", "0"}).c_str());
    STRCMP_CONTAINS("2 webby: --io-timeout", refuses({"--io-timeout", "nan"}).c_str());
    STRCMP_CONTAINS("2 webby: --paradigm", refuses({"--paradigm", "magic"}).c_str());
    STRCMP_CONTAINS("2 webby: --forwarded needs --trust", refuses({"--forwarded"}).c_str());
    STRCMP_CONTAINS("2 webby: --metrics and --health are the same path: /x",
                    refuses({"--health", "/x", "--status", "/y", "--metrics", "/x"}).c_str());
    STRCMP_CONTAINS("2 webby: --status: \"/:a\" is a pattern", refuses({"--status", "/:a"}).c_str());
    STRCMP_CONTAINS("2 webby: --health: \"x\" is no path", refuses({"--health", "x"}).c_str());
    for (const char* path : {"//", "/a//b", "/../a", "/a/.", "/a/.."})
        STRCMP_CONTAINS("is nothing that a client can ask for", refuses({"--health", path}).c_str());
    STRCMP_CONTAINS("2 webby: --listing: \"2\" is neither true", refuses({"--listing=2"}).c_str());
    STRCMP_CONTAINS("2 webby: --cache-control: ", refuses({"--cache-control", "a\nb"}).c_str());
    STRCMP_CONTAINS("2 webby: --vhost: ", refuses({"--vhost", "."}).c_str());
    STRCMP_CONTAINS("2 webby: ", refuses({"surplus"}).c_str());
    auto taken = nutils::BlockingListener::listen(nutils::SockAddr::loopback(0)).value();
    STRCMP_CONTAINS("2 webby: ", refuses({"--listen", taken.address().value().to_string()}).c_str());
}

// An empty variable in a script must not take away what follows it.
TEST(Program, AValueThatIsMissingIsNotTheNextOption) {
    if (program_path().empty()) return;
    STRCMP_EQUAL("2 webby: --root: it names no folder\n", refuses({"--root=", "--listing"}).c_str());
    STRCMP_EQUAL("2 webby: --auth-file: it names no file\n", refuses({"--auth-file=", "--listing"}).c_str());
    STRCMP_EQUAL("2 webby: --access-log: a value is missing\n",
                 refuses({"--access-log", "--auth-file=users"}).c_str());
    STRCMP_EQUAL("2 webby: --root: a value is missing\n", refuses({"--root"}).c_str());
    STRCMP_EQUAL("2 webby: --listing: a value is missing\n", refuses({"--listing="}).c_str());
    Program program({"--access-log=", "--auth-file=users", "--print-config"});
    const std::string all = program.rest();
    STRCMP_CONTAINS("\naccess-log = \"\"\n", all.c_str());
    STRCMP_CONTAINS("\nauth-file = \"users\"\n", all.c_str());
    LONGS_EQUAL(0, program.wait());
}

TEST(Program, WhatIsNoListIsSaidOnce) {
    if (program_path().empty()) return;
    STRCMP_EQUAL("2 webby: --root: is said twice\n", refuses({"--root=a", "--root", "b"}).c_str());
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
