#include "corothread/stack_pool.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "test/support/death.h"
#include "test/support/harness.h"
#include "test/support/sanitizers.h"

#ifdef TEST_SUPPORT_ASAN
#include <sanitizer/asan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

using namespace corothread;
using namespace test_support;

namespace {

const auto kPage = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

// Touches the topmost `pages` pages, as a coroutine would.
void use(const Stack& stack, std::size_t pages) {
    for (std::size_t i = 1; i <= pages; ++i) *(stack.top() - i * kPage) = 1;
}

std::vector<Stack> take_all(StackPool& pool) {
    std::vector<Stack> taken;
    while (const Stack stack = pool.take()) taken.push_back(stack);
    return taken;
}

void give_all(StackPool& pool, const std::vector<Stack>& stacks) {
    for (const Stack& stack : stacks) pool.give(stack);
}

struct Listener final : StackObserver {
    void stack_returned() override { ++heard; }
    int heard = 0;
};

}  // namespace

TEST_GROUP_BASE(StackPool, Fixture) { StackPool pool{{.count = 3, .pages = 4, .scale = false}}; };

TEST(StackPool, GivesOutAsManyStacksAsItHasAndNoMore) {
    const auto taken = take_all(pool);
    CHECK_EQUAL(3, taken.size());
    CHECK(!pool.take());
    give_all(pool, taken);
}

TEST(StackPool, GivesOutAgainWhatCameBackAfterExhaustion) {
    const auto taken = take_all(pool);
    pool.give(taken[1]);
    const Stack again = pool.take();
    POINTERS_EQUAL(taken[1].bottom, again.bottom);
    CHECK(!pool.take());
    give_all(pool, taken);
}

TEST(StackPool, ReusesTheStackThatCameBackLast) {
    const auto taken = take_all(pool);
    for (const int i : {0, 2, 1}) pool.give(taken[static_cast<std::size_t>(i)]);
    CHECK_EQUAL(taken[1].index, pool.take().index);
    CHECK_EQUAL(taken[2].index, pool.take().index);
    CHECK_EQUAL(taken[0].index, pool.take().index);
    give_all(pool, taken);
}

TEST(StackPool, CountsWhatIsInUseAndWhatIsLeft) {
    const Stack one = pool.take();
    const Stack two = pool.take();
    CHECK_EQUAL(2, pool.in_use());
    CHECK_EQUAL(1, pool.available());
    CHECK_EQUAL(3, pool.capacity());
    pool.give(one);
    pool.give(two);
    CHECK_EQUAL(0, pool.in_use());
}

TEST(StackPool, RemembersTheMostThatWereInUse) {
    const Stack one = pool.take();
    pool.give(pool.take());
    pool.give(one);
    pool.give(pool.take());
    CHECK_EQUAL(2, pool.peak());
}

TEST(StackPool, StacksAreAsLargeAsAskedAndDoNotOverlap) {
    const auto taken = take_all(pool);
    std::set<char*> pages;
    for (const Stack& stack : taken) {
        CHECK_EQUAL(4 * kPage, stack.size);
        CHECK_EQUAL(4 * kPage, pool.stack_size());
        for (char* page = stack.bottom; page < stack.top(); page += kPage) CHECK(pages.insert(page).second);
        use(stack, 4);
    }
    give_all(pool, taken);
}

TEST(StackPool, GuardsAreAtLeastAsWideAsAsked) {
    StackPool wide({.count = 2, .pages = 1, .guard_pages = 3});
    CHECK(wide.guard_size() >= 3 * kPage);
    const auto taken = take_all(wide);
    CHECK(static_cast<std::size_t>(taken[1].bottom - taken[0].top()) >= 3 * kPage);
    give_all(wide, taken);
}

TEST(StackPool, StacksAreLargerInBuildsWhoseFramesAreLarger) {
    const StackPool scaled({.count = 1, .pages = 4});
#if defined(__OPTIMIZE__)
    const std::size_t factor = kAsan ? 8 : kTsan ? 4 : 1;
#else
    const std::size_t factor = kAsan ? 8 : kTsan ? 4 : 2;
#endif
    CHECK_EQUAL(4 * kPage * factor, scaled.stack_size());
}

TEST(StackPool, HighWaterIsHowDeepAStackWasUsed) {
    const Stack stack = pool.take();
    use(stack, 3);
    CHECK_EQUAL(3 * kPage, pool.high_water(stack));
    pool.give(stack);
}

TEST(StackPool, HighWaterOfThePoolIsTheDeepest) {
    const auto taken = take_all(pool);
    use(taken[0], 1);
    use(taken[1], 2);
    CHECK_EQUAL(2 * kPage, pool.high_water());
    give_all(pool, taken);
}

TEST(StackPool, TrimGivesTheMemoryOfFreeStacksBack) {
    const Stack stack = pool.take();
    use(stack, 4);
    pool.give(stack);
    CHECK_EQUAL(4 * kPage, pool.high_water(stack));
    pool.trim();
    CHECK_EQUAL(0, pool.high_water(stack));
}

TEST(StackPool, TrimmedStacksAreUsable) {
    pool.give(pool.take());
    pool.trim();
    const Stack stack = pool.take();
    use(stack, 4);
    CHECK_EQUAL(4 * kPage, pool.high_water(stack));
    pool.give(stack);
}

TEST(StackPool, TrimLeavesStacksInUseAlone) {
    const Stack stack = pool.take();
    use(stack, 2);
    pool.trim();
    CHECK_EQUAL(2 * kPage, pool.high_water(stack));
    pool.give(stack);
}

TEST(StackPool, TrimKeepsTheHottest) {
    const auto taken = take_all(pool);
    for (const Stack& stack : taken) use(stack, 1);
    give_all(pool, taken);
    pool.trim(1);
    CHECK_EQUAL(0, pool.high_water(taken[0]));
    CHECK_EQUAL(0, pool.high_water(taken[1]));
    CHECK_EQUAL(kPage, pool.high_water(taken[2]));
}

TEST(StackPool, FreeStacksBeyondKeepGiveTheirMemoryBackByThemselves) {
    StackPool frugal({.count = 8, .pages = 2, .keep = 2, .scale = false});
    const auto taken = take_all(frugal);
    for (const Stack& stack : taken) use(stack, 1);
    give_all(frugal, taken);
    const auto fat = std::count_if(taken.begin(), taken.end(),
                                   [&](const Stack& stack) { return frugal.high_water(stack) > 0; });
    CHECK(fat <= 3);  // two, and the one that came back last: its coroutine was still running on it
}

TEST(StackPool, ObserversHearOfEveryReturnedStack) {
    Listener listener;
    pool.subscribe(listener);
    const Stack stack = pool.take();
    CHECK_EQUAL(0, listener.heard);
    pool.give(stack);
    CHECK_EQUAL(1, listener.heard);
    listener.unlink();
}

TEST(StackPool, ObserversThatHaveLeftHearNothing) {
    Listener listener, stays;
    pool.subscribe(listener);
    pool.subscribe(stays);
    listener.unlink();
    pool.give(pool.take());
    CHECK_EQUAL(0, listener.heard);
    CHECK_EQUAL(1, stays.heard);
    stays.unlink();
}

TEST(StackPool, DyingWithStacksInUseAborts) {
    STRCMP_CONTAINS("stacks are in use", abort_message([] {
                                             StackPool dying({.count = 1});
                                             (void)dying.take();
                                         }).c_str());
}

TEST(StackPool, OnDemandGivesTheSameNumber) {
    StackPool lazy({.count = 150, .pages = 1, .on_demand = true});
    const auto taken = take_all(lazy);
    CHECK_EQUAL(150, taken.size());
    std::set<char*> bottoms;
    for (const Stack& stack : taken) CHECK(bottoms.insert(stack.bottom).second);
    give_all(lazy, taken);
    CHECK_EQUAL(150, take_all(lazy).size());
    give_all(lazy, taken);
}

#ifdef TEST_SUPPORT_ASAN
// What a coroutine's frames have poisoned, and nobody has returned from, may lie there still.
TEST(StackPool, LeavesItsAddressesToOthersWithoutPoison) {
    Stack stack;
    {
        StackPool own{{.count = 1, .pages = 4}};
        stack = own.take();
        __asan_poison_memory_region(stack.bottom, stack.size);
        own.give(stack);
    }
    CHECK(__asan_region_is_poisoned(stack.bottom, stack.size) == nullptr);
}
#endif

#ifdef RUNNING_ON_VALGRIND
namespace {
void use_some_stack(int) {
    char room[2000];
    std::memset(room, 1, sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
}
}  // namespace

// A stack that valgrind still believed in would make it take a step into what lies there now for a switch to
// a coroutine, and what is pushed there for a mistake. Elsewhere there is nobody to ask.
TEST(StackPool, LeavesItsAddressesToOthersWithoutValgrindTakingThemForStacks) {
    Stack gone;
    {
        StackPool own{{.count = 1, .pages = 16}};
        gone = own.take();
        own.give(gone);
    }
    void* const memory = ::mmap(gone.bottom, gone.size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(memory == gone.bottom);
    const stack_t alternate = {.ss_sp = memory, .ss_flags = 0, .ss_size = gone.size};
    const stack_t none = {.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    struct sigaction action = {};
    struct sigaction before = {};
    action.sa_handler = use_some_stack;
    action.sa_flags = SA_ONSTACK;
    ::sigaltstack(&alternate, nullptr);
    ::sigaction(SIGUSR2, &action, &before);
    const auto errors = VALGRIND_COUNT_ERRORS;
    for (int i = 0; i < 3; ++i) ::raise(SIGUSR2);
    CHECK_EQUAL(errors, VALGRIND_COUNT_ERRORS);
    ::sigaction(SIGUSR2, &before, nullptr);
    ::sigaltstack(&none, nullptr);
    ::munmap(memory, gone.size);
}
#endif
