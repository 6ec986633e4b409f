// The C face of EVCOROTHREAD: EVBUNDLE, coroutine threads that end before their owner does. Included by
// evthread.h, where the rules of all these calls stand.
#pragma once

#include "evcorothread/evthread.h"

#ifdef __cplusplus
extern "C" {
#endif

// Children that one starts, waits for, and can stop together:
//
//   static int fetch(EVTHREAD *thread, void *page) { ...; return 0; }
//
//   EVBUNDLE *children = EVBUNDLE_init(loop, EVTIMEOUT_ms(3000));   // three seconds for all they do
//   EVBUNDLE_go(children, "page", fetch, &page);
//   EVBUNDLE_go(children, "advert", fetch, &advert);
//   if (EVBUNDLE_wait(children, EVTIMEOUT_never()) != 0) perror("fetch");
//   EVBUNDLE_free(children);   // here, at the latest, both have ended: `page` and `advert` may go
//
// Failure: the first child that returns -1 fails the bundle: the others are canceled, and EVBUNDLE_wait
//          fails with its errno when all have ended.
typedef struct tagEVBUNDLE EVBUNDLE;

// What a child does. Every EVSOCKET and EVTIMER of `thread` is closed and freed when it returns, and so is
// `thread`.
//
// Returns: -1 with errno when it failed, so that `return EVCHANNEL_send(...);` does what one expects;
//          anything else when it did not. ECANCELED after EVBUNDLE_cancel is no failure.
typedef int (*EVBUNDLE_PROC)(struct tagEVTHREAD* thread, void* user_ctx);

// `deadline`, counted from now: every wait in every child, and in the bundles that children make, ends then
// at the latest, with ETIMEDOUT. EVTIMEOUT_never() for none.
// Owner:  the loop; EVBUNDLE_free ends it before. Free it before what its children use goes.
// Errors: EINVAL, ENOMEM.
EVC_API EVBUNDLE* EVBUNDLE_init(EVLOOP* loop, struct timeval deadline) EVTHREAD_NOTHROW;

// Starts a child; `name`, which may be NULL, is for logs and dumps, cut to 31 bytes. The child runs when the
// caller waits, or returns to the loop; with no stack free, when it is its turn to get one. After
// EVBUNDLE_cancel it is canceled from its first wait on.
// Errors: EINVAL, ENOMEM; EBUSY while the bundle is being freed.
EVC_API int EVBUNDLE_go(EVBUNDLE* bundle, const char* name, EVBUNDLE_PROC proc,
                        void* user_ctx) EVTHREAD_NOTHROW;

// Waits until all children have ended. The bundle may then be used again.
// Before: called in a coroutine thread of the loop, or with no child left (else EINVAL).
// Errors: the errno of the first child that failed, once, after all have ended; ETIMEDOUT, ECANCELED (of the
//         caller) while children go on, as EVBUNDLE_size tells; EBUSY: another one waits for this bundle.
EVC_API int EVBUNDLE_wait(EVBUNDLE* bundle, struct timeval timeout) EVTHREAD_NOTHROW;

// Waits until a child has ended that no earlier call has told of; returns how many are left.
// Errors: as EVBUNDLE_wait; ECHILD when all were told of.
EVC_API int EVBUNDLE_wait_any(EVBUNDLE* bundle, struct timeval timeout) EVTHREAD_NOTHROW;

// Asks all children to stop (see EVTHREAD_cancel), those that are yet to come too.
EVC_API int EVBUNDLE_cancel(EVBUNDLE* bundle) EVTHREAD_NOTHROW;

// EVBUNDLE_cancel, then waits until all have ended, even in a coroutine thread that was canceled itself.
// Before: as EVBUNDLE_wait.
// Errors: ETIMEDOUT, and children are left; EBUSY. What the children failed with is not told any more.
EVC_API int EVBUNDLE_close(EVBUNDLE* bundle, struct timeval timeout) EVTHREAD_NOTHROW;

// How many children have not ended.
EVC_API int EVBUNDLE_size(const EVBUNDLE* bundle) EVTHREAD_NOTHROW;

// Cancels the children, waits until all have ended, without a limit, and frees the bundle. Outside any
// coroutine thread it runs the loop meanwhile.
// Errors: EBUSY: another one waits for it; EINVAL with children left in a timer's procedure, say.
EVC_API int EVBUNDLE_free(EVBUNDLE* bundle) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif
