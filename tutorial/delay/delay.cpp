// Coroutine threads that wait, in C++; the same in C is delay_c.c.
//
//   delay [MS]...     one coroutine thread for each number: it waits that long, then says so;
//                     30 10 20 unless told
//
// Whoever waits less comes first, whatever the order they were started in; and all of it takes as long as the
// longest wait, not as their sum. Nothing here is a thread of the operating system.
#include <evcorothread/ev_loop.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

using namespace evcorothread;
using std::chrono::milliseconds;

int main(int argc, char** argv) {
    std::vector<milliseconds> waits;
    for (int i = 1; i < argc; ++i) waits.emplace_back(std::strtol(argv[i], nullptr, 10));
    if (waits.empty()) waits = {milliseconds(30), milliseconds(10), milliseconds(20)};

    corothread::StackPool stacks({.count = 100, .pages = 5});
    EvLoop loop(stacks);
    for (const milliseconds wait : waits) {
        loop.spawn("sleeper", [wait] {               // it runs when the loop does
            if (this_evthread::delay(wait)) return;  // canceled
            std::printf("%ld ms\n", static_cast<long>(wait.count()));
        });
    }
    loop.run();  // returns when the last of them has returned
}
