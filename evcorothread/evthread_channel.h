// The C face of EVCOROTHREAD: EVCHANNEL, messages from coroutine thread to coroutine thread. Included by
// evthread.h, where the rules of all these calls stand.
#pragma once

#include "evcorothread/evthread.h"

#ifdef __cplusplus
extern "C" {
#endif

// Hands messages of a fixed size from coroutine to coroutine of one loop, first come, first served:
//
//   struct event { int kind; int value; } event;
//   EVCHANNEL *events = EVCHANNEL_init(loop, sizeof event, 100);
//
//   EVCHANNEL_send(events, &event, EVTIMEOUT_never());                   // in any number of coroutines
//
//   while (EVCHANNEL_recv(events, &event, EVTIMEOUT_never()) == 0)       // in another: until EVCHANNEL_close
//       count(&event);
//
// Order:    messages come out as they went in. Several senders, and several receivers, are served in the
//           order in which they came; whoever comes later never overtakes one that waits.
// Messages: copied, byte by byte. What a failed send was to send has not gone; what was handed to a receiver
//           counts as received, even if that one is canceled before it runs again.
// Errors of the calls that transfer, beside EINVAL:
//           EPIPE      the channel is closed; a receiver gets that once everything has been received
//           ETIMEDOUT  the timeout passed: nobody came, or there was no room
//           ECANCELED  the calling coroutine thread was asked to stop
//           EAGAIN     of the try_ calls: would have to wait
typedef struct tagEVCHANNEL EVCHANNEL;

// For messages of `size` bytes, at least one. `capacity`: how many it can hold; 0: a send ends when a
// receiver has the message.
// Owner:  the loop; EVCHANNEL_free ends it before.
// Errors: EINVAL, ENOMEM.
EVC_API EVCHANNEL* EVCHANNEL_init(EVLOOP* loop, size_t size, size_t capacity) EVTHREAD_NOTHROW;

// Gives the message to the receiver that waits longest, else keeps it, else waits for a receiver or room.
// Before: called in a coroutine thread of the loop.
EVC_API int EVCHANNEL_send(EVCHANNEL* channel, const void* message, struct timeval timeout) EVTHREAD_NOTHROW;

// Takes the oldest message, or waits for one. `message` is untouched on any error.
// Before: called in a coroutine thread of the loop.
EVC_API int EVCHANNEL_recv(EVCHANNEL* channel, void* message, struct timeval timeout) EVTHREAD_NOTHROW;

// The same without waiting; also outside of coroutine threads, in a timer's procedure for instance.
EVC_API int EVCHANNEL_try_send(EVCHANNEL* channel, const void* message) EVTHREAD_NOTHROW;
EVC_API int EVCHANNEL_try_recv(EVCHANNEL* channel, void* message) EVTHREAD_NOTHROW;

// How many messages it holds.
EVC_API int EVCHANNEL_size(const EVCHANNEL* channel) EVTHREAD_NOTHROW;

// Ends the channel: senders get EPIPE from now on, those that wait too; receivers take what is there, then
// get EPIPE, all of them: a broadcast of "it is over". Idempotent; the handle stays.
EVC_API int EVCHANNEL_close(EVCHANNEL* channel) EVTHREAD_NOTHROW;

// Closes and frees; those who wait get EPIPE. What it holds is lost.
EVC_API int EVCHANNEL_free(EVCHANNEL* channel) EVTHREAD_NOTHROW;

// ---- EVCHANNEL_select: the first of several ----

enum { EVCHANNEL_RECV = 0, EVCHANNEL_SEND = 1 };

// One of the things that a select waits for.
typedef struct tagEVCHANNEL_ARM {
    EVCHANNEL* channel;  // NULL: this arm never happens
    int op;              // EVCHANNEL_RECV or EVCHANNEL_SEND
    void* message;       // the room for one, or the one to send; must stay there until select returns
    int error;           // set in the arm that happened: 0, or EPIPE when its channel is closed
} EVCHANNEL_ARM;

// Waits until one of the arms can happen, does that one, and returns its index, from 0. Exactly one happens,
// or none: then it fails, and no message was moved.
//
//   EVCHANNEL_ARM arms[] = {{events, EVCHANNEL_RECV, &event, 0}, {quit, EVCHANNEL_RECV, &ignored, 0}};
//   switch (EVCHANNEL_select(arms, 2, EVTIMEOUT_ms(1000))) {
//       case 0: if (arms[0].error == 0) count(&event); break;
//       case 1: return;
//       case -1: if (errno != ETIMEDOUT) return;
//   }
//
// Before: called in a coroutine thread of the channels' loop.
// Order:  of several arms that are ready, each is as likely.
// Errors: EINVAL, ETIMEDOUT, ECANCELED; ENOMEM, with more than a few arms. A closed channel is ready: its arm
//         happens, with its error.
EVC_API int EVCHANNEL_select(EVCHANNEL_ARM* arms, int count, struct timeval timeout) EVTHREAD_NOTHROW;

// The same; of several arms that are ready, the first.
EVC_API int EVCHANNEL_select_ordered(EVCHANNEL_ARM* arms, int count, struct timeval timeout) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif
