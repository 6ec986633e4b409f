// Responses that somebody else makes, asked for behind others on the same connection: of clients that leave,
// or take nothing, before the earlier ones are sent.
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/cross_event.h"
#include "test/webby/started_server.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {

// The next close() resets the connection.
void will_reset(const BlockingSocket& socket) {
    const linger at_once{1, 0};
    CHECK_EQUAL(0, ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
}

class DeferredPipelinedFixture : public StartedServerFixture {
  public:
    // "/held" is answered when the client has gone: what follows it finds that out by sending that answer.
    void start(Paradigm paradigm) {
        client_left.reset();
        finish.reset();
        make(paradigm).get("/held", [this](Request&, Response& r) {
            asked.set();
            while (!client_left.is_set()) ::usleep(1000);  // the loop, too, is to hear of it later
            r.text("held\n");
        });
        server->get("/hello", [](Request&, Response& r) { r.text("hello\n"); });
        server->get("/later", [this](Request&, Response& r) {
            const std::lock_guard lock(mutex);
            answers.push_back(r.defer());
        });
        server->get("/elsewhere",
                    [this](Request& q, Response& r) {
                        elsewhere.set();
                        (void)finish.wait(20s);
                        r.text(std::string(q.target()));
                        done = true;
                    },
                    {.blocking = Blocking::offload});
        server->start().value();
    }
    void asks_and_leaves(const std::string& target) {
        asked.reset();
        {
            BlockingSocket socket = client();
            CHECK(socket.send_all("GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + get(target), 10s));
            CHECK(!asked.wait(20s));
            will_reset(socket);
        }
        client_left.set();
    }
    void teardown() override {
        StartedServerFixture::teardown();
        answers.clear();
    }

    evcorothread::CrossEvent asked, client_left, elsewhere, finish;
    std::mutex mutex;  // of these
    std::vector<Deferred> answers;
    std::atomic<bool> done{false};
};

}  // namespace

TEST_GROUP_BASE(DeferredPipelined, DeferredPipelinedFixture){};

TEST(DeferredPipelined, NobodyWaitsForOneWhoseConnectionBrokeBeforeIt) {
    for (const Paradigm paradigm : kAllParadigms) {
        start(paradigm);
        asks_and_leaves("/later");
        CHECK(soon([this] {
            const std::lock_guard lock(mutex);
            return !answers.empty() && !answers.front().wanted();
        }));
        answers.front().response().text("late\n");
        answers.front().complete();
        answers.clear();
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
    }
}

TEST(DeferredPipelined, AServletOnAnotherThreadHasItsRequestUntilItReturns) {
    for (const Paradigm paradigm : kAllParadigms) {
        elsewhere.reset();
        done = false;
        start(paradigm);
        asks_and_leaves("/elsewhere");
        CHECK(!elsewhere.wait(20s));
        STRCMP_CONTAINS("hello\n", talk(get("/hello")).c_str());
        finish.set();
        CHECK(soon([this] { return done.load(); }));
        server.reset();
    }
}

// The answer comes while the kernel takes no more of those before it.
TEST(DeferredPipelined, AnAnswerThatComesWhileEarlierOnesAreSentIsNotForgotten) {
    constexpr int kMany = 4000;
    const std::string some(3000, 's');
    options.listen = {"unix:@evcorothread-deferred-" + std::to_string(::getpid())};  // its buffers are small
    for (const Paradigm paradigm : kAllParadigms) {
        std::atomic<int> begun{0};
        make(paradigm).get("/some", [&](Request&, Response& r) { r.text(some); });
        server->get("/later", [&](Request&, Response& r) {
            const std::lock_guard lock(mutex);
            answers.push_back(r.defer());
            ++begun;
        });
        server->start().value();
        std::atomic<bool> end{false};
        std::thread answering([&] {
            while (!end) {
                std::vector<Deferred> now;
                {
                    const std::lock_guard lock(mutex);
                    now.swap(answers);
                }
                ::usleep(200);  // what stands before it has been tried to send by now
                for (Deferred& one : now) {
                    one.response().text("l\n");
                    one.complete();
                }
            }
        });
        BlockingSocket socket = client();
        std::string requests;
        for (int i = 0; i < kMany; ++i)
            requests += "GET /some HTTP/1.1\r\nHost: a\r\n\r\nGET /later HTTP/1.1\r\nHost: a\r\n\r\n";
        std::thread asking([&] { (void)socket.send_all(requests + get("/some"), 20s); });
        int last = -1;
        while (std::exchange(last, begun.load()) != begun) ::usleep(50'000);  // it goes no further
        CHECK(last < kMany);
        std::string heard;
        char buffer[64 * 1024];
        while (const auto got = socket.recv(buffer, 5s)) heard.append(buffer, got.bytes);
        end = true;
        answering.join();
        asking.join();
        CHECK_EQUAL(kMany, begun.load());
        CHECK(heard.ends_with(some));
        server.reset();
    }
}
