// The C face of EVCOROTHREAD, for C11 and C++: network servers as plain straight-line code. A connection is a
// function that calls EVSOCKET_recv and EVSOCKET_send as if they blocked; while it waits, others run, all on
// one OS thread.
//
//   STACKS stacks;                                 // as many connections at once as there are stacks
//   STACKS_init(&stacks, 100, 5);
//   EVLOOP *loop = EVLOOP_init(&stacks);
//
//   IPADDRESS any;
//   SOCKADDR address;
//   IPADDRESS_any(&any, AF_INET);
//   SOCKADDR_init(&address, &any, 9999);
//   EVTCPACCEPTOR_init_ex(loop, &address, 30, echo_thread_factory, 8192, 8192);
//   EVLOOP_run(loop);
//
// tutorial/echo/echo_c.c is the whole program.
//
// Errors:  functions return 0 (or what they say), and -1 or NULL with errno on failure. Wrong use is EINVAL:
//          a null pointer where none is allowed, a size or number that makes no sense, a call on another OS
//          thread than the loop's, a call that may suspend outside a coroutine thread of its loop (in a
//          timer's procedure, say). Nothing is ever thrown out of these functions; an exception that leaves a
//          C++ procedure is caught and logged, and ends that procedure only.
// Thread:  all calls on the loop's OS thread, except EVLOOP_break. That is the one that made the loop, or,
//          from then on, the one that first runs it.
// Handles: what X_init returns is owned as X says; it is valid until its owner frees it, and no longer.
// ABI:     the structures below are declared by value and may be copied; they keep their size. What is in
//          them is for these functions only.
#pragma once

#include <limits.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>  // malloc(3) and free(3), for programs that include nothing else
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "cutils/export.h"

#ifdef __cplusplus
#define EVTHREAD_NOTHROW noexcept
extern "C" {
#else
#define EVTHREAD_NOTHROW
#endif

typedef struct tagEVLOOP EVLOOP;
typedef struct tagEVTHREAD EVTHREAD;
typedef struct tagEVSOCKET EVSOCKET;
typedef struct tagEVTCPACCEPTOR EVTCPACCEPTOR;
typedef struct tagEVTIMER EVTIMER;

// ---- timeouts ----

// Every call that may wait takes a `struct timeval`, counted from the call, once for the whole call. Zero or
// negative: the call does what it can without waiting, then fails with ETIMEDOUT. One serves for all calls:
//
//   static struct timeval TIME_OUT = {3, 0};

// No limit.
static inline struct timeval EVTIMEOUT_never(void) {
    struct timeval never = {LONG_MAX, 0};
    return never;
}

static inline struct timeval EVTIMEOUT_ms(long milliseconds) {
    struct timeval timeout = {milliseconds / 1000, milliseconds % 1000 * 1000};
    return timeout;
}

// ---- STACKS: what coroutine threads run on ----

// A pool of guarded stacks, and the throttle: a coroutine thread takes one when it starts and gives it back
// when its procedure returns; with none free, new connections wait in the listen queue at no cost.
//
// Owner:  you; it outlives every EVLOOP made with it.
// Errors: EINVAL, ENOMEM (address space), EMFILE (vm.max_map_count is too low for so many guards: see
//         corothread/stack_pool.h).
typedef struct tagSTACKS {
    void* impl;
    void* reserved;
} STACKS;

// Does nothing, successfully: old programs call it first.
EVC_API int CTHREAD_libinit(void) EVTHREAD_NOTHROW;

// Makes `count` stacks of `pages` usable pages (usually 4 KiB each). Memory is used only where it is touched.
// Keep what is large off the stack: malloc(3) it.
EVC_API int STACKS_init(STACKS* stacks, int count, int pages) EVTHREAD_NOTHROW;

// The same, but each stack is prepared when it is first needed: for a large `count` that is seldom reached.
EVC_API int STACKS_init_on_demand(STACKS* stacks, int count, int pages) EVTHREAD_NOTHROW;

// How many are taken now.
EVC_API int STACKS_in_use(const STACKS* stacks) EVTHREAD_NOTHROW;

// Errors: EBUSY while an EVLOOP uses them; EINVAL when they were destroyed before.
EVC_API int STACKS_destroy(STACKS* stacks) EVTHREAD_NOTHROW;

// ---- IPADDRESS, SOCKADDR: where a socket is ----

// An IPv4 or IPv6 address, without a port.
typedef struct tagIPADDRESS {
    int family;
    uint32_t scope;
    unsigned char bytes[16];
} IPADDRESS;

// `family`: AF_INET or AF_INET6; anything else is EINVAL.
EVC_API int IPADDRESS_any(IPADDRESS* address, int family) EVTHREAD_NOTHROW;
EVC_API int IPADDRESS_loopback(IPADDRESS* address, int family) EVTHREAD_NOTHROW;

// Reads "192.0.2.1", "2001:db8::1", "fe80::1%eth0"; never a name.
// Errors: EINVAL; ENODEV for an unknown interface.
EVC_API int IPADDRESS_parse(IPADDRESS* address, const char* text) EVTHREAD_NOTHROW;

// Writes what IPADDRESS_parse reads, with a zero behind it, and returns its length.
// Errors: EINVAL; ENOSPC when that does not fit into `size` bytes (64 are enough).
EVC_API int IPADDRESS_to_string(const IPADDRESS* address, char* text, size_t size) EVTHREAD_NOTHROW;

// An address with a port, or the path of a unix socket.
typedef struct tagSOCKADDR {
    socklen_t length;
    union {
        struct sockaddr base;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    } address;
} SOCKADDR;

// `port`: 0 (any free one) to 65535.
EVC_API int SOCKADDR_init(SOCKADDR* saddr, const IPADDRESS* address, int port) EVTHREAD_NOTHROW;

// Reads "127.0.0.1:80", "[::1]:80", ":80", "unix:/run/x.sock", "unix:@abstract".
// Errors: EINVAL; ENODEV for an unknown interface, ENAMETOOLONG for a path beyond 107 bytes.
EVC_API int SOCKADDR_parse(SOCKADDR* saddr, const char* text) EVTHREAD_NOTHROW;

// Writes what SOCKADDR_parse reads; as IPADDRESS_to_string (512 bytes are enough).
EVC_API int SOCKADDR_to_string(const SOCKADDR* saddr, char* text, size_t size) EVTHREAD_NOTHROW;

// The port; 0 for a unix socket.
EVC_API int SOCKADDR_port(const SOCKADDR* saddr) EVTHREAD_NOTHROW;

// For connect(2), EVSOCKET_connect and the like.
static inline const struct sockaddr* SOCKADDR_saddr(const SOCKADDR* saddr) { return &saddr->address.base; }
static inline socklen_t SOCKADDR_length(const SOCKADDR* saddr) { return saddr->length; }

// ---- EVLOOP: runs them all ----

// Owner:  you; EVLOOP_free ends it, and everything that is left in it.
// Errors: EINVAL, ENOMEM, EMFILE, ENFILE.
EVC_API EVLOOP* EVLOOP_init(STACKS* stacks) EVTHREAD_NOTHROW;

// Runs until EVLOOP_break, or until nothing is left to do: no coroutine thread, acceptor or running timer.
// Errors: EBUSY inside itself (in a coroutine thread or a timer's procedure).
EVC_API int EVLOOP_run(EVLOOP* loop) EVTHREAD_NOTHROW;

// Makes EVLOOP_run return soon; what is unfinished stays as it is, and a later EVLOOP_run goes on.
// Thread: any; on the loop's own also in a signal handler.
EVC_API int EVLOOP_break(EVLOOP* loop) EVTHREAD_NOTHROW;

// Closes the acceptors, stops the loop's own timers, cancels all coroutine threads, runs until the last of
// them has returned, then frees everything: handles of this loop end here. Takes as long as the coroutine
// threads do.
// Errors: EBUSY while it runs.
EVC_API int EVLOOP_free(EVLOOP* loop) EVTHREAD_NOTHROW;

// ---- EVTHREAD: a coroutine thread ----

// What a coroutine thread does. `socket` is the connection it was started for, or NULL; `user_ctx` what it
// was made with. When it returns, every EVSOCKET and EVTIMER of `thread` is closed and freed, and so is
// `thread`.
typedef void (*EVTHREAD_PROC)(struct tagEVTHREAD* thread, struct tagEVSOCKET* socket, void* user_ctx);

// A coroutine thread that EVTHREAD_start will start.
// Owner:  the loop: freed when its procedure has returned, or with the loop if it is never started.
// Errors: EINVAL, ENOMEM.
EVC_API EVTHREAD* EVTHREAD_init(EVLOOP* loop, EVTHREAD_PROC thread_proc, void* user_ctx) EVTHREAD_NOTHROW;

// Starts it, once. It runs when the caller waits, or returns to the loop; with no stack free, when it is its
// turn to get one. `socket`: handed to its procedure and owned by it from now on, whosever it was; may be
// NULL.
// Errors: EBUSY when it was started before, or `socket` is connecting; EINVAL for a socket of another loop;
//         ENOMEM.
EVC_API int EVTHREAD_start(EVTHREAD* thread, EVSOCKET* socket) EVTHREAD_NOTHROW;

// Frees one that was never started, with its sockets and timers. Errors: EBUSY when it was started.
EVC_API int EVTHREAD_free(EVTHREAD* thread) EVTHREAD_NOTHROW;

// Waits for the time to pass, while others run. Before: called by `thread` itself (else EINVAL).
// Errors: ECANCELED.
EVC_API int EVTHREAD_delay(EVTHREAD* thread, struct timeval delay) EVTHREAD_NOTHROW;

// Lets every other ready coroutine thread run once. Before: called by `thread` itself.
EVC_API int EVTHREAD_yield(EVTHREAD* thread) EVTHREAD_NOTHROW;

// Asks it to stop: every wait of it fails with ECANCELED, now and from then on, until its procedure returns.
// Before: started (else EINVAL), and not yet returned.
EVC_API int EVTHREAD_cancel(EVTHREAD* thread) EVTHREAD_NOTHROW;

// 1 when it was asked to stop, by EVTHREAD_cancel or because the loop ends, else 0: for long computations.
EVC_API int EVTHREAD_is_canceled(const EVTHREAD* thread) EVTHREAD_NOTHROW;

// What it is called in logs and dumps, cut to 31 bytes; to be set before it starts (later: EBUSY).
EVC_API int EVTHREAD_set_name(EVTHREAD* thread, const char* name) EVTHREAD_NOTHROW;
// Lifetime of the text: that of `thread`.
EVC_API const char* EVTHREAD_name(const EVTHREAD* thread) EVTHREAD_NOTHROW;

EVC_API EVLOOP* EVTHREAD_loop(const EVTHREAD* thread) EVTHREAD_NOTHROW;

// ---- EVSOCKET: a stream that waits for its coroutine thread ----

// Owner:   an EVTHREAD: closed and freed when its procedure returns, or by EVSOCKET_free before.
// Sharing: another coroutine thread may receive while the owner sends, and the other way round; a second one
//          in the same direction gets EBUSY.
// Errors of the calls that transfer, beside EINVAL:
//          ETIMEDOUT  the timeout, or the idle timeout, passed; the socket is still usable
//          ECANCELED  the calling coroutine thread was asked to stop
//          EBUSY      another one is already transferring in this direction
//          EBADF      it was closed, here or elsewhere
//          other      of recv(2), send(2): ECONNRESET, EPIPE, ...; only closing is useful then
//          No call raises SIGPIPE.
// Sizes:   up to INT_MAX; beyond is EINVAL.

// Takes over `fd`, a stream socket, and makes it non-blocking. `is_connected`: zero when EVSOCKET_connect is
// to come; then `fd` may also be -1, for a socket that EVSOCKET_connect makes.
// Before: `thread` is not yet started, or has not yet returned.
// Errors: EBADF, EINVAL, ENOMEM; `fd` stays the caller's then.
EVC_API EVSOCKET* EVSOCKET_init(EVTHREAD* thread, int fd, int is_connected) EVTHREAD_NOTHROW;

// Waits until it is connected to an IPv4, IPv6 or unix address. Sets TCP_NODELAY on a socket that it makes.
// Before: called by the owner.
// Errors: ETIMEDOUT, ECANCELED, EBADF as above; EISCONN; ECONNREFUSED, ENETUNREACH, ... of connect(2); EINVAL
//         for an address of another family. After a failure only closing is useful.
EVC_API int EVSOCKET_connect(EVSOCKET* socket, const struct sockaddr* address, socklen_t length,
                             struct timeval timeout) EVTHREAD_NOTHROW;

// Waits until the peer has sent something, then takes what is there: returns the number of bytes, 0 at the
// end of the stream. `size` must not be 0; `flags` must be.
EVC_API int EVSOCKET_recv(EVSOCKET* socket, void* buffer, size_t size, int flags,
                          struct timeval timeout) EVTHREAD_NOTHROW;

// Receives exactly `size` bytes and returns that; less when the stream ends before.
// After a failure (-1) what came is at the front of the buffer; EVSOCKET_recv_all_ex tells how much.
EVC_API int EVSOCKET_recv_all(EVSOCKET* socket, void* buffer, size_t size, int flags,
                              struct timeval timeout) EVTHREAD_NOTHROW;
// The same; stores in *received, unless it is NULL, how many bytes came, whatever else happened.
EVC_API int EVSOCKET_recv_all_ex(EVSOCKET* socket, void* buffer, size_t size, int flags,
                                 struct timeval timeout, size_t* received) EVTHREAD_NOTHROW;

// Sends all and returns `size`. `flags`: those of send(2), for instance MSG_MORE.
// After a failure (-1) some bytes may have gone; EVSOCKET_send_ex tells how many.
EVC_API int EVSOCKET_send(EVSOCKET* socket, const void* data, size_t size, int flags,
                          struct timeval timeout) EVTHREAD_NOTHROW;
// The same; stores in *sent, unless it is NULL, how many bytes went, whatever else happened.
EVC_API int EVSOCKET_send_ex(EVSOCKET* socket, const void* data, size_t size, int flags,
                             struct timeval timeout, size_t* sent) EVTHREAD_NOTHROW;

// Ends our half: the peer reads the end of the stream once it has taken what was sent. Receiving goes on.
EVC_API int EVSOCKET_shutdown_send(EVSOCKET* socket) EVTHREAD_NOTHROW;

// A limit on every wait from now on, besides its own timeout: nothing came, or could go, for that long.
// EVTIMEOUT_never() turns it off; zero or negative is EINVAL.
EVC_API int EVSOCKET_set_idle_timeout(EVSOCKET* socket, struct timeval timeout) EVTHREAD_NOTHROW;

// The descriptor, for getsockopt(2) and the like. Errors: EBADF when closed, or not yet made.
EVC_API int EVSOCKET_fd(const EVSOCKET* socket) EVTHREAD_NOTHROW;

// Closes. Whoever waits on it gets EBADF, now, and so does every later call. Idempotent; the handle stays.
EVC_API int EVSOCKET_close(EVSOCKET* socket) EVTHREAD_NOTHROW;

// Closes and frees: for those who use many sockets one after the other. Errors: EBUSY while connecting.
EVC_API int EVSOCKET_free(EVSOCKET* socket) EVTHREAD_NOTHROW;

// ---- EVTCPACCEPTOR: a coroutine thread for every connection ----

// Asked for every accepted connection, on the coroutine thread that is to serve it: sets *proc to what is to
// run, and *ctx to the procedure's user_ctx (NULL unless set). Non-zero, or no procedure: the connection is
// closed at once.
typedef int (*EVTHREAD_FACTORY)(int fd, EVTHREAD_PROC* proc, void** ctx);
typedef int (*EVTHREAD_FACTORY_CTX)(void* factory_ctx, int fd, EVTHREAD_PROC* proc, void** ctx);

// Listens at `address` (port 0: any free one, see EVTCPACCEPTOR_port), and starts a coroutine thread for
// every connection as long as there is a stack for it; then connections wait in the listen queue, at no cost,
// until a stack comes back. Out of descriptors it waits, too, without spinning.
//
// `backlog`: how many connections may wait to be accepted. `recv_size`, `send_size`: the kernel's buffers of
// each TCP connection, in bytes; -1 leaves them alone.
//
// Owner:  the loop, until EVTCPACCEPTOR_close. An acceptor is work: EVLOOP_run goes on while there is one.
// Errors: EINVAL, ENOMEM; EADDRINUSE, EACCES, ... of socket(2), bind(2), listen(2).
EVC_API EVTCPACCEPTOR* EVTCPACCEPTOR_init_ex(EVLOOP* loop, const SOCKADDR* address, int backlog,
                                             EVTHREAD_FACTORY factory, int recv_size,
                                             int send_size) EVTHREAD_NOTHROW;

// The same; the factory gets `factory_ctx` first, which must live as long as the acceptor's connections may
// start: EVLOOP_free is late enough.
EVC_API EVTCPACCEPTOR* EVTCPACCEPTOR_init_ctx(EVLOOP* loop, const SOCKADDR* address, int backlog,
                                              EVTHREAD_FACTORY_CTX factory, void* factory_ctx, int recv_size,
                                              int send_size) EVTHREAD_NOTHROW;

// The same for a socket that listens already: socket activation, a parent's. Takes over `fd` (which may get
// another number) and makes it non-blocking.
// Errors: EBADF, ENOTSOCK, EINVAL when it does not listen; `fd` stays the caller's then.
EVC_API EVTCPACCEPTOR* EVTCPACCEPTOR_init(EVLOOP* loop, int fd, EVTHREAD_FACTORY factory, int recv_size,
                                          int send_size) EVTHREAD_NOTHROW;
// The same with a context for the factory.
EVC_API EVTCPACCEPTOR* EVTCPACCEPTOR_init_fd_ctx(EVLOOP* loop, int fd, EVTHREAD_FACTORY_CTX factory,
                                                 void* factory_ctx, int recv_size,
                                                 int send_size) EVTHREAD_NOTHROW;

// Where it listens.
EVC_API int EVTCPACCEPTOR_address(const EVTCPACCEPTOR* acceptor, SOCKADDR* address) EVTHREAD_NOTHROW;
EVC_API int EVTCPACCEPTOR_port(const EVTCPACCEPTOR* acceptor) EVTHREAD_NOTHROW;

// How many connections it has accepted so far. Each of them has, or will have, a coroutine thread.
EVC_API long long EVTCPACCEPTOR_accepted(const EVTCPACCEPTOR* acceptor) EVTHREAD_NOTHROW;

// Stops listening and frees the acceptor; its connections go on.
EVC_API int EVTCPACCEPTOR_close(EVTCPACCEPTOR* acceptor) EVTHREAD_NOTHROW;

// ---- EVTIMER: calls a procedure later ----

// Runs on the loop's own stack, outside any coroutine thread: it must be short, and what may wait fails in it
// with EINVAL. It may cancel, close, start and free; its own timer, too.
typedef void (*EVTIMER_PROC)(struct tagEVTIMER* timer, void* user_data);

// A timer, not yet running. `timer_id` is the user's: EVTIMER_id gives it back.
// Owner:  `thread`: stopped and freed when its procedure returns, or by EVTIMER_free before. A running timer
//         is work: EVLOOP_run goes on while there is one.
// Errors: EINVAL (also for a negative time, or a recurrent one of zero), ENOMEM.
EVC_API EVTIMER* EVTIMER_init_one_shot(EVTHREAD* thread, int timer_id, struct timeval delay,
                                       EVTIMER_PROC proc, void* user_data) EVTHREAD_NOTHROW;
// Every `period`; those missed because the loop was busy are skipped, not made up for.
EVC_API EVTIMER* EVTIMER_init_recurrent(EVTHREAD* thread, int timer_id, struct timeval period,
                                        EVTIMER_PROC proc, void* user_data) EVTHREAD_NOTHROW;

// The same, owned by the loop.
EVC_API EVTIMER* EVTIMER_init_one_shot_on_loop(EVLOOP* loop, int timer_id, struct timeval delay,
                                               EVTIMER_PROC proc, void* user_data) EVTHREAD_NOTHROW;
EVC_API EVTIMER* EVTIMER_init_recurrent_on_loop(EVLOOP* loop, int timer_id, struct timeval period,
                                                EVTIMER_PROC proc, void* user_data) EVTHREAD_NOTHROW;

// Calls the procedure once `delay`, or every `period`, from now. A running timer is set anew.
EVC_API int EVTIMER_start(EVTIMER* timer) EVTHREAD_NOTHROW;
// Stops it; it can be started again. Idempotent.
EVC_API int EVTIMER_cancel(EVTIMER* timer) EVTHREAD_NOTHROW;
EVC_API int EVTIMER_free(EVTIMER* timer) EVTHREAD_NOTHROW;
// What it was made with. Errors: EINVAL for NULL.
EVC_API int EVTIMER_id(const EVTIMER* timer) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif

// What most servers do not need stands in headers of its own; this one includes them all.
#include "evcorothread/evthread_bundle.h"   // EVBUNDLE: coroutine threads that one waits for
#include "evcorothread/evthread_channel.h"  // EVCHANNEL: messages between them
#include "evcorothread/evthread_offload.h"  // EVOFFLOAD: blocking code on OS threads
#include "evcorothread/evthread_process.h"  // EVPROCESS, EVSIGNAL, EVWORKERS: more processes than one
#include "evcorothread/evthread_tls.h"      // EVTLS: TLS over an EVSOCKET
#include "evcorothread/evthread_udp.h"      // EVUDP: datagrams
