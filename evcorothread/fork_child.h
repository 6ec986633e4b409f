// process::fork_child: fork(2) for a process that runs a loop, in a safe form and in libmill's.
#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/child_process.h"
#include "evcorothread/ev_loop.h"

namespace evcorothread::process {

// What both forms do, and a bare fork(2) does not:
//
//   * The child's loop gets an epoll set, a timer, a wake-up and a signal pipe of its own (event_reinit and
//     more). With the parent's, each process would drain what the other waits for, and a signal to the one
//     would arrive in the other. Signals are held back meanwhile; none is lost.
//   * stdio is flushed before, so that nothing is printed twice. (std::cout after sync_with_stdio(false) has
//   a
//     buffer of its own: flush it yourself.)
//   * What was posted to the loop and has not run yet runs in the parent only.
//   * A fork that cannot work fails in the parent, before there is a child.
//
// What no fork can do: other OS threads do not exist in the child, and the locks they held stay locked. So
// fork before there are any: before LoopGroup, offload, or libraries with threads of their own. Loops of
// other OS threads, and other loops of this one, are unusable in the child.

struct ForkOptions {
    // Descriptors that this loop watches and the child keeps all the same.
    std::vector<int> keep{};
    // Sent to the child when the parent dies, however that happens; 0: nothing. (The kernel sends it when the
    // OS thread that forked ends: fork on one that lives as long as the process.)
    int when_parent_dies = 0;
};

// Forks a process that runs `main` and ends with what it returns. The safe form.
//
//   auto child = process::fork_child(loop, [&] {
//       corothread::StackPool stacks({.count = 100});
//       EvLoop fresh(stacks);
//       …
//       fresh.run();
//       return 0;
//   });
//   auto status = child->wait(10s);
//
// The child runs `main` on the OS thread's own stack, however small the coroutine's is that forked. The
// parent's coroutines are memory there and no more: none runs, none is unwound. The parent's loop does not
// run either; its sockets, pipes and acceptors that have ever waited are closed (so that a connection which
// the parent closes is closed), the signal dispositions are what they were before it watched any. Make a
// fresh loop in `main`. When `main` returns, stdio is flushed and the process ends by _exit(2): no destructor
// of the parent's objects, no atexit function runs. 1 when an exception leaves `main`; it is logged.
//
// Before: on the loop's thread, in a coroutine or outside.
// Errors: EAGAIN, ENOMEM, EMFILE, of fork(2) and of what is prepared for the child; std::bad_alloc.
// Cost:   a fork: page tables are copied, 50 µs or so and more the more memory is in use. Never suspends.
[[nodiscard]] EVC_API cutils::Result<ChildProcess> fork_child(EvLoop& loop, const std::function<int()>& main,
                                                              const ForkOptions& options = {});

// Forks here, as libmill's mfork: returns twice, 0 in the child, the child's pid in the parent, and the loop
// goes on in both.
//
//   for (int i = 1; i < processes; ++i)
//       if (fork_child(loop).value() == 0) break;      // before the first coroutine: the usual place
//   auto acceptor = EvTcpAcceptor::adopt(loop, std::move(listener), greet).value();
//   loop.run();
//
// In the child only the calling coroutine goes on, if it is one that forks. All others are canceled there:
// each wakes with `canceled` as soon as the caller waits, unwinds, and closes its copy of what it had. No
// CancelShield protects them, so their good-byes do not reach the parent's connections; only a Bundle's end,
// and the like, still waits for the others to unwind. (So a caller that is a bundle's child itself is
// canceled with the others of that bundle when its owner ends it.) What they do without waiting they do in
// both processes, though: shutdown_send(), unlink(2), a try_send(). One that had not started yet starts
// canceled; one that had no stack yet never does. Where that is not acceptable, fork before there are others,
// or use the form with a main function.
//
// What the loop watches without a coroutine goes on in both: acceptors share their queue (that is what this
// form is for), timers fire in both. A parked connection (EvParking) must be served by one of the two: close
// it in the child.
//
// The caller reaps: by ChildProcess::adopt(loop, pid), which waits for it in a coroutine. In the child,
// leave by _exit(2), or let main() return only if all that it then destroys may be destroyed twice (an
// acceptor on a unix path removes the parent's socket file, for instance).
//
// Before, Errors, Cost: as above.
[[nodiscard]] EVC_API cutils::Result<pid_t> fork_child(EvLoop& loop);

}  // namespace evcorothread::process
