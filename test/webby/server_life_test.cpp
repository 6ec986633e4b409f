// How servers begin and end, alone and several together.
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "nutils/blocking_socket.h"
#include "test/support/death.h"
#include "test/webby/server_fixture.h"
#include "test/webby/temp_folder.h"
#include "webby/filter.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(ServerLife, ServerFixture){};

TEST(ServerLife, StoppingClosesIdleConnectionsAndFinishesRequests) {
    attach();
    std::string slow, late;
    bool idle_ended = false, refused = false;
    client([&](Client& c) { slow = c.ask(get("/slow")); });
    client([&](Client& c) {
        (void)c.ask(get("/hello"));
        idle_ended = c.ends();
    });
    client([&](Client&) {
        (void)this_evthread::delay(1s);
        server->stop();
        (void)this_evthread::delay(1ms);
        refused = !EvSocket::connect(loop, address(), 1s).ok();
    });
    loop.run();
    CHECK_EQUAL(ok("slow\n", "Connection: close\r\n"), slow);
    CHECK(idle_ended);
    CHECK(refused);
    LONGS_EQUAL(0, server->counts().connections);
}

TEST(ServerLife, StoppingCutsWhatTakesTooLong) {
    options.drain = 2s;
    attach();
    std::string heard;
    cutils::Duration took{};
    client([&](Client& c) {
        const auto start = loop.now();
        c.say("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
        (void)this_evthread::delay(1s);
        server->stop();
        heard = c.hear_all();
        took = loop.now() - start;
    });
    loop.run();
    CHECK(took >= 3s && took < 3100ms);
}

TEST(ServerLife, ListensAtSeveralAddresses) {
    TempFolder folder;
    options.listen = {"127.0.0.1:0", "[::1]:0", "unix:" + folder.path() + "/s"};
    attach();
    LONGS_EQUAL(3, server->addresses().size());
    CHECK(server->addresses()[0].port() != 0);
    std::vector<std::string> heard;
    client([&](Client&) {
        for (const nutils::SockAddr& at : server->addresses())
            heard.push_back(Client(loop, at).ask(get("/hello")));
    });
    loop.run();
    for (const std::string& response : heard) CHECK_EQUAL(ok("hello\n"), response);
}

TEST(ServerLife, SeveralServersLiveInOneLoop) {
    attach();
    Server other({.listen = {"127.0.0.1:0"}});
    other.get("/hello", [](Request&, Response& r) { r.text("other\n"); });
    other.attach(loop).value();
    std::string first, second;
    client([&](Client& c) {
        first = c.ask(get("/hello"));
        second = Client(loop, other.addresses()[0]).ask(get("/hello"));
        other.stop();
    });
    loop.run();
    CHECK_EQUAL(ok("hello\n"), first);
    CHECK_EQUAL(ok("other\n"), second);
}

TEST(ServerLife, StartedAndStoppedManyTimesLeavesNothingBehind) {
    for (int i = 0; i < 50; ++i) {
        Server one({.listen = {"127.0.0.1:0"}, .max_active = 4});
        one.get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        one.start().value();
        auto socket = nutils::BlockingSocket::connect(one.addresses()[0], 10s).value();
        CHECK(socket.send_all(get("/hello"), 10s));
        char buffer[1000];
        CHECK(socket.recv(buffer, 10s));
        one.stop();
        if (i % 2 == 0) one.join();
    }
}

TEST(ServerLife, RunServesUntilItIsStopped) {
    TempFolder folder;
    options.listen = {"unix:" + folder.path() + "/s"};
    const auto at = nutils::SockAddr::parse(options.listen[0]).value();
    serve();
    bool ok_result = false;
    std::thread thread([&] { ok_result = server->run().ok(); });
    while (!nutils::BlockingSocket::connect(at, 1s)) std::this_thread::yield();
    server->stop();
    thread.join();
    CHECK(ok_result);
    CHECK_FALSE(nutils::BlockingSocket::connect(at, 1s).ok());
}

TEST(ServerLife, WhatCannotStartSaysWhy) {
    attach();
    Server taken({.listen = {address().to_string()}});
    CHECK(taken.start().error() == std::errc::address_in_use);
    Server nonsense({.listen = {"nowhere"}});
    STRCMP_CONTAINS("nowhere", nonsense.start().error().message().c_str());
    Server route({.listen = {"127.0.0.1:0"}});
    route.get("no-slash", [](Request&, Response&) {});
    STRCMP_CONTAINS("no-slash", route.run().error().message().c_str());
    Server folder({.listen = {"127.0.0.1:0"}});
    folder.files("/", "/nonexistent");
    STRCMP_CONTAINS("/nonexistent", folder.run().error().message().c_str());
    Server log({.listen = {"127.0.0.1:0"}, .access_log = "/nonexistent/log"});
    STRCMP_CONTAINS("/nonexistent/log", log.run().error().message().c_str());
}

TEST(ServerLife, AServerThatNeverRanIsNoTrouble) { Server never({.listen = {"127.0.0.1:0"}}); }

TEST(ServerLife, AnAttachedServerMayDieWithClientsConnected) {
    attach();
    EvSocket idle;
    loop.spawn("client", [&] {
        idle = EvSocket::connect(loop, address(), 1s).value();
        (void)idle.send_all("GET /hello HTT", 1s);
        loop.stop();
    });
    loop.run();
    loop.run_ready();
    server.reset();
}

TEST(ServerLife, RequestsAreLogged) {
    TempFolder folder;
    options.access_log = folder.path() + "/access.log";
    (void)heard_by(get("/hello?x"));
    server.reset();
    std::ifstream file(folder.path() + "/access.log");
    std::string line;
    std::getline(file, line);
    STRCMP_CONTAINS("127.0.0.1 - - [", line.c_str());
    STRCMP_CONTAINS("] \"GET /hello?x HTTP/1.1\" 200 6", line.c_str());
}

TEST(ServerLife, StopBeforeRunEndsItAtOnce) {
    serve().stop();
    CHECK(server->run().ok());
}

TEST(ServerLife, WithoutThreadsThatServeItSaysSo) {
    const auto said = [](ServerOptions how, RouteOptions route) {
        how.listen = {"127.0.0.1:0"};
        how.threads = 0;
        Server idle(how);
        idle.get(
            "/", [](Request&, Response&) {}, route);
        const auto started = idle.start();
        return started ? std::string("ok") : started.error().message();
    };
    STRCMP_CONTAINS("threads is 0", said({.paradigm = Paradigm::thread}, {}).c_str());
    STRCMP_CONTAINS("threads is 0",
                    said({.paradigm = Paradigm::event}, {.blocking = Blocking::offload}).c_str());
    STRCMP_EQUAL("ok", said({.paradigm = Paradigm::coroutine}, {}).c_str());
}

TEST(ServerLife, WrongUseAborts) {
    STRCMP_CONTAINS("are for once", test_support::abort_message([] {
                                        Server twice({.listen = {"127.0.0.1:0"}});
                                        (void)twice.start();
                                        (void)twice.start();
                                    }).c_str());
    STRCMP_CONTAINS("without a servlet", test_support::abort_message([] {
                                             Server web;
                                             web.add(Method::get, "/", nullptr);
                                         }).c_str());
    STRCMP_CONTAINS("without a filter", test_support::abort_message([] {
                                            Server web;
                                            web.add_filter(nullptr);
                                        }).c_str());
}

TEST(ServerLife, WhatComesWhileItServesAborts) {
    const auto said = [](const std::function<void(Server&, VirtualHost&)>& too_late) {
        return test_support::abort_message([&] {
            Server web({.listen = {"127.0.0.1:0"}});
            VirtualHost host = web.host("a.example");
            CHECK(web.start().ok());
            too_late(web, host);
        });
    };
    const char* const words = "come before run(), start() or attach()";
    const auto nothing = [](Request&, Response&) {};
    struct Passing final : Filter {};
    STRCMP_CONTAINS(words, said([&](Server& web, VirtualHost&) { web.get("/late", nothing); }).c_str());
    STRCMP_CONTAINS(words, said([&](Server&, VirtualHost& host) { host.get("/late", nothing); }).c_str());
    STRCMP_CONTAINS(words, said([](Server& web, VirtualHost&) { (void)web.host("b.example"); }).c_str());
    STRCMP_CONTAINS(words, said([](Server& web, VirtualHost&) { web.health("/late"); }).c_str());
    STRCMP_CONTAINS(
        words, said([](Server& web, VirtualHost&) { web.add_filter(std::make_unique<Passing>()); }).c_str());
    STRCMP_CONTAINS(words, said([](Server&, VirtualHost& host) {
                               host.add_filter(std::make_unique<Passing>());
                           }).c_str());
}

TEST(ServerLife, CheckSaysWhatStartWouldSay) {
    Server web({.listen = {"127.0.0.1:0"}});
    const auto nothing = [](Request&, Response&) {};
    web.get("/twice", nothing);
    CHECK(web.check().ok());
    web.get("/twice", nothing);
    web.files("/", "/nowhere/at/all");
    STRCMP_CONTAINS("/twice", web.check().error().message().c_str());
    STRCMP_EQUAL(web.check().error().message().c_str(), web.start().error().message().c_str());
}
