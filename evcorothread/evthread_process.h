// The C face of EVCOROTHREAD: signals, child processes, and a parent with workers. Included by evthread.h,
// where the rules of all these calls stand.
#pragma once

#include <sys/types.h>

#include "evcorothread/evthread.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- EVSIGNAL: signals as something to wait for ----

// Signals, counted as they arrive, so that none is lost between two waits:
//
//   const int numbers[] = {SIGTERM, SIGHUP};
//   EVSIGNAL *signals = EVSIGNAL_init(loop, numbers, 2);
//   while (EVSIGNAL_wait(signals, EVTIMEOUT_never()) == SIGHUP) reload();
//
// While it lives, the dispositions of these signals are the loop's; afterwards what they were. It is no work:
// EVLOOP_run goes on because a coroutine thread waits, not because signals are watched.
typedef struct tagEVSIGNAL EVSIGNAL;

// Watches `count` signals. In a process, one loop at a time watches signals.
// Owner:  the loop; EVSIGNAL_free ends it before.
// Errors: EINVAL, also for a signal that cannot be caught; ENOMEM.
EVC_API EVSIGNAL* EVSIGNAL_init(EVLOOP* loop, const int* numbers, int count) EVTHREAD_NOTHROW;

// Waits for the next signal, and returns its number. Several may wait; each signal goes to one of them.
// Before: called in a coroutine thread of the loop.
// Errors: ETIMEDOUT, ECANCELED; EBADF: it was freed.
EVC_API int EVSIGNAL_wait(EVSIGNAL* signals, struct timeval timeout) EVTHREAD_NOTHROW;

// The next one that has arrived. Errors: EAGAIN when there is none.
EVC_API int EVSIGNAL_try_wait(EVSIGNAL* signals) EVTHREAD_NOTHROW;

EVC_API int EVSIGNAL_free(EVSIGNAL* signals) EVTHREAD_NOTHROW;

// ---- EVPROCESS: fork(2) for a process that runs a loop ----

// What these do and a bare fork(2) does not: the child's loop gets an epoll set and wake-ups of its own,
// so that neither process takes what the other waits for; stdio is flushed before, so that nothing is printed
// twice. What no fork can do: other OS threads do not exist in the child. Fork before there are any
// (EVOFFLOAD has some).

// What a forked process does; its exit code.
typedef int (*EVPROCESS_PROC)(void* user_ctx);

// Forks a process that runs proc(user_ctx) and ends with what it returns; returns its pid. The safe form: the
// child runs on the OS thread's own stack, and none of the parent's coroutine threads runs there; what the
// parent's loop watches is closed there. Make STACKS and an EVLOOP in it if it needs them.
// Reaping: by EVPROCESS_wait or waitpid(2).
// Errors:  EINVAL; EAGAIN, ENOMEM, EMFILE.
EVC_API pid_t EVPROCESS_start(EVLOOP* loop, EVPROCESS_PROC proc, void* user_ctx) EVTHREAD_NOTHROW;

// Forks here: returns twice, 0 in the child and the child's pid in the parent, and the loop goes on in both.
// In the child only the calling coroutine thread goes on; all others are canceled there. Acceptors share
// their queue, timers fire in both. The usual place is before the first coroutine thread:
//
//   for (i = 1; i < processes; ++i)
//       if (EVPROCESS_fork(loop) == 0) break;
//   EVTCPACCEPTOR_init(loop, listener, factory, -1, -1);
//   EVLOOP_run(loop);
//
// Errors:  as EVPROCESS_start.
EVC_API pid_t EVPROCESS_fork(EVLOOP* loop) EVTHREAD_NOTHROW;

// Waits until a child of this process has ended, and reaps it. Stores in *status, unless it is NULL, what
// waitpid(2) would: see WIFEXITED, WEXITSTATUS, WIFSIGNALED, WTERMSIG.
// Before: called in a coroutine thread of the loop.
// Errors: EINVAL; ECHILD: no child, or reaped before; ETIMEDOUT, ECANCELED: it runs on, and is still to be
//         reaped; ENOMEM.
EVC_API int EVPROCESS_wait(EVLOOP* loop, pid_t pid, int* status, struct timeval timeout) EVTHREAD_NOTHROW;

// ---- EVWORKERS: a parent that keeps worker processes running over one listening socket ----

// In a worker process: what it has to know.
typedef struct tagEVWORKER EVWORKER;

// What a worker process does, from fork to exit; its exit code. SIGTERM is its to watch, and ends it at once
// if it does not. It must not return before SIGTERM has told it, or it is started again.
typedef int (*EVWORKER_PROC)(EVWORKER* worker, void* user_ctx);

// 0 ... count-1; a restarted or replaced worker has its predecessor's.
EVC_API int EVWORKER_index(const EVWORKER* worker) EVTHREAD_NOTHROW;
// 0 for the first one of this index, then counting.
EVC_API int EVWORKER_generation(const EVWORKER* worker) EVTHREAD_NOTHROW;
// The listening socket, once, for EVTCPACCEPTOR_init; the worker's to close. Errors: EBADF: there is none
// (any more).
EVC_API int EVWORKER_take_listener(EVWORKER* worker) EVTHREAD_NOTHROW;
// Tells the parent that this worker serves now. Idempotent.
EVC_API int EVWORKER_ready(EVWORKER* worker) EVTHREAD_NOTHROW;

// Makes a socket that listens at `address`, for EVWORKERS_run: returns its descriptor, and stores in *bound,
// unless it is NULL, where it listens. (The file of a unix socket is yours to remove.)
// Errors: EINVAL; EADDRINUSE, EACCES, ... of socket(2), bind(2), listen(2).
EVC_API int EVWORKERS_listen(const SOCKADDR* address, int backlog, SOCKADDR* bound) EVTHREAD_NOTHROW;

// Keeps `count` worker processes running (0: one for each CPU), each a fork that runs proc(worker, user_ctx).
//
//   a worker ends      it is started again: at once, then after growing pauses
//   SIGTERM, SIGINT    every worker gets SIGTERM: to stop accepting, finish, return. Those that have not
//                      ended after `drain` get SIGKILL. Returns when none is left.
//   SIGHUP             workers are replaced one by one; the old one gets SIGTERM when the new one is ready.
//                      If a new one does not become ready in time, the old ones go on.
//   the parent dies    even by SIGKILL: the kernel sends every worker SIGTERM
//
// `listener`: the socket that they share, taken over; -1 for none. EVWORKERS_run drains for 30 seconds, and
// lets a worker take 10 seconds to become ready.
//
// Before: in main(), in a process with one OS thread, no loop running (else EBUSY).
// After:  0 when all of them ended by themselves in time, 1 when some had to be killed: an exit code.
// Errors: EINVAL (then `listener` stays the caller's), also for one that does not listen; EBUSY (the same);
//         ENOMEM, EMFILE.
EVC_API int EVWORKERS_run(int count, int listener, EVWORKER_PROC proc, void* user_ctx) EVTHREAD_NOTHROW;

// The same. `drain` and `ready_within`: positive, or EVTIMEOUT_never(). `reload`, unless it is NULL, is
// called with `user_ctx` in the parent on SIGHUP, before workers are replaced: it reads the configuration,
// which the new ones then have, being forked. Non-zero: it is no good, the old ones go on.
EVC_API int EVWORKERS_run_ex(int count, int listener, EVWORKER_PROC proc, void* user_ctx,
                             struct timeval drain, struct timeval ready_within,
                             int (*reload)(void* user_ctx)) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif
