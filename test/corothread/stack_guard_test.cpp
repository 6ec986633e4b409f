// What lies below a stack, on kernels of every age: simulated by system calls that fail.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "corothread/coroutine.h"
#include "corothread/stack_pool.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/harness.h"
#include "test/support/log_capture.h"

using namespace corothread;
using namespace test_support;

namespace {

bool kernel_has_markers() { return StackPool({.count = 1}).guard() == GuardKind::marker; }

std::string refusal(const StackPoolOptions& options) {
    try {
        const StackPool pool(options);
        return "made";
    } catch (const std::system_error& error) {
        return std::to_string(error.code().value()) + " " + error.what();
    }
}

long mappings() {
    std::FILE* const maps = std::fopen("/proc/self/maps", "re");
    long lines = 0;
    for (int c; (c = std::fgetc(maps)) != EOF;) lines += c == '\n';
    std::fclose(maps);
    return lines;
}

// The lowest byte of a stack is the coroutine's, the one below it is fatal.
void check_guard(GuardKind kind) {
    StackPool pool({.count = 3, .pages = 2, .guard = kind});
    const Stack lowest = pool.take();
    const Stack stack = pool.take();
    auto* const bottom = static_cast<volatile char*>(stack.bottom);
    CHECK_EQUAL(0, death_signal([&] { bottom[0] = 1; }));
    CHECK_EQUAL(SIGSEGV, death_signal([&] { bottom[-1] = 1; }));
    const auto guard = static_cast<std::ptrdiff_t>(pool.guard_size());
    CHECK_EQUAL(SIGSEGV, death_signal([&] { bottom[-guard] = 1; }));
    CHECK_EQUAL(0, death_signal([&] { bottom[-guard - 1] = 1; }));  // the neighbour's top
    pool.give(stack);
    pool.give(lowest);
}

[[gnu::noinline]] int dig(int depth) {
    volatile char frame[1024];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? frame[0] : dig(depth - 1) + frame[0];
}

void check_overflow(GuardKind kind) {
    StackPool pool({.count = 2, .pages = 4, .guard = kind});
    CHECK_EQUAL(SIGSEGV, death_signal([&] {
                    Coroutine<void> deep(pool, [](auto&) { (void)dig(1'000'000); });
                    deep.resume();
                }));
}

}  // namespace

TEST_GROUP_BASE(StackGuard, Fixture) {
    FaultInjection faults;
    // Before Linux 6.13, neither one at a time nor many at once.
    void kernel_without_markers() {
        faults.fail("madvise", EINVAL, FaultInjection::kAlways);
        faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    }
};

TEST(StackGuard, MprotectGuardsFault) { check_guard(GuardKind::mprotect); }

TEST(StackGuard, MarkersFault) {
    if (kernel_has_markers()) check_guard(GuardKind::marker);
}

TEST(StackGuard, AnOverflowDiesInsteadOfWritingOverTheNeighbour) {
    check_overflow(GuardKind::automatic);
    check_overflow(GuardKind::mprotect);
}

TEST(StackGuard, MarkersAreInstalledOneByOneWhereTheyCannotBeManyAtOnce) {
    if (!kernel_has_markers()) return;
    faults.fail("syscall", EPERM, FaultInjection::kAlways);
    check_guard(GuardKind::marker);
}

TEST(StackGuard, EveryOneOfManyHasAGuard) {
    constexpr std::size_t kMany = 1500;  // more than one call to the kernel installs
    StackPool pool({.count = kMany, .pages = 1});
    std::vector<Stack> taken;
    while (const Stack stack = pool.take()) taken.push_back(stack);
    for (const std::size_t i : {std::size_t{0}, std::size_t{511}, std::size_t{512}, std::size_t{1023},
                                std::size_t{1024}, kMany - 1})
        CHECK_EQUAL(SIGSEGV, death_signal([&] { static_cast<volatile char*>(taken[i].bottom)[-1] = 1; }));
    for (const Stack& stack : taken) pool.give(stack);
}

TEST(StackGuard, MarkersSurviveTrim) {
    StackPool pool({.count = 2, .pages = 2});
    const Stack lowest = pool.take();
    const Stack stack = pool.take();
    pool.give(stack);
    pool.trim();
    CHECK_EQUAL(SIGSEGV, death_signal([&] { static_cast<volatile char*>(stack.bottom)[-1] = 1; }));
    pool.give(lowest);
}

TEST(StackGuard, GuardsOfStacksMadeOnDemandFault) {
    StackPool pool({.count = 100, .pages = 2, .on_demand = true});
    std::vector<Stack> taken;
    for (int i = 0; i < 70; ++i) taken.push_back(pool.take());
    CHECK_EQUAL(SIGSEGV, death_signal([&] { static_cast<volatile char*>(taken.back().bottom)[-1] = 1; }));
    for (const Stack& stack : taken) pool.give(stack);
}

TEST(StackGuard, OnDemandGuardsAreInstalledWhenStacksAreNeeded) {
    StackPool pool({.count = 1000, .pages = 1, .on_demand = true, .guard = GuardKind::mprotect});
    CHECK_EQUAL(0, faults.calls("mprotect"));
    pool.give(pool.take());
    CHECK(faults.calls("mprotect") > 0 && faults.calls("mprotect") <= 100);
}

TEST(StackGuard, AKernelWithoutMarkersGetsMprotect) {
    kernel_without_markers();
    StackPool pool({.count = 3, .pages = 2});
    CHECK(pool.guard() == GuardKind::mprotect);
    CHECK_EQUAL(3, faults.calls("mprotect"));
}

TEST(StackGuard, MarkersThatAreAskedForAndMissingAreAnError) {
    kernel_without_markers();
    STRCMP_CONTAINS("guarding stack 0 of 3", refusal({.count = 3, .guard = GuardKind::marker}).c_str());
}

TEST(StackGuard, TooManyMprotectGuardsAreRefusedWithTheSysctlAndTheValueToSet) {
    const std::string said = refusal({.count = 500'000, .pages = 1, .guard = GuardKind::mprotect});
    STRCMP_CONTAINS("500000 stacks with mprotect guards need 1001000 memory mappings", said.c_str());
    STRCMP_CONTAINS("sysctl -w vm.max_map_count=", said.c_str());
    CHECK_EQUAL(std::to_string(EMFILE), said.substr(0, said.find(' ')));
    CHECK_EQUAL(0, faults.calls("mprotect"));
}

TEST(StackGuard, TheValueToSetIsEnough) {
    const std::string said = refusal({.count = 500'000, .pages = 1, .guard = GuardKind::mprotect});
    const std::string key = "max_map_count=";
    const long value = std::stol(said.substr(said.find(key) + key.size()));
    CHECK(value >= 1'000'000 + mappings());
    CHECK(value < 1'000'000 + 100'000);
}

TEST(StackGuard, AHundredThousandMarkersCostNoMappings) {
    if (!kernel_has_markers()) return;
    const long before = mappings();
    StackPool pool({.count = 100'000, .pages = 1});
    CHECK(mappings() - before <= 3);
}

TEST(StackGuard, RefusesNumbersThatMakeNoSenseAndSaysWhich) {
    STRCMP_CONTAINS("count must be 1 to", refusal({.count = 0}).c_str());
    STRCMP_CONTAINS("not 4294967296", refusal({.count = std::size_t{1} << 32}).c_str());
    STRCMP_CONTAINS("pages must be 1 to", refusal({.pages = 0}).c_str());
    STRCMP_CONTAINS("pages must be 1 to", refusal({.pages = ~std::size_t{0}}).c_str());
    STRCMP_CONTAINS("guard_pages must be 1 to", refusal({.guard_pages = 0}).c_str());
    STRCMP_CONTAINS("StackPool: ", refusal({.count = 0}).c_str());
}

TEST(StackGuard, MoreThanTheAddressSpaceIsRefusedWithAdvice) {
    const std::string said = refusal({.count = 1'000'000, .pages = std::size_t{1} << 30});
    STRCMP_CONTAINS("no address space", said.c_str());
    STRCMP_CONTAINS("vm.overcommit_memory", said.c_str());
    CHECK_EQUAL(std::to_string(ENOMEM), said.substr(0, said.find(' ')));
}

TEST(StackGuard, NoMappingIsAnError) {
    faults.fail("mmap", ENOMEM, 1, kernel_has_markers() ? 1 : 0);  // the first asks for markers
    STRCMP_CONTAINS("no address space", refusal({.count = 3, .guard = GuardKind::automatic}).c_str());
}

TEST(StackGuard, AGuardThatFailsLeavesNoMappingBehind) {
    faults.fail("mprotect", ENOMEM, 1, 5);
    STRCMP_CONTAINS("guarding stack 5 of 10", refusal({.count = 10, .guard = GuardKind::mprotect}).c_str());
    CHECK_EQUAL(faults.calls("mmap"), faults.calls("munmap"));
}

TEST(StackGuard, OnDemandAGuardThatFailsIsNoStackAndALineInTheLog) {
    LogCapture log;
    StackPool pool({.count = 10, .on_demand = true, .guard = GuardKind::mprotect});
    faults.fail("mprotect", ENOMEM);
    CHECK(!pool.take());
    STRCMP_CONTAINS("guarding stack 0 of 10 failed", log.text().c_str());
}

TEST(StackGuard, OnDemandTheNextTryMaySucceed) {
    LogCapture log;
    StackPool pool({.count = 10, .on_demand = true, .guard = GuardKind::mprotect});
    faults.fail("mprotect", ENOMEM, 1, 5);
    CHECK(!pool.take());
    const Stack stack = pool.take();
    CHECK(stack);
    pool.give(stack);
}
