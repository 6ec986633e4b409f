// A server on the loops of a group: several OS threads, one application.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/loop_group.h"
#include "nutils/blocking_socket.h"
#include "test/support/death.h"
#include "test/support/sanitizers.h"
#include "test/webby/temp_folder.h"
#include "webby/request.h"
#include "webby/response.h"
#include "webby/server.h"

#include "test/support/harness.h"

using namespace webby;
using namespace webby_test;
using namespace std::chrono_literals;
using evcorothread::LoopGroup;
using nutils::BlockingSocket;

namespace {

class GroupServerFixture : public test_support::Fixture {
  public:
    GroupServerFixture() { ::alarm(120); }
    ~GroupServerFixture() override { ::alarm(0); }
    void teardown() override {
        server.reset();
        group.reset();
    }

    void make_group(std::size_t loops = 3) {
        group.emplace(evcorothread::LoopGroupOptions{.loops = loops, .stacks = {.count = 8}});
        group->start().value();
    }
    Server& make_server(ServerOptions options = {}) {
        options.listen = {"127.0.0.1:0"};
        server.emplace(std::move(options));
        server->get("/hello", [this](Request&, Response& response) {
            {
                const std::lock_guard lock(mutex);
                threads.insert(std::this_thread::get_id());
            }
            response.text("hello\n");
        });
        server->get("/slow", [this](Request&, Response& response) {
            ++slow;
            (void)evcorothread::this_evthread::delay(30ms);
            response.text("slow\n");
        });
        return *server;
    }
    const nutils::SockAddr& address() { return server->addresses().at(0); }

    static std::string get(std::string_view path) {
        return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n\r\n";
    }
    // The body of one answer.
    static std::string hear(BlockingSocket& client) {
        std::string heard;
        char buffer[4096];
        for (;;) {
            const std::size_t head = heard.find("\r\n\r\n");
            if (head != std::string::npos && heard.ends_with("\n") && heard.size() > head + 4)
                return heard.substr(head + 4);
            const auto got = client.recv(buffer, 10s);
            if (!got) return "<" + got.error.message() + ">";
            heard.append(buffer, got.bytes);
        }
    }
    BlockingSocket client() { return BlockingSocket::connect(address(), 5s).value(); }
    std::string ask(BlockingSocket& client, std::string_view path = "/hello") {
        if (!client.send_all(get(path), 5s)) return "<not sent>";
        return hear(client);
    }

    std::optional<LoopGroup> group;
    std::optional<Server> server;
    std::mutex mutex;
    std::set<std::thread::id> threads;
    std::atomic<int> slow{0};
};

}  // namespace

TEST_GROUP_BASE(ServerGroup, GroupServerFixture){};

TEST(ServerGroup, ServesOnEveryLoopOfTheGroup) {
    make_group(3);
    make_server().attach(*group).value();
    std::vector<BlockingSocket> clients;
    for (int i = 0; i < 6; ++i) {
        clients.push_back(client());
        CHECK_EQUAL("hello\n", ask(clients.back()));
    }
    CHECK_EQUAL(3, threads.size());
    CHECK_EQUAL(6, server->counts().connections);
}

TEST(ServerGroup, WithWorkersRunsALoopForEach) {
    make_server({.workers = 2}).start().value();
    std::vector<BlockingSocket> clients;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(client());
        CHECK_EQUAL("hello\n", ask(clients.back()));
    }
    CHECK_EQUAL(2, threads.size());
    server->stop();
    server->join();
    CHECK(!BlockingSocket::connect(address(), 5s).ok());
}

TEST(ServerGroup, StoppingFinishesRequestsOnAllLoopsAndClosesIdleConnections) {
    make_group(2);
    make_server({.timeouts = {.linger = 10ms}}).attach(*group).value();
    std::vector<BlockingSocket> busy, idle;
    for (int i = 0; i < 4; ++i) {
        busy.push_back(client());
        idle.push_back(client());
        CHECK_EQUAL("hello\n", ask(idle.back()));
    }
    for (BlockingSocket& each : busy) CHECK(each.send_all(get("/slow"), 5s));
    while (slow < 4) std::this_thread::yield();
    server->stop();
    CHECK(group->shutdown(30s));
    for (BlockingSocket& each : busy) CHECK_EQUAL("slow\n", hear(each));
    char byte;
    for (BlockingSocket& each : idle) CHECK(each.recv({&byte, 1}, 5s).eof());
}

TEST(ServerGroup, TheServersEndCutsWhatIsInFlight) {
    make_group(2);
    make_server().attach(*group).value();
    server->stop();
    make_server();
    server->get("/forever", [this](Request&, Response&) {
        ++slow;
        (void)evcorothread::this_evthread::delay(cutils::Deadline::never);
    });
    server->attach(*group).value();
    BlockingSocket waiting = client(), idle = client();
    CHECK_EQUAL("hello\n", ask(idle));
    CHECK(waiting.send_all(get("/forever"), 5s));
    while (slow < 1) std::this_thread::yield();
    server.reset();
    char byte;
    CHECK(!idle.recv({&byte, 1}, 5s));
    CHECK(group->shutdown(30s));  // nothing of it is left
}

TEST(ServerGroup, TheGroupMayEndFirst) {
    make_group(2);
    make_server().attach(*group).value();
    BlockingSocket idle = client();
    CHECK_EQUAL("hello\n", ask(idle));
    group.reset();
    char byte;
    CHECK(!idle.recv({&byte, 1}, 5s));
    server->stop();
}

TEST(ServerGroup, SeveralServersShareAGroup) {
    make_group(2);
    make_server().attach(*group).value();
    Server other({.listen = {"127.0.0.1:0"}});
    other.get("/hello", [](Request&, Response& response) { response.text("other\n"); });
    other.attach(*group).value();
    BlockingSocket one = client();
    BlockingSocket two = BlockingSocket::connect(other.addresses().at(0), 5s).value();
    CHECK_EQUAL("hello\n", ask(one));
    CHECK_EQUAL("other\n", ask(two));
}

TEST(ServerGroup, WhereItCannotListenNothingIsLeft) {
    make_group(2);
    make_server().attach(*group).value();
    Server other({.listen = {address().to_string()}});
    CHECK(other.attach(*group).error() == std::errc::address_in_use);
    Server third({.listen = {"127.0.0.1:0"}, .access_log = "/nonexistent/folder/log"});
    CHECK(third.attach(*group).error() == std::errc::no_such_file_or_directory);
    BlockingSocket one = client();
    CHECK_EQUAL("hello\n", ask(one));
}

TEST(ServerGroup, LimitsConnectionsOverAllLoops) {
    make_group(2);
    make_server({.max_connections = 4}).attach(*group).value();
    std::vector<BlockingSocket> clients;
    for (int i = 0; i < 5; ++i) clients.push_back(client());  // one waits to be accepted
    for (int i = 0; i < 4; ++i) CHECK_EQUAL("hello\n", ask(clients[static_cast<std::size_t>(i)]));
    CHECK_EQUAL(4, server->counts().connections);
    clients.erase(clients.begin());
    CHECK_EQUAL("hello\n", ask(clients.back()));
}

TEST(ServerGroup, WritesOneAccessLogForAll) {
    const TempFolder folder;
    make_group(2);
    make_server({.access_log = folder.path() + "/log"}).attach(*group).value();
    for (int i = 0; i < 4; ++i) {
        BlockingSocket one = client();
        CHECK_EQUAL("hello\n", ask(one));
    }
    server.reset();
    std::ifstream log(folder.path() + "/log");
    std::string line;
    int lines = 0;
    while (std::getline(log, line)) lines += line.find("\"GET /hello HTTP/1.1\" 200 6") != std::string::npos;
    CHECK_EQUAL(4, lines);
}

TEST(ServerGroup, AttachingOnAGroupsOwnLoopAborts) {
    STRCMP_CONTAINS("it would wait for itself", test_support::abort_message([] {
                                                    LoopGroup mine({.loops = 1, .stacks = {.count = 2}});
                                                    mine.start().value();
                                                    Server web({.listen = {"127.0.0.1:0"}});
                                                    mine.post(0, [&] { (void)web.attach(mine); });
                                                    (void)mine.join(5s);
                                                }).c_str());
}

TEST(ServerGroup, AThousandStartsAndStopsLeaveNothing) {
    make_group(2);
    const int rounds = test_support::kTsan ? 100 : 1000;
    for (int round = 0; round < rounds; ++round) {
        make_server();
        if (round % 10 == 9) {
            CHECK(group->shutdown(30s));
            group->start().value();
        }
        server->attach(*group).value();
        if (round % 5 == 0) {
            BlockingSocket one = client();
            CHECK_EQUAL("hello\n", ask(one));
        }
        if (round % 2 == 0) server->stop();
        server.reset();
    }
}
