// What run.sh looks at with gdb: coroutines that wait for all kinds of things, until somebody ends the
// process.
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "corothread/stack_pool.h"
#include "evcorothread/channel.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/mutex.h"
#include "nutils/unique_fd.h"

using namespace evcorothread;
using namespace std::chrono_literals;

namespace {

int always(int value) {
    __asm__ volatile("" : "+r"(value));
    return value;
}

[[gnu::noinline]] void read_order(EvSocket& socket, int order) {
    char byte = 0;
    if (always(order) > 0) (void)socket.recv({&byte, 1}, Deadline::never);
    __asm__ volatile("" ::"r"(order), "r"(&byte) : "memory");
}
[[gnu::noinline]] void serve_client(EvSocket& socket) {
    read_order(socket, 4711);
    __asm__ volatile("" ::: "memory");
}
[[gnu::noinline]] void update_stock(Mutex& mutex) {
    const MutexLock lock(mutex, Deadline::never);
    if (lock) __asm__ volatile("" ::: "memory");
}
// Where the process is when gdb comes: in a coroutine that runs.
[[gnu::noinline]] void crash_or_wait(const char* how) {
    std::puts("ready");
    std::fflush(stdout);
    if (std::strcmp(how, "crash") == 0) std::abort();
    for (;;) ::pause();
}

}  // namespace

int main(int argc, char** argv) {
    const char* const how = argc > 1 ? argv[1] : "wait";
    // With markers between the stacks, gdb's gcore cannot read any of them; the kernel's core files are good.
    const bool for_gcore = std::strcmp(how, "wait") == 0;
    corothread::StackPool stacks(
        {.count = 8,
         .guard = for_gcore ? corothread::GuardKind::mprotect : corothread::GuardKind::automatic});
    EvLoop loop(stacks);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) return 1;
    EvSocket socket(loop, nutils::UniqueFd(ends[0]));
    const nutils::UniqueFd peer(ends[1]);
    Mutex stock("stock");
    Channel<int> orders(0);
    loop.spawn("client", [&] { serve_client(socket); });
    loop.spawn("holder", [&] {
        const MutexLock lock(stock, 1s);
        if (lock) (void)this_evthread::delay(1h);
    });
    loop.spawn("updater", [&] { update_stock(stock); });
    loop.spawn("consumer", [&] { (void)orders.recv(Deadline::never); });
    loop.spawn("canceled",
               [&] {
                   const CancelShield shield(1h);
                   (void)this_evthread::delay(1h);
               })
        .cancel();
    loop.spawn("busy", [&] {
        this_evthread::yield();
        loop.spawn("early", [] {});
        crash_or_wait(how);
    });
    loop.run();
}
