// OverflowReport: a stack overflow says whose it was, and what to raise, before the process dies of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cutils/export.h"

namespace corothread {

class StackPool;

// While it lives, whoever runs into the guard of a StackPool's stack gets a report, then the signal goes its
// way: to the handler that was there before, or to the default one, which ends the process with a core file
// that shows the overflow itself.
//
//   int main() {
//       corothread::OverflowReport overflows;   // first of all, before threads
//       …
//   }
//
//   stack overflow: coroutine "parser" (id 7) needs more than its 20480 bytes (5 pages), stack 3 of a pool of
//   100
//     it touched 0x7f3a5c00aff8, 8 bytes below the end
//     raise StackPoolOptions::pages from 5 to 10, or keep large arrays and deep recursion off the stack
//     _Z11parse_valueR5Input+0x1c (/usr/bin/server+0x4f1c)
//     …
//
// Names are the linker's, which need no memory: c++filt reads them.
//
// A corothread::Coroutine or Generator has no name of its own: it is `a coroutine inside of coroutine
// "parser" (id 7)`, or just `a coroutine`. Should the handler that was there recover (siglongjmp), the next
// overflow is reported, too; the first eight.
//
// Handles SIGSEGV, on an alternate signal stack, because the one that overflowed has no room left. Every OS
// thread needs one: the thread that makes the report has it, loops give it to theirs when they begin to run;
// others call prepare_thread(). On a thread without one the process dies without a word, as before. A fault
// that is not in one of our guards is passed on as it came.
//
// A frame larger than the guard (StackPoolOptions::guard_pages) steps over it into another stack: compile
// with -fstack-clash-protection, and every page is touched in turn.
//
// Owner:  the application; one at a time. Thread: any; others may run meanwhile.
// Errors: std::system_error from the constructor.
// Cost:   nothing until it happens; 64 KiB of address space for each OS thread.
// Under AddressSanitizer its own report comes after this one.
class EVC_API OverflowReport {
  public:
    // `fd` is where it is written, with write(2).
    explicit OverflowReport(int fd = 2);
    OverflowReport(const OverflowReport&) = delete;
    OverflowReport& operator=(const OverflowReport&) = delete;
    // Puts back what was there before, unless somebody has replaced it since.
    ~OverflowReport();

    // Gives the calling OS thread its alternate signal stack, unless it has one; taken back when it ends.
    static void prepare_thread();
    // Does one live?
    static bool wanted();
};

// What runs on the calling OS thread, as somebody above knows it. Called in the signal handler: must only
// read. False when nothing of theirs runs.
struct RunningStack {
    const StackPool* pool;
    std::uint32_t index;
    std::uint64_t id;
    const char* name;
    std::size_t name_size;
};
using FindRunningStack = bool (*)(RunningStack& found);
EVC_API void set_running_stack_finder(FindRunningStack find);

}  // namespace corothread
