// t_here: which coroutine runs on this OS thread, as inlined fast paths see it. For the classes of this
// folder; everybody else asks this_evthread.
#pragma once

#include <cstdint>

#include "cutils/export.h"

namespace evcorothread {

struct ThreadCore;
struct LoopCore;

// Why a coroutine's waits are not the usual ones.
enum ThreadFlags : std::uint8_t {
    kCanceled = 1,
    kLimited = 2,        // by the deadline of its bundle
    kLeftBehind = 4,     // in a forked child, and not who forked: no shield protects it any more
    kTimed = 8,          // somebody wants to know since when it waits
    kStackWatched = 16,  // somebody wants to know how deep its stack is used
};

// How every coroutine's control block begins.
struct ThreadHead {
    std::uint8_t flags;
    std::uint8_t name_size;
    bool has_locals;  // it has made a CoroutineLocal
    std::uint32_t stack_index;
};

// The current coroutine, and its loop right beside it: one load less in the chain from here to the next
// stack.
struct Here {
    ThreadCore* thread;  // begins with a ThreadHead; null outside of coroutines
    LoopCore* loop;
};
extern EVC_API __thread Here t_here __attribute__((tls_model("initial-exec")));

// Is this a coroutine that nobody has asked to stop? Cost: three loads.
[[gnu::always_inline]] inline bool in_uncanceled_thread() {
    const auto* const head = reinterpret_cast<const ThreadHead*>(t_here.thread);
    return head != nullptr && (head->flags & kCanceled) == 0;
}

}  // namespace evcorothread
