// A server's health, and how it ends where load balancers watch.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "test/webby/server_fixture.h"
#include "test/webby/started_server.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

// The first line of what is answered.
std::string status(Client& c, const std::string& request) {
    const std::string heard = c.ask(request);
    return heard.substr(0, heard.find('\r'));
}

}  // namespace

TEST_GROUP_BASE(ServerEnd, ServerFixture){};

TEST(ServerEnd, HealthIsOkUntilItStops) {
    serve().health("/healthz");
    const std::string heard = heard_by(get("/healthz"));
    STRCMP_CONTAINS("HTTP/1.1 200 OK\r\n", heard.c_str());
    STRCMP_CONTAINS("Cache-Control: no-store\r\n", heard.c_str());
    STRCMP_CONTAINS("\r\n\r\nok\n", heard.c_str());
}

TEST(ServerEnd, HealthIsTheSameUnderEveryNameAndBehindEveryFilter) {
    struct Closed final : Filter {
        bool on_request(Request&, Response& response) override {
            response.error(Status::forbidden);
            return false;
        }
    };
    options.strict_hosts = true;
    serve().health("/healthz");
    server->add_filter(std::make_unique<Closed>());
    VirtualHost host = server->host("b.example");
    host.get("/healthz", [](Request&, Response& r) { r.text("the host's own"); });
    std::string unknown, known, other;
    attach();
    client([&](Client& c) {
        unknown = status(c, get("/healthz"));
        known = status(c, "GET /healthz HTTP/1.1\r\nHost: b.example\r\n\r\n");
        other = status(c, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    });
    loop.run();
    STRCMP_EQUAL("HTTP/1.1 200 OK", unknown.c_str());
    STRCMP_EQUAL("HTTP/1.1 200 OK", known.c_str());
    STRCMP_EQUAL("HTTP/1.1 403 Forbidden", other.c_str());
}

TEST(ServerEnd, OtherMethodsAreNotAllowedOnHealth) {
    serve().health("/healthz");
    STRCMP_CONTAINS("HTTP/1.1 405 ", heard_by("DELETE /healthz HTTP/1.1\r\nHost: a\r\n\r\n").c_str());
}

TEST(ServerEnd, InTheDelayOnlyHealthChangesAndThenItDrains) {
    options.drain_delay = 10s;
    serve().health("/healthz");
    attach();
    std::string before, health, work, late;
    bool refused = false;
    go([&] {
        Client old(loop, address());
        before = status(old, get("/healthz"));
        server->stop();
        (void)this_evthread::delay(9s);
        health = status(old, get("/healthz"));
        Client fresh(loop, address());
        work = status(fresh, get("/hello"));
        (void)this_evthread::delay(2s);
        late = old.hear_all();
        refused = !Client(loop, address()).connected();
    });
    loop.run();
    STRCMP_EQUAL("HTTP/1.1 200 OK", before.c_str());
    STRCMP_EQUAL("HTTP/1.1 503 Service Unavailable", health.c_str());
    STRCMP_EQUAL("HTTP/1.1 200 OK", work.c_str());
    STRCMP_EQUAL("", late.c_str());
    CHECK(refused);
}

TEST(ServerEnd, AServerMayDieInTheDelay) {
    options.drain_delay = 10s;
    attach();
    loop.spawn("stop", [&] { server->stop(); });
    for (int i = 0; i < 5; ++i) loop.run_ready();
    server.reset();
    loop.run();
}

TEST(ServerEnd, StopAgainInTheDelayChangesNothing) {
    options.drain_delay = 10s;
    attach();
    std::string work;
    go([&] {
        server->stop();
        server->stop();
        (void)this_evthread::delay(1s);
        Client fresh(loop, address());
        work = status(fresh, get("/hello"));
    });
    loop.run();
    STRCMP_EQUAL("HTTP/1.1 200 OK", work.c_str());
}

TEST_GROUP_BASE(StartedServerEnd, StartedServerFixture){};

// All at once, since the delay is real.
TEST(StartedServerEnd, TheDelayIsKeptUnderEveryParadigmAndByWorkers) {
    const std::pair<Paradigm, std::size_t> all[] = {
        {Paradigm::coroutine, 1}, {Paradigm::thread, 1}, {Paradigm::event, 1}, {Paradigm::coroutine, 2}};
    std::vector<std::unique_ptr<Server>> servers;
    for (const auto& [paradigm, workers] : all) {
        options.workers = workers;
        options.drain_delay = 1s;
        make(paradigm).health("/healthz");
        server->start().value();
        STRCMP_CONTAINS("\r\n\r\nok\n", talk(get("/healthz")).c_str());
        servers.push_back(std::move(server));
    }
    for (std::unique_ptr<Server>& one : servers) {
        server = std::move(one);
        server->stop();
        STRCMP_CONTAINS("HTTP/1.1 503 ", talk(get("/healthz")).c_str());
        one = std::move(server);
    }
    for (const std::unique_ptr<Server>& one : servers) {
        one->join();
        CHECK_FALSE(BlockingSocket::connect(one->addresses().at(0), 10s).ok());
    }
}

TEST(StartedServerEnd, AServerMayDieInItsWorkersDelay) {
    options.workers = 2;
    options.drain_delay = 100ms;
    make(Paradigm::coroutine);
    server->start().value();
    server->stop();
    server.reset();  // joins
}
