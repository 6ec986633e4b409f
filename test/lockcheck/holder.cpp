// What run.sh runs under the lock check: a coroutine that waits with a std::mutex locked, and one that does
// not.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"

using namespace evcorothread;
using namespace std::chrono_literals;

namespace {

std::mutex cache_mutex;

[[gnu::noinline]] void refresh_cache_and_wait() {
    const std::lock_guard lock(cache_mutex);
    (void)this_evthread::delay(5ms);
    __asm__ volatile("" ::: "memory");
}
[[gnu::noinline]] void refresh_cache() {
    { const std::lock_guard lock(cache_mutex); }
    (void)this_evthread::delay(5ms);
    __asm__ volatile("" ::: "memory");
}

// Ends with it locked. Another coroutine, perhaps on the same stack, is the next to use a mutex.
[[gnu::noinline]] void lock_and_forget() {
    cache_mutex.lock();
    __asm__ volatile("" ::: "memory");
}
std::mutex other_mutex;

}  // namespace

int main(int argc, char** argv) {
    corothread::StackPool stacks({.count = 2});
    EvLoop loop(stacks);
    const bool hold = argc > 1 && std::strcmp(argv[1], "hold") == 0;
    loop.spawn("refresher", [hold] { hold ? refresh_cache_and_wait() : refresh_cache(); });
    if (argc > 1 && std::strcmp(argv[1], "forget") == 0) {
        loop.spawn("forgetful", lock_and_forget);
        loop.run();
        loop.spawn("next", [] { const std::lock_guard lock(other_mutex); });
    }
    loop.run();
    std::puts("done");
}
