// What a request is answered with is large and used again: as many are made as were ever busy at once.
#include <mutex>
#include <set>
#include <string>

#include "evcorothread/cross_semaphore.h"
#include "test/webby/started_server.h"

using namespace webby_test;

TEST_GROUP_BASE(ExchangeReuse, StartedServerFixture){};

// Half a request comes to one thread, which is busy with something else when the other half arrives: another
// thread finishes it, and keeps what it was answered with.
TEST(ExchangeReuse, ThreadsThatFinishEachOthersRequestsMakeNoMoreThanAreBusyAtOnce) {
    constexpr int kRounds = 40;
    options.threads = 2;
    make(Paradigm::thread);
    std::mutex mutex;
    std::set<const void*> seen;
    const auto see = [&](const Request& request) {
        const std::lock_guard lock(mutex);
        seen.insert(&request);
    };
    evcorothread::CrossSemaphore entered(0), may_leave(0);
    server->get("/", [&](Request& request, Response& response) {
        see(request);
        response.text("ok\n");
    });
    server->get("/block", [&](Request& request, Response& response) {
        see(request);
        entered.release();
        (void)may_leave.acquire(20s);
        response.text("blocked\n");
    });
    CHECK(server->start());
    for (int round = 0; round < kRounds; ++round) {
        BlockingSocket halved = client(), blocking = client();
        CHECK(halved.send_all("GET / HTTP/1.1\r\nConnection: close\r\n", 20s));
        // It has been read when the server answers others.
        STRCMP_EQUAL("ok\n", body_of(talk(get("/"))).c_str());
        CHECK(blocking.send_all(get("/block"), 20s));
        CHECK_FALSE(entered.acquire(20s));
        CHECK(halved.send_all("Host: a\r\n\r\n", 20s));
        STRCMP_EQUAL("ok\n", body_of(hear_all(halved)).c_str());
        may_leave.release();
        STRCMP_EQUAL("blocked\n", body_of(hear_all(blocking)).c_str());
    }
    // The half request, and another one beside it.
    CHECK_TEXT(seen.size() <= 2, std::to_string(seen.size()).c_str());
}
