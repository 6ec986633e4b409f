// The C face, compiled as C11: that the header is C, that its types are those the article's program uses, and
// a whole program's life without a line of C++. Called from c_face_test.cpp.
#include "evcorothread/compat/corothread/evthread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// The exact types: a cast would hide a difference, an assignment does not.
static int (*const libinit)(void) = CTHREAD_libinit;
static int (*const stacks_init)(STACKS*, int, int) = STACKS_init;
static EVLOOP* (*const loop_init)(STACKS*) = EVLOOP_init;
static EVTCPACCEPTOR* (*const acceptor_init_ex)(EVLOOP*, const SOCKADDR*, int, EVTHREAD_FACTORY, int,
                                                int) = EVTCPACCEPTOR_init_ex;
static int (*const recv_)(EVSOCKET*, void*, size_t, int, struct timeval) = EVSOCKET_recv;
static int (*const send_)(EVSOCKET*, const void*, size_t, int, struct timeval) = EVSOCKET_send;
static int (*const delay_)(EVTHREAD*, struct timeval) = EVTHREAD_delay;

// Bundles, channels, offloading, signals, processes.
static EVBUNDLE* (*const bundle_init)(EVLOOP*, struct timeval) = EVBUNDLE_init;
static int (*const bundle_go)(EVBUNDLE*, const char*, EVBUNDLE_PROC, void*) = EVBUNDLE_go;
static int (*const bundle_wait)(EVBUNDLE*, struct timeval) = EVBUNDLE_wait;
static int (*const bundle_wait_any)(EVBUNDLE*, struct timeval) = EVBUNDLE_wait_any;
static int (*const bundle_cancel)(EVBUNDLE*) = EVBUNDLE_cancel;
static int (*const bundle_close)(EVBUNDLE*, struct timeval) = EVBUNDLE_close;
static int (*const bundle_size)(const EVBUNDLE*) = EVBUNDLE_size;
static int (*const bundle_free)(EVBUNDLE*) = EVBUNDLE_free;
static EVCHANNEL* (*const channel_init)(EVLOOP*, size_t, size_t) = EVCHANNEL_init;
static int (*const channel_send)(EVCHANNEL*, const void*, struct timeval) = EVCHANNEL_send;
static int (*const channel_recv)(EVCHANNEL*, void*, struct timeval) = EVCHANNEL_recv;
static int (*const channel_try_send)(EVCHANNEL*, const void*) = EVCHANNEL_try_send;
static int (*const channel_try_recv)(EVCHANNEL*, void*) = EVCHANNEL_try_recv;
static int (*const channel_size)(const EVCHANNEL*) = EVCHANNEL_size;
static int (*const channel_close)(EVCHANNEL*) = EVCHANNEL_close;
static int (*const channel_free)(EVCHANNEL*) = EVCHANNEL_free;
static int (*const select_)(EVCHANNEL_ARM*, int, struct timeval) = EVCHANNEL_select;
static int (*const select_ordered)(EVCHANNEL_ARM*, int, struct timeval) = EVCHANNEL_select_ordered;
static EVOFFLOAD* (*const offload_init)(int, int) = EVOFFLOAD_init;
static int (*const offload_call)(EVOFFLOAD*, EVOFFLOAD_PROC, void*, void (*)(void*),
                                 struct timeval) = EVOFFLOAD_call;
static int (*const offload_try_call)(EVOFFLOAD*, EVOFFLOAD_PROC, void*, void (*)(void*),
                                     struct timeval) = EVOFFLOAD_try_call;
static int (*const offload_free)(EVOFFLOAD*) = EVOFFLOAD_free;
static EVSIGNAL* (*const signal_init)(EVLOOP*, const int*, int) = EVSIGNAL_init;
static int (*const signal_wait)(EVSIGNAL*, struct timeval) = EVSIGNAL_wait;
static int (*const signal_try_wait)(EVSIGNAL*) = EVSIGNAL_try_wait;
static int (*const signal_free)(EVSIGNAL*) = EVSIGNAL_free;
static pid_t (*const process_start)(EVLOOP*, EVPROCESS_PROC, void*) = EVPROCESS_start;
static pid_t (*const process_fork)(EVLOOP*) = EVPROCESS_fork;
static int (*const process_wait)(EVLOOP*, pid_t, int*, struct timeval) = EVPROCESS_wait;
static int (*const worker_index)(const EVWORKER*) = EVWORKER_index;
static int (*const worker_generation)(const EVWORKER*) = EVWORKER_generation;
static int (*const worker_take_listener)(EVWORKER*) = EVWORKER_take_listener;
static int (*const worker_ready)(EVWORKER*) = EVWORKER_ready;
static int (*const workers_listen)(const SOCKADDR*, int, SOCKADDR*) = EVWORKERS_listen;
static int (*const workers_run)(int, int, EVWORKER_PROC, void*) = EVWORKERS_run;
static int (*const workers_run_ex)(int, int, EVWORKER_PROC, void*, struct timeval, struct timeval,
                                   int (*)(void*)) = EVWORKERS_run_ex;
static EVTCPACCEPTOR* (*const acceptor_init_fd_ctx)(EVLOOP*, int, EVTHREAD_FACTORY_CTX, void*, int,
                                                    int) = EVTCPACCEPTOR_init_fd_ctx;
static long long (*const acceptor_accepted)(const EVTCPACCEPTOR*) = EVTCPACCEPTOR_accepted;

// Datagrams and TLS.
static EVUDP* (*const udp_bind)(EVLOOP*, const SOCKADDR*, const EVUDP_OPTIONS*) = EVUDP_bind;
static EVUDP* (*const udp_connect)(EVLOOP*, const SOCKADDR*, const EVUDP_OPTIONS*) = EVUDP_connect;
static EVUDP* (*const udp_init)(EVLOOP*, int) = EVUDP_init;
static int (*const udp_set_peer)(EVUDP*, const SOCKADDR*) = EVUDP_set_peer;
static int (*const udp_recv_from)(EVUDP*, void*, size_t, SOCKADDR*, struct timeval) = EVUDP_recv_from;
static int (*const udp_recv_from_ex)(EVUDP*, void*, size_t, SOCKADDR*, struct timeval, size_t*,
                                     size_t*) = EVUDP_recv_from_ex;
static int (*const udp_send_to)(EVUDP*, const void*, size_t, const SOCKADDR*, struct timeval) = EVUDP_send_to;
static int (*const udp_try_recv_from)(EVUDP*, void*, size_t, SOCKADDR*) = EVUDP_try_recv_from;
static int (*const udp_try_send_to)(EVUDP*, const void*, size_t, const SOCKADDR*) = EVUDP_try_send_to;
static int (*const udp_join_group)(EVUDP*, const IPADDRESS*, unsigned) = EVUDP_join_group;
static int (*const udp_leave_group)(EVUDP*, const IPADDRESS*, unsigned) = EVUDP_leave_group;
static int (*const udp_address)(const EVUDP*, SOCKADDR*) = EVUDP_address;
static int (*const udp_port)(const EVUDP*) = EVUDP_port;
static int (*const udp_fd)(const EVUDP*) = EVUDP_fd;
static int (*const udp_close)(EVUDP*) = EVUDP_close;
static int (*const udp_free)(EVUDP*) = EVUDP_free;
static EVUDPBATCH* (*const batch_init)(int, size_t) = EVUDPBATCH_init;
static int (*const batch_free)(EVUDPBATCH*) = EVUDPBATCH_free;
static int (*const batch_size)(const EVUDPBATCH*) = EVUDPBATCH_size;
static int (*const batch_clear)(EVUDPBATCH*) = EVUDPBATCH_clear;
static int (*const batch_add)(EVUDPBATCH*, const void*, size_t, const SOCKADDR*) = EVUDPBATCH_add;
static int (*const batch_next)(EVUDPBATCH*, EVUDP_DATAGRAM*) = EVUDPBATCH_next;
static int (*const batch_rewind)(EVUDPBATCH*) = EVUDPBATCH_rewind;
static int (*const udp_recv_batch)(EVUDP*, EVUDPBATCH*, struct timeval) = EVUDP_recv_batch;
static int (*const udp_send_batch)(EVUDP*, EVUDPBATCH*, int, struct timeval, size_t*) = EVUDP_send_batch;
static int (*const tls_is_available)(void) = EVTLS_is_available;
static EVTLSCONTEXT* (*const tls_server)(const EVTLS_OPTIONS*, EVTLS_ERROR*) = EVTLSCONTEXT_server;
static EVTLSCONTEXT* (*const tls_client)(const EVTLS_OPTIONS*, EVTLS_ERROR*) = EVTLSCONTEXT_client;
static int (*const tls_reload)(EVTLSCONTEXT*, EVTLS_ERROR*) = EVTLSCONTEXT_reload;
static int (*const tls_expires)(const EVTLSCONTEXT*, time_t*) = EVTLSCONTEXT_expires;
static int (*const tls_context_free)(EVTLSCONTEXT*) = EVTLSCONTEXT_free;
static EVTLS* (*const tls_accept)(EVSOCKET*, const EVTLSCONTEXT*, struct timeval,
                                  EVTLS_ERROR*) = EVTLS_accept;
static EVTLS* (*const tls_connect)(EVSOCKET*, const EVTLSCONTEXT*, const char*, struct timeval,
                                   EVTLS_ERROR*) = EVTLS_connect;
static int (*const tls_recv)(EVTLS*, void*, size_t, struct timeval) = EVTLS_recv;
static int (*const tls_recv_all)(EVTLS*, void*, size_t, struct timeval) = EVTLS_recv_all;
static int (*const tls_recv_all_ex)(EVTLS*, void*, size_t, struct timeval, size_t*) = EVTLS_recv_all_ex;
static int (*const tls_send)(EVTLS*, const void*, size_t, struct timeval) = EVTLS_send;
static int (*const tls_send_ex)(EVTLS*, const void*, size_t, struct timeval, size_t*) = EVTLS_send_ex;
static int (*const tls_shutdown_send)(EVTLS*) = EVTLS_shutdown_send;
static int (*const tls_close)(EVTLS*, struct timeval) = EVTLS_close;
static int (*const tls_free)(EVTLS*) = EVTLS_free;
static int (*const tls_error)(const EVTLS*, EVTLS_ERROR*) = EVTLS_error;
static const char* (*const tls_texts[])(EVTLS*) = {EVTLS_protocol,    EVTLS_cipher,       EVTLS_alpn,
                                                   EVTLS_server_name, EVTLS_peer_subject, EVTLS_peer_issuer};
static int (*const tls_answers[])(EVTLS*) = {EVTLS_is_peer_verified, EVTLS_is_resumed};

_Static_assert(sizeof(EVTLS_ERROR) == 256, "keeps its size");
_Static_assert(sizeof(SOCKADDR) <= 128, "an address by value");

struct work {
    int sockets[2];
    char got[16];
    int steps;
};

static void echo(EVTHREAD* thread, struct tagEVSOCKET* socket, void* user_ctx) {
    char buffer[16];
    int rt;
    (void)thread;
    (void)user_ctx;
    while ((rt = recv_(socket, buffer, sizeof buffer, 0, EVTIMEOUT_ms(5000))) > 0) {
        if (send_(socket, buffer, (size_t)rt, 0, EVTIMEOUT_ms(5000)) != rt) break;
    }
}

static void client(EVTHREAD* thread, struct tagEVSOCKET* socket, void* user_ctx) {
    struct work* work = user_ctx;
    (void)delay_(thread, EVTIMEOUT_ms(1));
    if (EVSOCKET_send(socket, "in C", 4, 0, EVTIMEOUT_ms(5000)) == 4) ++work->steps;
    if (EVSOCKET_recv_all(socket, work->got, 4, 0, EVTIMEOUT_ms(5000)) == 4) ++work->steps;
}

static int echo_factory(int fd, EVTHREAD_PROC* proc, void** ctx) {
    (void)fd;
    *proc = echo;
    *ctx = NULL;
    return 0;
}

struct more_work {
    EVLOOP* loop;
    EVCHANNEL* numbers;
    EVOFFLOAD* pool;
    EVSIGNAL* signals;
    const char* failed;
};

static int send_numbers(EVTHREAD* thread, void* user_ctx) {
    struct more_work* work = user_ctx;
    int i;
    (void)thread;
    for (i = 1; i <= 4; ++i)
        if (channel_send(work->numbers, &i, EVTIMEOUT_ms(5000)) != 0) return -1;
    return channel_close(work->numbers);
}

static int sleep_on(EVTHREAD* thread, void* user_ctx) {
    (void)user_ctx;
    return EVTHREAD_delay(thread, EVTIMEOUT_never());
}

static void set_one(void* number) { *(int*)number = 1; }
static int return_three(void* user_ctx) {
    (void)user_ctx;
    return 3;
}
static int return_four(EVWORKER* worker, void* user_ctx) {
    (void)worker;
    (void)user_ctx;
    return 4;
}
static int no_proc(void* factory_ctx, int fd, EVTHREAD_PROC* proc, void** ctx) {
    (void)factory_ctx;
    (void)fd;
    (void)proc;
    (void)ctx;
    return 1;
}

// What does not go as it should.
static const char* try_bundle_and_channel(struct more_work* work) {
    int number = 0, sum = 0;
    EVCHANNEL_ARM arms[2] = {{NULL, EVCHANNEL_SEND, NULL, 0}, {NULL, EVCHANNEL_RECV, NULL, 0}};
    EVBUNDLE* children = bundle_init(work->loop, EVTIMEOUT_never());
    if ((work->numbers = channel_init(work->loop, sizeof(int), 1)) == NULL) return "EVCHANNEL_init";
    if (bundle_go(children, "numbers", send_numbers, work) != 0) return "EVBUNDLE_go";
    if (bundle_size(children) != 1) return "EVBUNDLE_size";
    arms[1].channel = work->numbers;
    arms[1].message = &number;
    if (channel_recv(work->numbers, &number, EVTIMEOUT_ms(5000)) != 0 || number != 1) return "EVCHANNEL_recv";
    while (select_(arms, 2, EVTIMEOUT_ms(5000)) == 1 && arms[1].error == 0) sum += number;
    if (sum != 9 || arms[1].error != EPIPE) return "EVCHANNEL_select";
    if (select_ordered(arms, 2, EVTIMEOUT_ms(5000)) != 1) return "EVCHANNEL_select_ordered";
    if (channel_try_send(work->numbers, &number) != -1 || errno != EPIPE) return "EVCHANNEL_try_send";
    if (channel_try_recv(work->numbers, &number) != -1 || errno != EPIPE) return "EVCHANNEL_try_recv";
    if (channel_size(work->numbers) != 0) return "EVCHANNEL_size";
    if (channel_free(work->numbers) != 0) return "EVCHANNEL_free";
    if (bundle_wait_any(children, EVTIMEOUT_ms(5000)) != 0) return "EVBUNDLE_wait_any";
    if (bundle_wait(children, EVTIMEOUT_ms(5000)) != 0) return "EVBUNDLE_wait";
    if (bundle_go(children, NULL, sleep_on, NULL) != 0 || bundle_cancel(children) != 0)
        return "EVBUNDLE_cancel";
    if (bundle_close(children, EVTIMEOUT_ms(5000)) != 0) return "EVBUNDLE_close";
    return bundle_free(children) != 0 ? "EVBUNDLE_free" : NULL;
}

static const char* try_processes(struct more_work* work) {
    int status = 0;
    pid_t pid = process_start(work->loop, return_three, NULL);
    if (pid <= 0 || process_wait(work->loop, pid, &status, EVTIMEOUT_ms(5000)) != 0) return "EVPROCESS_start";
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 3) return "EVPROCESS_wait";
    if ((pid = process_fork(work->loop)) == 0) _exit(5);
    if (process_wait(work->loop, pid, &status, EVTIMEOUT_ms(5000)) != 0 || WEXITSTATUS(status) != 5)
        return "EVPROCESS_fork";
    if (workers_run(1, -1, return_four, NULL) != -1 || errno != EBUSY) return "EVWORKERS_run";
    if (workers_run_ex(1, -1, return_four, NULL, EVTIMEOUT_ms(1), EVTIMEOUT_ms(1), return_three) != -1)
        return "EVWORKERS_run_ex";
    if (worker_index(NULL) != -1 || worker_generation(NULL) != -1) return "EVWORKER_index";
    if (worker_take_listener(NULL) != -1 || worker_ready(NULL) != -1) return "EVWORKER_ready";
    return NULL;
}

static const char* try_the_rest(struct more_work* work) {
    const int usr1 = SIGUSR1;
    int ran = 0;
    if ((work->signals = signal_init(work->loop, &usr1, 1)) == NULL) return "EVSIGNAL_init";
    if (signal_try_wait(work->signals) != -1 || errno != EAGAIN) return "EVSIGNAL_try_wait";
    raise(SIGUSR1);
    if (signal_wait(work->signals, EVTIMEOUT_ms(5000)) != SIGUSR1) return "EVSIGNAL_wait";
    if (signal_free(work->signals) != 0) return "EVSIGNAL_free";
    if ((work->pool = offload_init(1, 1)) == NULL) return "EVOFFLOAD_init";
    if (offload_call(work->pool, set_one, &ran, NULL, EVTIMEOUT_ms(5000)) != 0 || ran != 1)
        return "EVOFFLOAD_call";
    if (offload_try_call(work->pool, set_one, &ran, NULL, EVTIMEOUT_ms(5000)) != 0)
        return "EVOFFLOAD_try_call";
    return offload_free(work->pool) != 0 ? "EVOFFLOAD_free" : NULL;
}

static const char* try_datagrams(struct more_work* work) {
    SOCKADDR here, from;
    IPADDRESS group;
    EVUDP_DATAGRAM one;
    char got[8];
    size_t received, full;
    EVUDP *udp, *peer;
    EVUDPBATCH* batch = batch_init(2, 8);
    if (SOCKADDR_parse(&here, "127.0.0.1:0") != 0 || (udp = udp_bind(work->loop, &here, NULL)) == NULL)
        return "EVUDP_bind";
    if (udp_address(udp, &here) != 0 || udp_port(udp) <= 0 || udp_fd(udp) < 0) return "EVUDP_address";
    if ((peer = udp_connect(work->loop, &here, NULL)) == NULL) return "EVUDP_connect";
    if (udp_send_to(peer, "ab", 2, NULL, EVTIMEOUT_ms(5000)) != 2) return "EVUDP_send_to";
    if (udp_recv_from(udp, got, sizeof got, &from, EVTIMEOUT_ms(5000)) != 2) return "EVUDP_recv_from";
    if (udp_try_send_to(udp, "long", 4, &from) != 4) return "EVUDP_try_send_to";
    if (udp_recv_from_ex(peer, got, 2, NULL, EVTIMEOUT_ms(5000), &received, &full) != -1 ||
        errno != EMSGSIZE || received != 2 || full != 4)
        return "EVUDP_recv_from_ex";
    if (udp_try_recv_from(peer, got, 2, NULL) != -1 || errno != EAGAIN) return "EVUDP_try_recv_from";
    if (udp_set_peer(peer, NULL) != 0 || udp_set_peer(peer, &here) != 0) return "EVUDP_set_peer";
    if (batch == NULL || batch_add(batch, "x", 1, NULL) != 0 || batch_add(batch, "y", 1, NULL) != 0)
        return "EVUDPBATCH_add";
    if (udp_send_batch(peer, batch, 0, EVTIMEOUT_ms(5000), &received) != 2 || received != 2)
        return "EVUDP_send_batch";
    if (batch_clear(batch) != 0 || batch_size(batch) != 0) return "EVUDPBATCH_clear";
    if (udp_recv_batch(udp, batch, EVTIMEOUT_ms(5000)) < 1) return "EVUDP_recv_batch";
    if (batch_next(batch, &one) != 1 || memcmp(one.data, "x", 1) != 0) return "EVUDPBATCH_next";
    if (batch_rewind(batch) != 0 || batch_free(batch) != 0) return "EVUDPBATCH_free";
    IPADDRESS_loopback(&group, AF_INET);
    if (udp_join_group(udp, &group, 0) != -1 || udp_leave_group(udp, &group, 0) != -1)
        return "EVUDP_join_group";
    if (udp_init(work->loop, -1) != NULL) return "EVUDP_init";
    return udp_close(udp) != 0 || udp_free(udp) != 0 || udp_free(peer) != 0 ? "EVUDP_free" : NULL;
}

// How TLS is spoken, tls_c_face_test.cpp knows; here, that all of it is C.
static const char* try_tls(void) {
    EVTLS_OPTIONS options = {0};
    EVTLS_ERROR why;
    time_t when;
    size_t i;
    if (tls_server(&options, &why) != NULL || why.text[0] == '\0') return "EVTLSCONTEXT_server";
    options.verify = EVTLS_VERIFY_NONE;
    if (tls_is_available() == 1) {
        EVTLSCONTEXT* context = tls_client(&options, &why);
        if (context == NULL || why.text[0] != '\0') return "EVTLSCONTEXT_client";
        if (tls_reload(context, NULL) != 0) return "EVTLSCONTEXT_reload";
        if (tls_expires(context, &when) != -1 || errno != ENOENT) return "EVTLSCONTEXT_expires";
        if (tls_accept(NULL, context, EVTIMEOUT_ms(1), &why) != NULL) return "EVTLS_accept";
        if (tls_connect(NULL, context, "x", EVTIMEOUT_ms(1), &why) != NULL) return "EVTLS_connect";
        if (tls_context_free(context) != 0) return "EVTLSCONTEXT_free";
    }
    if (tls_recv(NULL, &i, 1, EVTIMEOUT_ms(1)) != -1 || tls_recv_all(NULL, &i, 1, EVTIMEOUT_ms(1)) != -1 ||
        tls_recv_all_ex(NULL, &i, 1, EVTIMEOUT_ms(1), NULL) != -1)
        return "EVTLS_recv";
    if (tls_send(NULL, "x", 1, EVTIMEOUT_ms(1)) != -1 ||
        tls_send_ex(NULL, "x", 1, EVTIMEOUT_ms(1), NULL) != -1)
        return "EVTLS_send";
    if (tls_shutdown_send(NULL) != -1 || tls_close(NULL, EVTIMEOUT_ms(1)) != -1 || tls_free(NULL) != -1)
        return "EVTLS_close";
    if (tls_error(NULL, &why) != -1) return "EVTLS_error";
    for (i = 0; i < sizeof tls_texts / sizeof *tls_texts; ++i)
        if (tls_texts[i](NULL) != NULL) return "EVTLS_protocol and the like";
    for (i = 0; i < sizeof tls_answers / sizeof *tls_answers; ++i)
        if (tls_answers[i](NULL) != -1) return "EVTLS_is_resumed and the like";
    return NULL;
}

static void try_all(EVTHREAD* thread, struct tagEVSOCKET* socket, void* user_ctx) {
    struct more_work* work = user_ctx;
    (void)thread;
    (void)socket;
    work->failed = try_bundle_and_channel(work);
    if (work->failed == NULL) work->failed = try_processes(work);
    if (work->failed == NULL) work->failed = try_the_rest(work);
    if (work->failed == NULL) work->failed = try_datagrams(work);
    if (work->failed == NULL) work->failed = try_tls();
}

static const char* try_listening(EVLOOP* loop) {
    SOCKADDR saddr;
    EVTCPACCEPTOR* acceptor;
    int listener;
    if (SOCKADDR_parse(&saddr, "127.0.0.1:0") != 0) return "SOCKADDR_parse";
    if ((listener = workers_listen(&saddr, 30, &saddr)) < 0) return "EVWORKERS_listen";
    if ((acceptor = acceptor_init_fd_ctx(loop, listener, no_proc, NULL, -1, -1)) == NULL)
        return "EVTCPACCEPTOR_init_fd_ctx";
    if (acceptor_accepted(acceptor) != 0) return "EVTCPACCEPTOR_accepted";
    return EVTCPACCEPTOR_close(acceptor) != 0 ? "EVTCPACCEPTOR_close" : NULL;
}

// Returns NULL when all went well, else what did not.
const char* c_face_in_c11(const int sockets[2]);
const char* c_face_in_c11(const int sockets[2]) {
    struct work work = {{sockets[0], sockets[1]}, "", 0};
    STACKS stacks;
    EVLOOP* loop;
    EVTHREAD *server, *caller;
    EVTCPACCEPTOR* acceptor;
    IPADDRESS addr;
    SOCKADDR saddr;
    struct more_work more = {NULL, NULL, NULL, NULL, "nothing was tried"};
    const char* failed;

    if (libinit() != 0) return "CTHREAD_libinit";
    if (stacks_init(&stacks, 10, 5) != 0) return "STACKS_init";
    if ((loop = loop_init(&stacks)) == NULL) return "EVLOOP_init";
    if (IPADDRESS_any(&addr, AF_INET) != 0) return "IPADDRESS_any";
    if (SOCKADDR_init(&saddr, &addr, 0) != 0) return "SOCKADDR_init";
    if ((acceptor = acceptor_init_ex(loop, &saddr, 30, echo_factory, 8192, 8192)) == NULL)
        return "EVTCPACCEPTOR_init_ex";
    if (EVTCPACCEPTOR_close(acceptor) != 0) return "EVTCPACCEPTOR_close";

    server = EVTHREAD_init(loop, echo, NULL);
    caller = EVTHREAD_init(loop, client, &work);
    if (server == NULL || caller == NULL) return "EVTHREAD_init";
    if (EVTHREAD_start(server, EVSOCKET_init(server, work.sockets[0], 1)) != 0) return "EVTHREAD_start";
    if (EVTHREAD_start(caller, EVSOCKET_init(caller, work.sockets[1], 1)) != 0) return "EVTHREAD_start";
    if (EVLOOP_run(loop) != 0) return "EVLOOP_run";
    if (work.steps != 2 || memcmp(work.got, "in C", 4) != 0) return "the echo";

    more.loop = loop;
    if ((failed = try_listening(loop)) != NULL) return failed;
    if (EVTHREAD_start(EVTHREAD_init(loop, try_all, &more), NULL) != 0) return "EVTHREAD_start";
    if (EVLOOP_run(loop) != 0) return "EVLOOP_run";
    if (more.failed != NULL) return more.failed;

    if (EVLOOP_free(loop) != 0) return "EVLOOP_free";
    if (STACKS_destroy(&stacks) != 0) return "STACKS_destroy";
    return NULL;
}
