// FaultInjection: system calls that fail, give little, or are watched, when a test says so.
//
// How it gets in the way: the linker's --wrap. A test program whose test/<layer>/wrap.txt names `recv` has
// every call of recv in its objects and our static libraries go to __wrap_recv, defined by TEST_SUPPORT_WRAP
// in one file of the test:
//
//   // test/<layer>/wrapped_calls.cpp
//   #include "test/support/wrapped_socket_calls.h"       // everything that test/nutils/wrap.txt names
//   TEST_SUPPORT_WRAP(int, epoll_ctl, (int epoll, int what, int fd, epoll_event* event),
//                     (epoll, what, fd, event))
//
// Calls made inside shared libraries (libc, libevent, libstdc++) are not seen. The test's own calls are.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include "cutils/check.h"

namespace test_support {

// What a wrapped call does instead of the real thing.
struct InjectedFault {
    long result;
    int error;
    long take() const {
        errno = error;
        return result;
    }
};

// One wrapped function. Made by TEST_SUPPORT_WRAP, steered by FaultInjection.
class FaultSite {
  public:
    explicit FaultSite(const char* name) : name_(name), next_(first()) { first() = this; }

    // Counts a call; tells whether it must not happen.
    std::optional<InjectedFault> enter();

    // At how many bytes the call must stop.
    [[nodiscard]] std::size_t limited(std::size_t bytes) {
        if (all_real()) return bytes;
        const std::lock_guard lock(mutex());
        return bytes < limit_ ? bytes : limit_;
    }

    // From now on nothing is injected, counted or locked: for who writes down coverage at any place.
    static bool& all_real() {
        static bool real = false;
        return real;
    }

  private:
    friend class FaultInjection;
    static constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

    struct Overall {
        long calls = 0;
        long fail_at = 0;
        long failed = 0;
        int error = 0;
    };
    static FaultSite*& first() {
        static FaultSite* site = nullptr;
        return site;
    }
    static std::mutex& mutex() {
        static std::mutex mutex;
        return mutex;
    }
    static Overall& overall() {
        static Overall overall;
        return overall;
    }
    static FaultSite& named(const char* name) {
        for (FaultSite* site = first(); site != nullptr; site = site->next_)
            if (std::strcmp(site->name_, name) == 0) return *site;
        EVC_CHECK(false, "no such wrapped call: it must stand in wrap.txt and in a TEST_SUPPORT_WRAP");
        __builtin_unreachable();
    }
    static void reset() {
        const std::lock_guard lock(mutex());
        overall() = {};
        for (FaultSite* site = first(); site != nullptr; site = site->next_) site->forget();
    }
    void forget() {
        calls_ = skip_ = times_ = 0;
        limit_ = kNoLimit;
        before_ = nullptr;
    }

    const char* const name_;
    FaultSite* const next_;
    long calls_ = 0;
    long skip_ = 0;   // calls to let pass before
    long times_ = 0;  // calls to replace
    InjectedFault fault_ = {};
    std::size_t limit_ = kNoLimit;
    std::function<void()> before_;
};

// A member of a test or of its group: faults last as long as it does. One at a time; faults hit every thread.
//
//   FaultInjection faults;
//   faults.fail("recv", EINTR, 2);           // the next two calls
//   faults.fail("accept4", EMFILE);          // the next one
//   faults.limit("send", 3);                 // from now on at most 3 bytes a call
//   CHECK_EQUAL(3, faults.calls("recv"));
class FaultInjection {
  public:
    static constexpr long kAlways = std::numeric_limits<long>::max();

    FaultInjection() { FaultSite::reset(); }
    ~FaultInjection() { FaultSite::reset(); }
    FaultInjection(const FaultInjection&) = delete;
    FaultInjection& operator=(const FaultInjection&) = delete;

    // The next `times` calls fail with errno `error`, after `skip` that go through.
    void fail(const char* call, int error, long times = 1, long skip = 0) {
        answer(call, -1, error, times, skip);
    }

    // The next `times` calls return `result` and do nothing.
    void answer(const char* call, long result, int error = 0, long times = 1, long skip = 0) {
        const std::lock_guard lock(FaultSite::mutex());
        FaultSite& site = FaultSite::named(call);
        site.fault_ = {result, error};
        site.times_ = times;
        site.skip_ = skip;
    }

    // The n-th wrapped call of any name from now on fails (1: the next). close() does close, and then says
    // so.
    void fail_nth(long n, int error) {
        const std::lock_guard lock(FaultSite::mutex());
        FaultSite::overall() = {0, n, 0, error};
    }

    // Transfers move at most this many bytes: recv, send, recvmsg, sendmsg, read, pread, write, sendfile,
    // splice; or messages: recvmmsg, sendmmsg.
    void limit(const char* call, std::size_t bytes) {
        const std::lock_guard lock(FaultSite::mutex());
        FaultSite::named(call).limit_ = bytes;
    }

    // Runs `action` each time before the call: what another process or thread might do just then. Calls that
    // `action` makes itself do not run it again.
    void before(const char* call, std::function<void()> action) {
        const std::lock_guard lock(FaultSite::mutex());
        FaultSite::named(call).before_ = std::move(action);
    }

    // How often it was called since this object was made, replaced calls among them.
    [[nodiscard]] long calls(const char* call) const {
        const std::lock_guard lock(FaultSite::mutex());
        return FaultSite::named(call).calls_;
    }
    // All wrapped calls since this object was made or since fail_nth().
    [[nodiscard]] long calls() const {
        const std::lock_guard lock(FaultSite::mutex());
        return FaultSite::overall().calls;
    }
    // How many calls fail_nth() has hit.
    [[nodiscard]] long failed() const {
        const std::lock_guard lock(FaultSite::mutex());
        return FaultSite::overall().failed;
    }
};

inline std::optional<InjectedFault> FaultSite::enter() {
    if (all_real()) return std::nullopt;
    std::function<void()> action;
    {
        const std::lock_guard lock(mutex());
        action = std::exchange(before_, nullptr);
    }
    if (action) {
        action();
        const std::lock_guard lock(mutex());
        if (!before_) before_ = std::move(action);
    }
    const std::lock_guard lock(mutex());
    ++calls_;
    Overall& all = overall();
    if (++all.calls == all.fail_at) {
        ++all.failed;
        return InjectedFault{-1, all.error};
    }
    if (times_ <= 0) return std::nullopt;
    if (skip_ > 0) {
        --skip_;
        return std::nullopt;
    }
    if (times_ != FaultInjection::kAlways) --times_;
    return fault_;
}

// Runs `attempt` with its first wrapped call failing with errno `error`, then with its second, and so on
// until a run makes fewer. Returns how many runs met a failure.
template <class F>
long for_each_failing_call(int error, F&& attempt) {
    for (long n = 1;; ++n) {
        FaultInjection faults;
        faults.fail_nth(n, error);
        attempt();
        if (faults.failed() == 0) return n - 1;
    }
}

}  // namespace test_support

// Defines the stand-in of `name`. At namespace scope, in one file of a test program whose wrap.txt names it.
#define TEST_SUPPORT_WRAP(type, name, parameters, arguments)                                       \
    extern "C" type __real_##name parameters;                                                      \
    extern "C" type __wrap_##name parameters;                                                      \
    static ::test_support::FaultSite fault_site_##name(#name);                                     \
    type __wrap_##name parameters {                                                                \
        if (const auto fault = fault_site_##name.enter()) return static_cast<type>(fault->take()); \
        return __real_##name arguments;                                                            \
    }

// The same for a transfer whose parameter `size` limit() cuts down.
#define TEST_SUPPORT_WRAP_SIZED(type, name, parameters, size, arguments)                           \
    extern "C" type __real_##name parameters;                                                      \
    extern "C" type __wrap_##name parameters;                                                      \
    static ::test_support::FaultSite fault_site_##name(#name);                                     \
    type __wrap_##name parameters {                                                                \
        if (const auto fault = fault_site_##name.enter()) return static_cast<type>(fault->take()); \
        size = static_cast<decltype(size)>(fault_site_##name.limited(size));                       \
        return __real_##name arguments;                                                            \
    }
