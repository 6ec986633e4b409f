// A stack overflow says whose it was and what to raise, and dies of SIGSEGV all the same.
#include "corothread/stack_overflow.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "corothread/coroutine.h"
#include "corothread/stack_pool.h"
#include "test/support/death.h"
#include "test/support/harness.h"

using namespace corothread;
using namespace test_support;

namespace {

// 256 bytes a call, and no tail call. Ends only by the stack's end.
[[gnu::noinline]] int recurse_without_end(int depth) {
    volatile char some[256];
    some[0] = static_cast<char>(depth);
    const int deeper = depth < 0 ? 0 : recurse_without_end(depth + 1);
    return deeper + some[0];
}

void overflow(StackPool& pool) {
    Coroutine<void> coroutine(pool, [](auto&) { (void)recurse_without_end(0); });
    coroutine.resume();
}

void write_handler(int) {
    (void)!::write(STDERR_FILENO, "the old handler\n", 16);
    ::_exit(7);
}

sigjmp_buf before_overflow;
void jump_back(int) { siglongjmp(before_overflow, 1); }

int count_of(const std::string& what, const std::string& text) {
    int count = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
    return count;
}

}  // namespace

// AddressSanitizer has a handler and an alternate stack of its own: its report would follow ours.
TEST_GROUP_BASE(StackOverflow, Fixture) { StackPool pool{{.count = 4, .pages = 5}}; };

TEST(StackOverflow, SaysHowBigTheStackWasAndWhatToRaise) {
    const Death death = death_of([this] {
        const OverflowReport report;
        overflow(pool);
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    const std::string said = "needs more than its " + std::to_string(pool.stack_size()) + " bytes";
    STRCMP_CONTAINS(said.c_str(), death.said.c_str());
    STRCMP_CONTAINS("raise StackPoolOptions::pages from 5 to 10", death.said.c_str());
}

TEST(StackOverflow, ShowsBothEndsOfTheBacktrace) {
    const Death death = death_of([this] {
        const OverflowReport report;
        overflow(pool);
    });
    STRCMP_CONTAINS("recurse_without_end", death.said.c_str());
    STRCMP_CONTAINS("entry", death.said.c_str());
}

TEST(StackOverflow, IsSeenWithEitherKindOfGuard) {
    const Death death = death_of([] {
        StackPool mprotected({.count = 2, .pages = 5, .guard = GuardKind::mprotect});
        const OverflowReport report;
        overflow(mprotected);
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    STRCMP_CONTAINS("stack overflow: a coroutine", death.said.c_str());
}

TEST(StackOverflow, GoesOnToTheHandlerThatWasThere) {
    const Death death = death_of([this] {
        struct sigaction old = {};
        old.sa_handler = &write_handler;
        ::sigaction(SIGSEGV, &old, nullptr);
        const OverflowReport report;
        overflow(pool);
    });
    CHECK_EQUAL(0, death.signal);  // it ended the process by itself
    STRCMP_CONTAINS("stack overflow", death.said.c_str());
    STRCMP_CONTAINS("the old handler", death.said.c_str());
}

TEST(StackOverflow, IsReportedAgainWhenTheHandlerThatWasThereRecovers) {
    if (kTsan) return;  // it holds signals back after a jump out of a handler
    const Death death = death_of([this] {
        struct sigaction old = {};
        old.sa_handler = &jump_back;
        ::sigaction(SIGSEGV, &old, nullptr);
        const OverflowReport report;
        static int times = 0;  // no local: a jump may undo what was done to those
        while (++times <= 3)
            if (sigsetjmp(before_overflow, 1) == 0) overflow(pool);
        ::_exit(0);
    });
    CHECK_EQUAL(3, count_of("stack overflow: ", death.said));
}

TEST(StackOverflow, OfSeveralOsThreadsAtOnceAreReportedWhole) {
    const Death death = death_of([] {
        const OverflowReport report;
        std::atomic<int> ready{0};
        const auto race = [&] {
            OverflowReport::prepare_thread();
            StackPool mine({.count = 2, .pages = 5});
            ++ready;
            while (ready < 4) std::this_thread::yield();
            overflow(mine);
        };
        std::thread threads[] = {std::thread(race), std::thread(race), std::thread(race), std::thread(race)};
        for (std::thread& thread : threads) thread.join();
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    // Each has a backtrace, which ends where its coroutine began.
    const int begun = count_of("stack overflow: ", death.said);
    CHECK(begun >= 1);
    CHECK(count_of("CoroutineBase", death.said) >= begun);
}

TEST(StackOverflow, AnyOtherFaultIsPassedOnInSilence) {
    const Death death = death_of([] {
        const OverflowReport report;
        no_more_reports_of_valgrind();
        *reinterpret_cast<volatile char*>(8) = 1;
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    if (!kAsan) CHECK_EQUAL("", death.said);
}

TEST(StackOverflow, AStrayPointerIntoAGuardIsNone) {
    const Death death = death_of([this] {
        const OverflowReport report;
        *static_cast<volatile char*>(pool.stack(1).bottom - 8) = 1;
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    CHECK(death.said.find("stack overflow") == std::string::npos);
}

TEST(StackOverflow, OnAnotherThreadIsSeenWhenThatWasPrepared) {
    const Death death = death_of([this] {
        const OverflowReport report;
        std::thread([this] {
            OverflowReport::prepare_thread();
            overflow(pool);
        }).join();
    });
    CHECK_EQUAL(SIGSEGV, death.signal);
    STRCMP_CONTAINS("stack overflow", death.said.c_str());
}

TEST(StackOverflow, ReportsLeaveNothingBehind) {
    struct sigaction before = {}, after = {};
    ::sigaction(SIGSEGV, nullptr, &before);
    {
        const OverflowReport report;
        CHECK(OverflowReport::wanted());
    }
    ::sigaction(SIGSEGV, nullptr, &after);
    CHECK(before.sa_handler == after.sa_handler);
    CHECK_FALSE(OverflowReport::wanted());
}

TEST_GROUP_BASE(StackAdvices, Fixture){
    static void use(StackPool & pool, std::size_t bytes){Coroutine<void> coroutine(pool, [bytes](auto&) {
        auto* const some = static_cast<volatile char*>(__builtin_alloca(bytes));
        for (std::size_t i = 0; i < bytes; i += 512) some[i] = 1;
    });
coroutine.resume();
}
}
;

TEST(StackAdvices, OfAPoolThatWasNeverUsedAreNone) {
    const StackPool pool({.count = 1, .pages = 16});
    CHECK_EQUAL(16, pool.advise().pages);
    STRCMP_CONTAINS("nothing has run yet", pool.advise().text.c_str());
}

TEST(StackAdvices, FollowTheDeepestUse) {
    StackPool pool({.count = 4, .pages = 64, .scale = false});
    use(pool, 9 * 4096);
    const StackAdvice advice = pool.advise();
    CHECK(advice.deepest >= std::size_t{9} * 4096);
    CHECK(advice.pages >= 14);
    CHECK(advice.pages <= 20);
    STRCMP_CONTAINS("would do", advice.text.c_str());
}

TEST(StackAdvices, AreToDoubleAStackThatWasUsedToItsEnd) {
    StackPool pool({.count = 1, .pages = 8, .scale = false});
    std::memset(pool.stack(0).bottom, 1, pool.stack_size());
    CHECK_EQUAL(16, pool.advise().pages);
    STRCMP_CONTAINS("used all there is", pool.advise().text.c_str());
}
