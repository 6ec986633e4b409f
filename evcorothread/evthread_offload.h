// The C face of EVCOROTHREAD: EVOFFLOAD, blocking code on OS threads of its own. Included by evthread.h,
// where the rules of all these calls stand.
#pragma once

#include "evcorothread/evthread.h"

#ifdef __cplusplus
extern "C" {
#endif

// A few OS threads that run what blocks (name resolution, disk, a library) while the coroutine that asked for
// it waits and the loop serves others:
//
//   struct job { char path[256]; char text[4096]; int size; };
//   static void read_file(void *ctx) { struct job *job = ctx; ... }
//
//   struct job *job = malloc(sizeof *job);
//   if (EVOFFLOAD_call(pool, read_file, job, free, EVTIMEOUT_ms(2000)) == 0) {
//       use(job->text, job->size);
//       free(job);
//   }                                  // else free(3) has been called, or will be
//
// Owner:  you, by EVOFFLOAD_free. Several loops may share one.
// Thread: any, also OS threads without a loop, which then block. Not a function that a loop calls, a timer's
//         procedure for instance (EINVAL).
typedef struct tagEVOFFLOAD EVOFFLOAD;

typedef void (*EVOFFLOAD_PROC)(void* user_ctx);

// At most `threads` OS threads, each started when there is work for it; `queue`: how much work may be queued
// for one. Fork before the first work, not after: OS threads do not exist in the child.
// Errors: EINVAL, ENOMEM.
EVC_API EVOFFLOAD* EVOFFLOAD_init(int threads, int queue) EVTHREAD_NOTHROW;

// Runs proc(user_ctx) on one of its threads, and waits until it has returned. With the queue full, it waits
// for room first.
//
// `drop`: with it the context is handed over, because a procedure that has begun cannot be interrupted. When
// the call fails (but with EINVAL), drop(user_ctx) is called once nobody uses the context any more: before
// the call returns if the procedure never begins, else after its end, on its OS thread. NULL: not called, and
// the context must live that long anyhow. When the call succeeds the context is yours.
//
// Errors: EINVAL; ETIMEDOUT, ECANCELED: at once, whether the procedure runs or not; EBADF: the pool is being
//         freed; ENOMEM; EAGAIN: no OS thread to be had; EIO: a C++ exception left the procedure.
EVC_API int EVOFFLOAD_call(EVOFFLOAD* pool, EVOFFLOAD_PROC proc, void* user_ctx, void (*drop)(void*),
                           struct timeval timeout) EVTHREAD_NOTHROW;
// The same, but EBUSY at once when the queue is full.
EVC_API int EVOFFLOAD_try_call(EVOFFLOAD* pool, EVOFFLOAD_PROC proc, void* user_ctx, void (*drop)(void*),
                               struct timeval timeout) EVTHREAD_NOTHROW;

// Ends it: what has not begun never does (its callers get EBADF), what runs is waited for, blocking the OS
// thread. No call may come any more.
EVC_API int EVOFFLOAD_free(EVOFFLOAD* pool) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif
