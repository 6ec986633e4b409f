// Backtraces: of stacks that run and of stacks that are left, complete, and no further than where they begin.
#include "corothread/backtrace.h"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>

#include "corothread/coroutine.h"
#include "corothread/stack_pool.h"
#include "test/support/fault_injection.h"
#include "test/support/harness.h"

using namespace corothread;
using namespace test_support;

namespace {

[[gnu::noinline]] Backtrace innermost_of_three() {
    const Backtrace trace = Backtrace::here();
    __asm__ volatile("" ::: "memory");
    return trace;
}
[[gnu::noinline]] Backtrace middle_of_three() {
    const Backtrace trace = innermost_of_three();
    __asm__ volatile("" ::: "memory");
    return trace;
}

[[gnu::noinline]] Backtrace recursion(int depth) {
    const Backtrace trace = depth == 0 ? Backtrace::here() : recursion(depth - 1);
    __asm__ volatile("" ::: "memory");
    return trace;
}

// The function's name only: the file that it lies in may be called anything.
bool names(const Backtrace& trace, const std::string& function) {
    return std::any_of(trace.begin(), trace.end(), [&](const void* frame) {
        const std::string symbol = symbol_of(frame);
        return symbol.substr(0, symbol.find(" (")).find(function) != std::string::npos;
    });
}

}  // namespace

TEST_GROUP_BASE(Backtraces, Fixture) { StackPool pool{{.count = 8}}; };

TEST(Backtraces, NameStaticFunctionsInnermostFirst) {
    const Backtrace trace = middle_of_three();
    STRCMP_CONTAINS("innermost_of_three", symbol_of(trace.begin()[0]).c_str());
    STRCMP_CONTAINS("middle_of_three", symbol_of(trace.begin()[1]).c_str());
    CHECK(names(trace, "main"));
}

// There dladdr knows nothing.
TEST(Backtraces, NameFunctionsOfStaticallyLinkedProgramsToo) {
    const Backtrace trace = middle_of_three();
    const std::string usual = symbol_of(trace.begin()[0]);
    FaultInjection faults;
    faults.fail("dladdr", 0, FaultInjection::kAlways);
    STRCMP_CONTAINS("innermost_of_three", usual.c_str());
    STRCMP_EQUAL(usual.c_str(), symbol_of(trace.begin()[0]).c_str());
    STRCMP_EQUAL("0x1", symbol_of(reinterpret_cast<const void*>(1)).c_str());
}

TEST(Backtraces, SkipWhatTheyAreToldTo) {
    const Backtrace all = Backtrace::here();
    const Backtrace fewer = Backtrace::here(1);
    CHECK_EQUAL(all.depth(), fewer.depth() + 1);
}

TEST(Backtraces, KeepBothEndsOfADeepStack) {
    const Backtrace trace = recursion(500);
    CHECK(trace.depth() > 500);
    CHECK_EQUAL(Backtrace::kInner + Backtrace::kOuter, trace.size());
    STRCMP_CONTAINS("recursion", symbol_of(trace.begin()[0]).c_str());
    CHECK(names(trace, "main"));
    STRCMP_CONTAINS(" more\n", to_string(trace).c_str());
}

TEST(Backtraces, InACoroutineEndWhereItBegins) {
    std::optional<Backtrace> trace;
    Coroutine<void> coroutine(pool, [&](auto&) { trace = middle_of_three(); });
    coroutine.resume();
    CHECK(names(*trace, "middle_of_three"));
    CHECK_FALSE(names(*trace, "main"));
    CHECK_FALSE(names(*trace, "fcontext"));
    STRCMP_CONTAINS("Block::entry", symbol_of(trace->end()[-1]).c_str());
}

TEST(Backtraces, ASignalHandlersWriterNamesTheSame) {
    int ends[2];
    CHECK_EQUAL(0, ::pipe(ends));
    write_backtrace(ends[1], middle_of_three());
    char text[8192] = {};
    CHECK(::read(ends[0], text, sizeof text - 1) > 0);
    ::close(ends[0]);
    ::close(ends[1]);
    STRCMP_CONTAINS("middle_of_three", text);
}

TEST(Backtraces, OfAnAddressThatIsNobodysIsTheAddress) {
    CHECK_EQUAL("0x10", symbol_of(reinterpret_cast<void*>(16)));
}
