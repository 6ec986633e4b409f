// Worker processes that serve the web over one listener: what is asked is answered, whoever comes and goes.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "nutils/blocking_socket.h"
#include "test/tutorial/program.h"

using namespace std::chrono_literals;
using nutils::BlockingSocket;
using tutorial_test::Program;

namespace {

// One request, on a connection of its own. Empty, or what went wrong.
std::string ask(const nutils::SockAddr& server, const char* path, std::string* body = nullptr) {
    auto socket = BlockingSocket::connect(server, 20s);
    if (!socket) return "connect: " + socket.error().message();
    const std::string request =
        "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    if (const auto sent = socket->send_all(request, 20s); !sent) return "send: " + sent.error.message();
    std::string heard;
    char buffer[1000];
    for (;;) {
        const auto got = socket->recv(buffer, 20s);
        if (got.eof()) break;
        if (!got) return "recv: " + got.error.message() + " after " + heard;
        heard.append(buffer, got.bytes);
    }
    if (!heard.starts_with("HTTP/1.1 200 OK\r\n") || !heard.ends_with("\n")) return "answer: " + heard;
    if (body != nullptr) *body = heard.substr(heard.find("\r\n\r\n") + 4);
    return {};
}

// Clients that ask as fast as they are answered, until they are told to end.
class Load {
  public:
    explicit Load(const nutils::SockAddr& server) {
        for (int i = 0; i < 4; ++i)
            clients_.emplace_back([this, server, slow = i == 0] {
                while (!ended_) {
                    const std::string wrong = ask(server, slow ? "/slow" : "/");
                    if (!wrong.empty() && !failed_.exchange(true)) first_ = wrong;
                    ++answered_;
                }
            });
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() { (void)end(); }
    // The first thing that went wrong.
    std::string end() {
        ended_ = true;
        for (std::thread& client : clients_) client.join();
        clients_.clear();
        return first_;
    }
    void wait_for_more(int answers) const {
        const int until = answered_ + answers;
        while (answered_ < until && !failed_) std::this_thread::sleep_for(1ms);
    }

  private:
    std::atomic<bool> ended_{false}, failed_{false};
    std::atomic<int> answered_{0};
    std::string first_;  // of whoever set failed_; read after the end
    std::vector<std::thread> clients_;
};

}  // namespace

TEST_GROUP_BASE(Prefork, test_support::Fixture) {
    nutils::SockAddr where;
    void start(Program & program) {
        const std::string line = program.read_line();
        const std::size_t begin = line.find("://") + 3;
        where = nutils::SockAddr::parse(line.substr(begin, line.find('/', begin) - begin)).value();
    }
    pid_t worker() const {
        std::string body;
        return ask(where, "/", &body).empty() ? std::atoi(body.c_str() + 7) : -1;
    }
};

TEST(Prefork, EndingAWorkerUnderLoadLosesNoRequest) {
    Program program("prefork/prefork", {"127.0.0.1:0", "2"});
    start(program);
    Load load(where);
    std::set<pid_t> ended;
    for (int i = 0; i < 4; ++i) {
        load.wait_for_more(50);
        const pid_t one = worker();
        if (one > 0) ::kill(one, SIGTERM);
        ended.insert(one);
    }
    load.wait_for_more(50);
    STRCMP_EQUAL("", load.end().c_str());
    CHECK(ended.size() > 1 && ended.count(-1) == 0);
    ::kill(program.pid(), SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(Prefork, ReplacingAllWorkersUnderLoadLosesNoRequest) {
    Program program("prefork/prefork", {"127.0.0.1:0", "2"});
    start(program);
    const pid_t first = worker();
    Load load(where);
    for (int i = 0; i < 2; ++i) {
        ::kill(program.pid(), SIGHUP);
        load.wait_for_more(100);
    }
    STRCMP_EQUAL("", load.end().c_str());
    CHECK(first > 0);
    ::kill(program.pid(), SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(Prefork, AtTheEndWhatIsInFlightIsAnswered) {
    Program program("prefork/prefork", {"127.0.0.1:0", "2"});
    start(program);
    auto socket = BlockingSocket::connect(where, 20s).value();
    CHECK(socket.send_all("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", 20s));
    for (int i = 0; i < 4; ++i)
        (void)worker();  // whoever accepts these has accepted that before, or it was the other
    ::kill(program.pid(), SIGTERM);
    char buffer[1000];
    const auto got = socket.recv(buffer, 20s);
    STRCMP_CONTAINS("HTTP/1.1 200 OK", std::string(buffer, got.bytes).c_str());
    socket.close();
    LONGS_EQUAL(0, program.wait());
}
