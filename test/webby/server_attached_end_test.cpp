// The end of a server on the application's loop, while requests are being answered.
#include <event2/event.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"
#include "test/webby/started_server.h"

#include "test/support/harness.h"

using namespace webby_test;
using evcorothread::EvLoop;

namespace {

class ServerAttachedEndFixture : public StartedServerFixture {
  public:
    corothread::StackPool stacks{{.count = 10}};
    std::atomic<int> begun{0}, done{0};

    // Two requests are being answered, and the application's loop has ended.
    void serve_in_the_middle(Paradigm paradigm, EvLoop& loop, event_base* adopted) {
        begun = done = 0;
        make(paradigm);
        if (paradigm == Paradigm::coroutine)
            server->get("/waits", [this](Request&, Response& r) {
                ++begun;
                r.text(evcorothread::this_evthread::delay(1h) ? "canceled" : "slept");
                ++done;
            });
        server->get("/elsewhere",
                    [this](Request&, Response& r) {
                        ++begun;
                        ::usleep(50'000);
                        r.text("done");
                        ++done;
                    },
                    {.blocking = Blocking::offload});
        server->attach(loop).value();
        BlockingSocket one = client(), other = client();
        CHECK(one.send_all(get(paradigm == Paradigm::coroutine ? "/waits" : "/elsewhere"), 10s));
        CHECK(other.send_all(get("/elsewhere"), 10s));
        std::thread ender([&] {
            while (begun < 2) ::usleep(1000);
            loop.post([&] {
                if (adopted != nullptr)
                    ::event_base_loopbreak(adopted);
                else
                    loop.stop();
            });
        });
        if (adopted != nullptr)
            ::event_base_dispatch(adopted);
        else
            loop.run();
        ender.join();
    }
};

}  // namespace

TEST_GROUP_BASE(ServerAttachedEnd, ServerAttachedEndFixture){};

TEST(ServerAttachedEnd, WaitsForServletsThatAreNotDone) {
    for (const Paradigm paradigm : kAllParadigms) {
        EvLoop loop(stacks);
        serve_in_the_middle(paradigm, loop, nullptr);
        server.reset();
        CHECK_EQUAL(2, done.load());
        CHECK_EQUAL(0, loop.thread_count());
    }
}

TEST(ServerAttachedEnd, WaitsForThemInsideAnEventBaseOfTheApplicationsToo) {
    for (const Paradigm paradigm : kAllParadigms) {
        const std::unique_ptr<event_base, decltype(&::event_base_free)> base(::event_base_new(),
                                                                             &::event_base_free);
        EvLoop loop(stacks, base.get());
        serve_in_the_middle(paradigm, loop, base.get());
        server.reset();
        CHECK_EQUAL(2, done.load());
        CHECK_EQUAL(0, loop.thread_count());
    }
}
