// The C face of EVCOROTHREAD: EVUDP, datagrams. Included by evthread.h, where the rules of all these calls
// stand.
#pragma once

#include "evcorothread/evthread.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- EVUDP: a datagram socket ----

// Waits for its coroutine threads as an EVSOCKET does:
//
//   EVUDP *udp = EVUDP_bind(loop, &address, NULL);
//   char data[2048];
//   SOCKADDR from;
//   int got;
//   while ((got = EVUDP_recv_from(udp, data, sizeof data, &from, EVTIMEOUT_never())) >= 0)
//       EVUDP_send_to(udp, data, (size_t)got, &from, EVTIMEOUT_ms(1000));
//
// A datagram arrives whole or not at all, and an empty one is a datagram; there is no end of stream. IPv4,
// IPv6 and unix datagram sockets.
//
// Owner:   the loop; EVUDP_free ends it before. It is no work: EVLOOP_run goes on because a coroutine thread
//          waits.
// Sharing: one coroutine thread may receive while another one sends; a second one in the same direction gets
//          EBUSY.
// Errors of the calls that transfer, beside EINVAL:
//          ETIMEDOUT     the timeout passed
//          ECANCELED     the calling coroutine thread was asked to stop
//          EBUSY         another one is already transferring in this direction
//          EBADF         it was closed, here or elsewhere
//          EMSGSIZE      received: it did not fit, see EVUDP_recv_from; sent: too long for the network
//          ECONNREFUSED  connected: an earlier datagram found nobody; the socket is still usable
//          EAGAIN        of the try_ calls: would have to wait
//          other         of recvmsg(2), sendto(2)
typedef struct tagEVUDP EVUDP;

// What is zero is usual: `= {0}` and the few lines that matter will do.
typedef struct tagEVUDP_OPTIONS {
    int recv_buffer;    // bytes; a burst that does not fit is lost
    int send_buffer;    // bytes
    int broadcast;      // not 0: may send to broadcast addresses
    int reuse_address;  // not 0: several sockets share the address, for multicast
    int reuse_port;     // not 0: several sockets share the port, the kernel spreads the senders over them
    int dual_stack;     // not 0: an IPv6 socket takes IPv4, too
    int coalesce;       // not 0: receive what came together as one; only with EVUDP_recv_batch, see there
    int permissions;    // of a socket file, 0660 for instance; 0: what the process's umask leaves
    void* reserved[2];
} EVUDP_OPTIONS;

// Receives what is sent to `local`; port 0 takes a free one, see EVUDP_address. `options` may be NULL. A
// stale socket file is replaced, and removed when the socket closes.
// Errors: EINVAL, ENOMEM; EADDRINUSE, EACCES, ... of socket(2), bind(2).
EVC_API EVUDP* EVUDP_bind(EVLOOP* loop, const SOCKADDR* local, const EVUDP_OPTIONS* options) EVTHREAD_NOTHROW;

// For talking with `peer` alone, on a free port. Nothing is sent: whether somebody is there shows later, as
// ECONNREFUSED.
// Errors: EINVAL, ENOMEM; of socket(2), connect(2).
EVC_API EVUDP* EVUDP_connect(EVLOOP* loop, const SOCKADDR* peer,
                             const EVUDP_OPTIONS* options) EVTHREAD_NOTHROW;

// Takes over `fd`, a datagram socket (which may get another number), and makes it non-blocking.
// Errors: EBADF, ENOTSOCK, EINVAL for a stream, ENOMEM; `fd` stays the caller's then.
EVC_API EVUDP* EVUDP_init(EVLOOP* loop, int fd) EVTHREAD_NOTHROW;

// From now on it hears only `peer`, and sends to it when no other target is given; NULL: everybody again.
// Errors: EINVAL, EBADF; of connect(2).
EVC_API int EVUDP_set_peer(EVUDP* udp, const SOCKADDR* peer) EVTHREAD_NOTHROW;

// Waits for a datagram and takes it: returns the number of bytes, 0 for an empty one. Stores in *from, unless
// it is NULL, who sent it. Too long for the buffer: fails with EMSGSIZE; what fits is in the buffer, the rest
// is lost. EVUDP_recv_from_ex tells how much, and how long it was.
EVC_API int EVUDP_recv_from(EVUDP* udp, void* buffer, size_t size, SOCKADDR* from,
                            struct timeval timeout) EVTHREAD_NOTHROW;
// The same; stores in *received how many bytes are in the buffer and in *full_size how long the datagram was,
// unless they are NULL, also with EMSGSIZE.
EVC_API int EVUDP_recv_from_ex(EVUDP* udp, void* buffer, size_t size, SOCKADDR* from, struct timeval timeout,
                               size_t* received, size_t* full_size) EVTHREAD_NOTHROW;

// Sends a datagram and returns `size`. `to` NULL: to whom the socket is connected. It may still get lost.
// Errors: those above; EDESTADDRREQ: neither target nor peer.
EVC_API int EVUDP_send_to(EVUDP* udp, const void* data, size_t size, const SOCKADDR* to,
                          struct timeval timeout) EVTHREAD_NOTHROW;

// The same without waiting; also outside of coroutine threads, in a timer's procedure for instance.
EVC_API int EVUDP_try_recv_from(EVUDP* udp, void* buffer, size_t size, SOCKADDR* from) EVTHREAD_NOTHROW;
EVC_API int EVUDP_try_send_to(EVUDP* udp, const void* data, size_t size, const SOCKADDR* to) EVTHREAD_NOTHROW;

// Receives what is sent to a multicast address, on the network interface of that index; 0: the system's
// choice.
// Errors: EINVAL, EBADF; of setsockopt(2).
EVC_API int EVUDP_join_group(EVUDP* udp, const IPADDRESS* group, unsigned interface_index) EVTHREAD_NOTHROW;
EVC_API int EVUDP_leave_group(EVUDP* udp, const IPADDRESS* group, unsigned interface_index) EVTHREAD_NOTHROW;

// Where it receives.
EVC_API int EVUDP_address(const EVUDP* udp, SOCKADDR* address) EVTHREAD_NOTHROW;
EVC_API int EVUDP_port(const EVUDP* udp) EVTHREAD_NOTHROW;
// The descriptor, for setsockopt(2) and the like. Errors: EBADF when closed.
EVC_API int EVUDP_fd(const EVUDP* udp) EVTHREAD_NOTHROW;

// Closes. Whoever waits on it gets EBADF, now, and so does every later call. Idempotent; the handle stays.
EVC_API int EVUDP_close(EVUDP* udp) EVTHREAD_NOTHROW;
// Closes and frees.
EVC_API int EVUDP_free(EVUDP* udp) EVTHREAD_NOTHROW;

// ---- EVUDPBATCH: many datagrams with one system call ----

// Datagrams with their bytes and addresses: received into, or filled, then sent.
//
//   EVUDPBATCH *batch = EVUDPBATCH_init(64, 2048);
//   EVUDP_DATAGRAM one;
//   while (EVUDP_recv_batch(udp, batch, EVTIMEOUT_never()) > 0) {
//       while (EVUDPBATCH_next(batch, &one)) count(one.data, one.size);
//       EVUDP_send_batch(udp, batch, 0, EVTIMEOUT_ms(1000), NULL);      // each goes back
//   }
//
// A server under load costs the kernel far less that way. With the option `coalesce`, datagrams that came
// together arrive so, and cost it less again; they are told apart here. For that a batch needs rooms of
// EVUDPBATCH_COALESCED bytes.
//
// Owner:  you; it outlives the calls that use it, one at a time.
// Memory: count * (size + 400 bytes); of large rooms only what is used.
typedef struct tagEVUDPBATCH EVUDPBATCH;

enum { EVUDPBATCH_COALESCED = 65535 };

// One of them. `data`: valid until the batch is changed.
typedef struct tagEVUDP_DATAGRAM {
    const void* data;
    size_t size;
    size_t full_size;  // how long it was when it was sent: more than `size` when it did not fit
    SOCKADDR peer;     // who sent it, or whom it goes to; of length 0: whom the socket is connected to
} EVUDP_DATAGRAM;

// With rooms for `count` datagrams of `size` bytes, at most EVUDPBATCH_COALESCED.
// Errors: EINVAL, ENOMEM.
EVC_API EVUDPBATCH* EVUDPBATCH_init(int count, size_t size) EVTHREAD_NOTHROW;
EVC_API int EVUDPBATCH_free(EVUDPBATCH* batch) EVTHREAD_NOTHROW;

// How many datagrams are in it.
EVC_API int EVUDPBATCH_size(const EVUDPBATCH* batch) EVTHREAD_NOTHROW;
// Forgets them all.
EVC_API int EVUDPBATCH_clear(EVUDPBATCH* batch) EVTHREAD_NOTHROW;
// Copies `data` behind the others, to be sent to `to`; NULL: to whom the socket is connected.
// Errors: EINVAL; ENOSPC: no room is left, or it is longer than one.
EVC_API int EVUDPBATCH_add(EVUDPBATCH* batch, const void* data, size_t size,
                           const SOCKADDR* to) EVTHREAD_NOTHROW;

// Stores the next one in *datagram and returns 1; 0 behind the last. The first one comes again after
// EVUDPBATCH_rewind, and whenever the batch has changed.
EVC_API int EVUDPBATCH_next(EVUDPBATCH* batch, EVUDP_DATAGRAM* datagram) EVTHREAD_NOTHROW;
EVC_API int EVUDPBATCH_rewind(EVUDPBATCH* batch) EVTHREAD_NOTHROW;

// Waits until there is a datagram, then takes as many as there are and the batch has rooms for, instead of
// what it held; returns how many. One that did not fit says so itself.
// Errors: those of EVUDP_recv_from, but EMSGSIZE.
EVC_API int EVUDP_recv_batch(EVUDP* udp, EVUDPBATCH* batch, struct timeval timeout) EVTHREAD_NOTHROW;

// Sends the datagrams of the batch from the `first`-th on, each to its own peer; returns how many. Stores in
// *sent, unless it is NULL, how many went, whatever else happened: the error may belong to the one behind
// them; to go on without it, begin at first + sent + 1.
// Errors: those of EVUDP_send_to.
EVC_API int EVUDP_send_batch(EVUDP* udp, EVUDPBATCH* batch, int first, struct timeval timeout,
                             size_t* sent) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif
