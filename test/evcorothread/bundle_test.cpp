#include "evcorothread/bundle.h"

#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cutils/scope_exit.h"
#include "evcorothread/event.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/log_capture.h"

using namespace test_support;
using cutils::Result;
using cutils::ScopeExit;

namespace {

void sleep_until_canceled() { (void)this_evthread::delay(Deadline::never); }

std::string message_of(const std::function<void()>& f) {
    try {
        f();
    } catch (const std::exception& error) {
        return error.what();
    }
    return "nothing was thrown";
}

}  // namespace

TEST_GROUP_BASE(Bundle, LoopFixture){};

TEST(Bundle, WaitsForAllChildren) {
    in_coroutine([&] {
        int ended = 0;
        Bundle children(loop);
        for (int i = 1; i <= 5; ++i)
            children.go("child", [&ended, i] {
                (void)this_evthread::delay(std::chrono::seconds(i));
                ++ended;
            });
        CHECK_EQUAL(5, children.size());
        CHECK(children.wait(1min));
        CHECK_EQUAL(5, ended);
        CHECK(children.empty());
    });
}

TEST(Bundle, ChildrenDoNotStartBeforeTheParentWaits) {
    in_coroutine([&] {
        bool started = false;
        Bundle children(loop);
        children.go([&] { started = true; });
        CHECK(!started);
        CHECK(children.wait(1s));
        CHECK(started);
    });
}

TEST(Bundle, WithoutChildrenThereIsNothingToWaitFor) {
    Bundle children(loop);  // outside of any coroutine, too
    CHECK(children.wait(Deadline::never));
    CHECK(children.close(Deadline::never));
}

TEST(Bundle, ChildrenHaveTheirNames) {
    in_coroutine([&] {
        std::string seen;
        Bundle children(loop);
        children.go("fetch", [&] { seen = this_evthread::name(); });
        CHECK(children.wait(1s));
        CHECK_EQUAL("fetch", seen);
    });
}

TEST(Bundle, WaitsAlsoForAChildThatComesWhenTheLastHasJustEnded) {
    Event ended;
    Bundle* children = nullptr;  // while somebody waits for them
    int begun = 1, done = 0;
    EvThread other = go([&] {
        (void)ended.wait(1s);
        if (children == nullptr) return;  // in another order it is too late
        ++begun;
        children->go("late", [&] {
            this_evthread::yield();
            ++done;
        });
    });
    in_coroutine([&] {
        Bundle its(loop);
        children = &its;
        its.go("first", [&] {
            ++done;
            ended.set();
        });
        CHECK(its.wait(1s));
        children = nullptr;
        CHECK_EQUAL(begun, done);
        CHECK(its.empty());
    });
}

TEST(Bundle, MayBeUsedAgain) {
    in_coroutine([&] {
        int ended = 0;
        Bundle children(loop);
        for (int round = 1; round <= 3; ++round) {
            children.go([&] { ++ended; });
            CHECK(children.wait(1s));
            CHECK_EQUAL(round, ended);
        }
    });
}

TEST(Bundle, WaitTimesOutAndMayBeRepeated) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] { (void)this_evthread::delay(3s); });
        const Result<void> early = children.wait(1s);
        CHECK(!early && early.error() == std::errc::timed_out);
        CHECK_EQUAL(1, children.size());
        CHECK(children.wait(1min));
    });
}

TEST(Bundle, ADeadlineThatHasPassedStillTellsThatAllHaveEnded) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] {});
        while (!children.empty()) this_evthread::yield();
        CHECK(children.wait(0s));
    });
}

TEST(Bundle, CancelReachesEveryChild) {
    in_coroutine([&] {
        int canceled = 0;
        Bundle children(loop);
        for (int i = 0; i < 4; ++i)
            children.go([&] { canceled += this_evthread::delay(1h) == std::errc::operation_canceled; });
        this_evthread::yield();
        const TimePoint begin = loop.now();
        children.cancel();
        CHECK(children.wait(1s));
        CHECK_EQUAL(4, canceled);
        CHECK(begin == loop.now());
    });
}

TEST(Bundle, AChildThatComesAfterTheCancelIsCanceledToo) {
    in_coroutine([&] {
        std::error_code seen;
        Bundle children(loop);
        children.cancel();
        children.go([&] { seen = this_evthread::delay(1h); });
        CHECK(children.wait(1s));
        CHECK(seen == std::errc::operation_canceled);
        CHECK(children.canceled());
    });
}

TEST(Bundle, TheDestructorCancelsAndWaits) {
    in_coroutine([&] {
        int ended = 0;
        {
            Bundle children(loop);
            for (int i = 0; i < 3; ++i)
                children.go([&] {
                    sleep_until_canceled();
                    this_evthread::yield();  // takes its time
                    ++ended;
                });
            this_evthread::yield();
        }
        CHECK_EQUAL(3, ended);
    });
}

TEST(Bundle, TheDestructorWaitsAlsoWhenItsOwnerIsCanceled) {
    const LogCapture log;
    bool child_ended = false, order_right = false;
    EvThread owner = go([&] {
        Bundle children(loop);
        children.go([&] {
            sleep_until_canceled();
            const CancelShield shield(1min);
            (void)this_evthread::delay(10s);
            child_ended = true;
        });
        const ScopeExit after([&] { order_right = !child_ended; });  // runs before the bundle's destructor
        CHECK(children.wait(1h).error() == std::errc::operation_canceled);
    });
    run_ready();
    owner.cancel();
    run_loop();
    CHECK(child_ended);
    CHECK(order_right);
}

TEST(Bundle, TheDestructorWaitsDuringUnwinding) {
    in_coroutine([&] {
        bool child_ended = false;
        STRCMP_EQUAL("lost", message_of([&] {
                                 Bundle children(loop);
                                 children.go([&] {
                                     (void)this_evthread::delay(1h);
                                     this_evthread::yield();
                                     child_ended = true;
                                 });
                                 this_evthread::yield();
                                 throw std::runtime_error("lost");
                             }).c_str());
        CHECK(child_ended);
    });
}

TEST(Bundle, OfMainRunsTheLoopUntilItsChildrenHaveEnded) {
    bool ended = false;
    {
        Bundle children(loop);
        children.go([&] {
            sleep_until_canceled();
            ended = true;
        });
        run_ready();
    }
    CHECK(ended);
}

TEST(Bundle, ThatDiesInACallbackWithChildrenAborts) {
    STRCMP_CONTAINS("close() it in a coroutine first", abort_message([this] {
                                                           auto children = std::make_unique<Bundle>(loop);
                                                           children->go(sleep_until_canceled);
                                                           loop.post([&] { children.reset(); });
                                                           run_loop();
                                                       }).c_str());
}

TEST(Bundle, NamesTheChildrenThatDoNotEnd) {
    LogCapture log;
    in_coroutine([&] {
        Bundle children(loop);
        children.go("stubborn", [] {
            const CancelShield shield(Deadline::never);
            (void)this_evthread::delay(5100ms);
        });
        this_evthread::yield();
    });
    STRCMP_CONTAINS("stubborn", log.text().c_str());
}

// --- failures

TEST(Bundle, AChildsExceptionReachesWait) {
    LogCapture log;
    in_coroutine([&] {
        Bundle children(loop);
        children.go("bad", [] { throw std::runtime_error("no such page"); });
        STRCMP_EQUAL("no such page", message_of([&] { (void)children.wait(1s); }).c_str());
        CHECK(children.wait(1s));  // once
    });
    STRCMP_CONTAINS("\"bad\" ended by an exception: no such page", log.text().c_str());
}

TEST(Bundle, AFailureCancelsTheSiblingsAndComesOnceTheyHaveEnded) {
    const LogCapture log;
    in_coroutine([&] {
        int siblings_ended = 0;
        Bundle children(loop);
        for (int i = 0; i < 3; ++i)
            children.go([&] {
                if (this_evthread::delay(1h) == std::errc::operation_canceled) ++siblings_ended;
                const CancelShield shield(1min);
                (void)this_evthread::delay(1s);
            });
        children.go([] {
            (void)this_evthread::delay(10s);
            throw std::runtime_error("first");
        });
        const TimePoint begin = loop.now();
        STRCMP_EQUAL("first", message_of([&] { (void)children.wait(1h); }).c_str());
        CHECK_EQUAL(3, siblings_ended);
        CHECK(children.empty());
        CHECK(loop.now() - begin == 11s);
    });
}

TEST_IN_ORDER(Bundle, OnlyTheFirstFailureIsReported) {
    const LogCapture log;
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] { throw std::runtime_error("first"); });
        children.go([] { throw std::runtime_error("second"); });
        STRCMP_EQUAL("first", message_of([&] { (void)children.wait(1s); }).c_str());
        CHECK(children.wait(1s));
    });
}

TEST(Bundle, AnErrorThatAChildReturnsReachesWait) {
    in_coroutine([&] {
        bool sibling_canceled = false;
        Bundle children(loop);
        children.go([&]() -> std::error_code { return std::make_error_code(std::errc::host_unreachable); });
        children.go([&] { sibling_canceled = this_evthread::delay(1h) == std::errc::operation_canceled; });
        const Result<void> result = children.wait(1s);
        CHECK(!result && result.error() == std::errc::host_unreachable);
        CHECK(sibling_canceled);
        CHECK(children.wait(1s));
    });
}

TEST(Bundle, AResultKeepsItsWords) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([]() -> Result<void> {
            return cutils::Error(std::make_error_code(std::errc::host_unreachable), "the far end");
        });
        STRCMP_CONTAINS("the far end", children.wait(1s).error().message().c_str());
    });
}

TEST(Bundle, ChildrenThatReturnSuccessAreNoFailure) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] { return std::error_code(); });
        children.go([] { return Result<void>(); });
        CHECK(children.wait(1s));
    });
}

TEST(Bundle, BeingCanceledIsNoFailure) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] { return this_evthread::delay(1h); });
        this_evthread::yield();
        children.cancel();
        CHECK(children.wait(1s));
    });
}

namespace {
struct Whole : std::runtime_error {
    Whole(const std::string& what, int d) : std::runtime_error(what), depth(d) {}
    int depth;
};
void three_calls_deep(int left) {
    if (left == 0) throw Whole("from the bottom", 3);
    three_calls_deep(left - 1);
    asm volatile("");
}
}  // namespace

TEST(Bundle, AnExceptionFromAChildOfAChildArrivesWholeAtTheOutermostWait) {
    const LogCapture log;
    in_coroutine([&] {
        std::string ended;
        std::string seen;
        int depth = 0;
        Bundle outer(loop);
        outer.go("sibling", [&] {
            (void)this_evthread::delay(1h);
            ended += "sibling ";
        });
        outer.go("child", [&] {
            Bundle inner(loop);
            inner.go("inner sibling", [&] {
                (void)this_evthread::delay(1h);
                ended += "inner-sibling ";
            });
            inner.go("grandchild", [] {
                (void)this_evthread::delay(1s);
                three_calls_deep(3);
            });
            (void)inner.wait(1h);
            ended += "never ";
        });
        try {
            (void)outer.wait(1h);
        } catch (const Whole& whole) {
            seen = whole.what();
            depth = whole.depth;
        }
        CHECK_EQUAL("from the bottom", seen);
        CHECK_EQUAL(3, depth);
        CHECK_EQUAL("inner-sibling sibling ", ended);
    });
}

// --- wait_any

TEST(Bundle, WaitAnyTellsOfEachChildOnce) {
    in_coroutine([&] {
        std::vector<int> ended;
        Bundle children(loop);
        for (int i : {3, 1, 2})
            children.go([&ended, i] {
                (void)this_evthread::delay(std::chrono::seconds(i));
                ended.push_back(i);
            });
        for (int i = 1; i <= 3; ++i) {
            const Result<std::size_t> left = children.wait_any(1min);
            CHECK_EQUAL(3 - i, *left);
            CHECK_EQUAL(i, ended.back());
        }
        CHECK(children.wait_any(1s).error() == nutils::NetError::closed);
    });
}

TEST(Bundle, WaitAnyTellsOfThoseThatEndedBefore) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] {});
        children.go([] {});
        while (!children.empty()) this_evthread::yield();
        CHECK_EQUAL(0, *children.wait_any(0s));
        CHECK_EQUAL(0, *children.wait_any(0s));
        CHECK(!children.wait_any(0s));
    });
}

TEST(Bundle, WaitAnyTimesOut) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] { (void)this_evthread::delay(1h); });
        CHECK(children.wait_any(1s).error() == std::errc::timed_out);
    });
}

TEST(Bundle, WaitAnyReportsAFailure) {
    const LogCapture log;
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] { (void)this_evthread::delay(1h); });
        children.go([] { throw std::runtime_error("broken"); });
        STRCMP_EQUAL("broken", message_of([&] { (void)children.wait_any(1s); }).c_str());
        CHECK(children.empty());
    });
}

// --- close

TEST(Bundle, CloseCancelsAndWaits) {
    in_coroutine([&] {
        bool ended = false;
        Bundle children(loop);
        children.go([&] {
            sleep_until_canceled();
            ended = true;
        });
        this_evthread::yield();
        CHECK(children.close(1s));
        CHECK(ended);
        CHECK(children.close(1s));  // twice
    });
}

TEST(Bundle, CloseHasALimit) {
    in_coroutine([&] {
        Bundle children(loop);
        children.go([] {
            const CancelShield shield(1min);
            (void)this_evthread::delay(10s);
        });
        CHECK(children.close(1s).error() == std::errc::timed_out);
        CHECK_EQUAL(1, children.size());
        CHECK(children.close(1min));
    });
}

TEST(Bundle, CloseWaitsInACanceledCoroutine) {
    bool ended = false;
    EvThread owner = go([&] {
        Bundle children(loop);
        children.go([&] {
            sleep_until_canceled();
            this_evthread::yield();
            ended = true;
        });
        CHECK(!children.wait(1h));
        CHECK(children.close(1s));
        CHECK(ended);
    });
    run_ready();
    owner.cancel();
    run_loop();
    CHECK(ended);
}

// --- deadlines

TEST(Bundle, ChildrenInheritItsDeadline) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        std::error_code seen;
        Bundle children(loop, 5s);
        children.go([&] { seen = this_evthread::delay(1h); });
        CHECK(children.wait(1h));
        CHECK(loop.now() - begin == 5s);
        CHECK(seen == std::errc::timed_out);  // it was cut short
    });
}

TEST(Bundle, AnOperationsDeadlineCountsWhenItIsTheEarlier) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        Bundle children(loop, 5s);
        Duration first{}, second{};
        children.go([&] {
            WaitPoint one("one");
            CHECK(Wake::timed_out == one.wait(2s));
            first = loop.now() - begin;
            WaitPoint two("two");
            CHECK(Wake::timed_out == two.wait(Deadline::never));
            second = loop.now() - begin;
            WaitPoint three("three");
            CHECK(Wake::timed_out == three.wait(1s));  // it has passed
        });
        CHECK(children.wait(1h));
        CHECK(first == 2s);
        CHECK(second == 5s);
    });
}

TEST(Bundle, GrandchildrenInheritTheEarlierDeadline) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        Bundle outer(loop, 5s);
        outer.go([&] {
            Bundle later(loop, 1h);
            CHECK(later.deadline().at() - begin == 5s);
            Bundle earlier(loop, 2s);
            CHECK(earlier.deadline().at() - begin == 2s);
            Bundle without(loop);
            without.go([&] {
                CHECK(this_evthread::deadline().at() - begin == 5s);
                (void)this_evthread::delay(1h);
            });
            CHECK(without.wait(Deadline::never).error() == std::errc::timed_out);
        });
        CHECK(outer.wait(1h));
        CHECK(loop.now() - begin == 5s);
    });
}

TEST(Bundle, ItsDeadlineDoesNotCutAShieldShort) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        Bundle children(loop, 5s);
        children.go([&] {
            const CancelShield shield(1min);
            CHECK(!this_evthread::delay(10s));
        });
        CHECK(children.wait(1h));
        CHECK(loop.now() - begin == 10s);
    });
}

TEST(Bundle, OutsideOfOneThereIsNoDeadline) {
    in_coroutine([&] { CHECK(this_evthread::deadline().is_never()); });
}

// --- stacks, misuse

TEST(Bundle, AChildWithoutAStackWaitsForOne) {
    StackPool two({.count = 2, .pages = 16});
    EvLoop own(two, any_order({.clock = LoopClock::virtual_time}));
    int ended = 0;
    own.spawn([&] {
        Bundle children(own);
        for (int i = 0; i < 5; ++i)
            children.go([&] {
                (void)this_evthread::delay(1s);
                ++ended;
            });
        CHECK(children.try_go("none", [] {}).error() == nutils::NetError::busy);
        CHECK_EQUAL(5, children.size());
        (void)children.wait(1h);
    });
    own.run();
    CHECK_EQUAL(5, ended);
}

TEST(Bundle, CancelAndDeadlineReachThoseThatWaitForAStack) {
    StackPool two({.count = 2, .pages = 16});
    EvLoop own(two, any_order({.clock = LoopClock::virtual_time}));
    int canceled = 0, limited = 0;
    own.spawn([&] {
        Bundle children(own, 1min);
        for (int i = 0; i < 3; ++i)
            children.go([&] {
                limited += !this_evthread::deadline().is_never();
                canceled += this_evthread::delay(1h) == std::errc::operation_canceled;
            });
        children.cancel();
        (void)children.wait(1h);
    });
    own.run();
    CHECK_EQUAL(3, canceled);
    CHECK_EQUAL(3, limited);
}

TEST(Bundle, TwoWaitersAbort) {
    STRCMP_CONTAINS("two coroutines wait for one bundle", abort_message([this] {
                                                              Bundle children(loop);
                                                              children.go(sleep_until_canceled);
                                                              go([&] { (void)children.wait(1h); });
                                                              go([&] { (void)children.wait(1h); });
                                                              run_loop();
                                                          }).c_str());
}

TEST(Bundle, ManyChildrenOfManyBundles) {
    StackPool many({.count = 2000, .pages = 16});
    EvLoop own(many, any_order({.clock = LoopClock::virtual_time}));
    int ended = 0;
    own.spawn([&] {
        Bundle outer(own);
        for (int i = 0; i < 30; ++i)
            outer.go([&] {
                Bundle inner(own);
                for (int k = 0; k < 60; ++k)
                    inner.go([&] {
                        (void)this_evthread::delay(std::chrono::milliseconds(ended % 7));
                        ++ended;
                    });
                (void)inner.wait(1h);
            });
        (void)outer.wait(1h);
    });
    own.run();
    CHECK_EQUAL(30 * 60, ended);
}

// An object whose background work lives exactly as long as it does: a connection with a sender and a
// receiver.
namespace {
class Chatter {
  public:
    Chatter(EvLoop& loop, EvSocket socket) : socket_(std::move(socket)), workers_(loop) {
        workers_.go("receiver", [this] { receive(); });
        workers_.go("sender", [this] { send(); });
    }
    void say(std::string text) {
        outbox_.push_back(std::move(text));
        if (idle_ != nullptr) std::exchange(idle_, nullptr)->wake();
    }
    std::string heard;

  private:
    void receive() {
        char buffer[64];
        while (const IoResult got = socket_.recv(buffer, Deadline::never)) heard.append(buffer, got.bytes);
    }
    void send() {
        for (;;) {
            while (outbox_.empty()) {
                WaitPoint idle("something to say");
                idle_ = &idle;
                if (idle.wait(Deadline::never) != Wake::event) return void(idle_ = nullptr);
            }
            const std::string text = std::move(outbox_.front());
            outbox_.erase(outbox_.begin());
            if (!socket_.send_all(text, 5s)) return;
        }
    }
    EvSocket socket_;
    std::vector<std::string> outbox_;
    WaitPoint* idle_ = nullptr;
    Bundle workers_;  // last: its children end while the rest is still there
};
}  // namespace

TEST(Bundle, ASenderAndAReceiverLiveAsLongAsTheirConnection) {
    UniqueFd peer;
    in_coroutine([&] {
        Connection connection = unix_connection(loop);
        {
            Chatter chatter(loop, std::move(connection.socket));
            connection.peer_sends("good morning");
            chatter.say("hello ");
            chatter.say("there");
            for (int i = 0; i < 100; ++i) this_evthread::yield();
            CHECK_EQUAL("good morning", chatter.heard);
            CHECK_EQUAL("hello there", connection.peer_gets());
        }
        CHECK_EQUAL(1, loop.thread_count());
    });
}
