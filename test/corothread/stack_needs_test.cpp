// The table in docs/stack-size.md is true: no call needs more than it says, nor less than a third of it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // of <regex>, with ASan
#endif
#include <netdb.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>

#include "corothread/coroutine.h"
#include "corothread/stack_pool.h"
#include "test/support/harness.h"
#include "test/support/stack_table.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif

using namespace corothread;
using namespace test_support;

namespace {

constexpr char kPaint = 0x5a;

// Bytes of stack that `call` needs: what it overwrites of the paint below this frame.
[[gnu::noinline]] std::size_t painted_over(char* bottom, const std::function<void()>& call) {
    constexpr std::size_t kMine = 1024;  // memset's own frame, and a red zone
    char* const top = static_cast<char*>(__builtin_frame_address(0));
    std::memset(bottom, kPaint, static_cast<std::size_t>(top - bottom) - kMine);
    call();
#ifdef VALGRIND_MAKE_MEM_DEFINED
    (void)VALGRIND_MAKE_MEM_DEFINED(bottom, top - bottom);  // we know what we read
#endif
    const char* deepest = bottom;
    while (deepest < top && *deepest == kPaint) ++deepest;
    return static_cast<std::size_t>(top - deepest);
}

double kib_needed(const std::function<void()>& call) {
    StackPool pool({.count = 1, .pages = 512, .scale = false});
    std::size_t bytes = 0;
    Coroutine<void> coroutine(pool, [&](auto&) { bytes = painted_over(pool.stack(0).bottom, call); });
    coroutine.resume();
    return static_cast<double>(bytes) / 1024;
}

bool frames_are_as_released() {
#if defined(__OPTIMIZE__)
    return !kSanitized;
#else
    return false;  // the pool is larger there, too
#endif
}

void check(const std::string& what, const std::function<void()>& call) {
    if (!frames_are_as_released()) return;
    const double documented = documented_kib(what);
    const double needed = kib_needed(call);
    const std::string text =
        what + ": documented " + std::to_string(documented) + " KiB, measured " + std::to_string(needed);
    CHECK_TEXT(needed <= documented, text.c_str());
    CHECK_TEXT(needed >= documented / 3, text.c_str());
}

}  // namespace

TEST_GROUP_BASE(StackNeeds, Fixture){};

TEST(StackNeeds, OfPrintf) {
    check("`snprintf` with text and integers", [] {
        char buffer[64];
        (void)std::snprintf(buffer, sizeof buffer, "%s %d %lx", "text", 4711, 0xbeefUL);
    });
    check("`snprintf` with `%f`", [] {
        char buffer[512];
        volatile double large = 1e300;
        (void)std::snprintf(buffer, sizeof buffer, "%f", large);
    });
}

TEST(StackNeeds, OfStreams) {
    check("`std::ostringstream` with a `double`", [] {
        std::ostringstream text;
        text << "pi: " << 3.14159 << '\n';
    });
}

TEST(StackNeeds, OfExceptions) {
    check("`throw` and `catch`", [] {
        try {
            throw std::runtime_error("something");
        } catch (const std::exception&) {
        }
    });
}

TEST(StackNeeds, OfRegularExpressions) {
    check("`std::regex` on 10 characters", [] {
        const std::regex expression("(a|b)*c");
        (void)std::regex_match(std::string(9, 'a') + "c", expression);
    });
    check("`std::regex` on 100 characters", [] {
        const std::regex expression("(a|b)*c");
        (void)std::regex_match(std::string(99, 'a') + "c", expression);
    });
}

TEST(StackNeeds, OfNameLookups) {
    check("`getaddrinfo` of `localhost`", [] {
        addrinfo hints = {};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (::getaddrinfo("localhost", "http", &hints, &found) == 0) ::freeaddrinfo(found);
    });
}

TEST(StackNeeds, OfTimes) {
    check("`localtime_r`, `strftime`", [] {
        const std::time_t now = 1'700'000'000;
        std::tm local = {};
        ::localtime_r(&now, &local);
        char text[64];
        (void)std::strftime(text, sizeof text, "%c", &local);
    });
}
