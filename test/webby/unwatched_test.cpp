// Connections of the thread paradigm that the kernel will not watch any more: no thread hears of them.
#include <mutex>
#include <string>
#include <vector>

#include "test/support/fault_injection.h"
#include "test/webby/started_server.h"
#include "webby/deferred.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(Unwatched, StartedServerFixture) {
    std::mutex mutex;
    std::vector<Deferred> answers;  // with the lock held

    void start() {
        options.metrics = true;
        make(Paradigm::thread).get("/later", [this](Request&, Response& r) {
            const std::lock_guard lock(mutex);
            answers.push_back(r.defer());
        });
        server->start().value();
    }
    bool are_asked(std::size_t count) {
        return soon([this, count] {
            const std::lock_guard lock(mutex);
            return answers.size() == count;
        });
    }
    void teardown() override {
        StartedServerFixture::teardown();
        answers.clear();
    }
};

TEST(Unwatched, AreClosedWhenTheirAnswerComes) {
    start();
    BlockingSocket socket = client();
    CHECK(socket.send_all(get("/later"), 10s));
    CHECK(are_asked(1));
    ::usleep(50'000);  // its thread has left it
    {
        test_support::FaultInjection faults;
        faults.fail("epoll_ctl", ENOMEM);
        answers.front().response().text("late\n");
        answers.front().complete();
        STRCMP_EQUAL("", hear_all(socket).c_str());
    }
    CHECK(soon([this] { return server->metrics().connections() == 0; }));
    STRCMP_CONTAINS("a connection was dropped: Cannot allocate memory", log->text().c_str());
}

TEST(Unwatched, DoNotKeepTheServerFromStopping) {
    start();
    std::vector<BlockingSocket> sockets;
    for (int i = 0; i < 3; ++i) {
        sockets.push_back(client());
        CHECK(sockets.back().send_all(get("/later"), 10s));
    }
    CHECK(are_asked(3));
    ::usleep(50'000);
    test_support::FaultInjection faults;
    faults.fail("epoll_ctl", ENOMEM, 3);
    server->stop();
    for (Deferred& answer : answers) {
        answer.response().text("late\n");
        answer.complete();
    }
    CHECK(soon([this] { return server->metrics().connections() == 0; }));
}
