// The C face of EVCOROTHREAD: EVTLS, TLS over an EVSOCKET. Included by evthread.h, where the rules of all
// these calls stand.
#pragma once

#include <time.h>

#include "evcorothread/evthread.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- EVTLSCONTEXT: what one side brings to every TLS connection ----

// Certificates, whom one trusts, which protocols one offers: made once, used for every connection.
//
//   EVTLS_OPTIONS options = {0};
//   EVTLS_ERROR why;
//   options.certificate_file = "chain.pem";
//   options.key_file = "key.pem";
//   EVTLSCONTEXT *context = EVTLSCONTEXT_server(&options, &why);
//   if (context == NULL) fprintf(stderr, "%s\n", why.text);
//
// TLS 1.2 and 1.3, on OpenSSL 3. In a library that was built without it everything is there, and making a
// context fails with ENOSYS.
//
// Owner:  you; EVTLSCONTEXT_free. A connection that has shaken hands keeps what it needs of it: it may go
//         before that does.
// Thread: any; one context may serve several loops, and be reloaded meanwhile.
typedef struct tagEVTLSCONTEXT EVTLSCONTEXT;

// Does the other side have to show a certificate that is good?
enum {
    EVTLS_VERIFY_USUAL = 0,     // a server's, yes; a client's is not asked for
    EVTLS_VERIFY_NONE = 1,      // no: then anybody may be a client's server; for tests only
    EVTLS_VERIFY_OPTIONAL = 2,  // servers only: one that is shown must be good
    EVTLS_VERIFY_REQUIRED = 3
};

enum { EVTLS_VERSION_USUAL = 0, EVTLS_VERSION_1_2 = 12, EVTLS_VERSION_1_3 = 13 };

// One of several certificates: see EVTLS_OPTIONS.
typedef struct tagEVTLS_CERTIFICATE {
    const char* certificate_file;
    const char* key_file;
} EVTLS_CERTIFICATE;

// What is zero is usual, so that `= {0}` and the few lines that matter will do. The strings are copied.
typedef struct tagEVTLS_OPTIONS {
    // PEM: our certificate first, then those between it and the root; and its key, not encrypted. A server
    // needs them.
    const char* certificate_file;
    const char* key_file;
    // A server's further ones: a client that names a host gets the one made out for it.
    const EVTLS_CERTIFICATE* more_certificates;
    int more_certificates_count;
    // Who may have issued the other side's certificate: a PEM file, a directory made by openssl-rehash, or
    // both. A client with neither trusts the system's store.
    const char* ca_file;
    const char* ca_dir;
    // Application protocols (ALPN), the most wanted first, NULL behind the last: {"h2", "http/1.1", NULL}.
    const char* const* alpn;
    int verify;       // EVTLS_VERIFY_...
    int min_version;  // EVTLS_VERSION_...; 1.2 unless told
    void* reserved[4];
} EVTLS_OPTIONS;

// What an error is about.
enum {
    EVTLS_OTHER = 0,                // nothing of TLS: errno says it
    EVTLS_PROTOCOL = 1,             // the peer does not speak TLS, or not as it must
    EVTLS_CERTIFICATE_REFUSED = 2,  // we do not trust the peer's certificate, or it has none
    EVTLS_CERTIFICATE_EXPIRED = 3,  // ... because its time is over, or has not begun
    EVTLS_WRONG_HOST = 4,           // ... because it is for another host
    EVTLS_REFUSED_BY_PEER = 5,      // the peer did not like something of ours
    EVTLS_PLAIN_TEXT = 6,           // the peer spoke plain HTTP, or some such
    EVTLS_BAD_FILE = 7              // a certificate or key file holds something else, or they do not fit
};

// Why a call failed, for those who look: its kind, and a line for people, with OpenSSL's own words, cut where
// it does not fit. After a success: EVTLS_OTHER and "".
typedef struct tagEVTLS_ERROR {
    int kind;
    char text[252];
} EVTLS_ERROR;

// 1 when this library was built with TLS, else 0.
EVC_API int EVTLS_is_available(void) EVTHREAD_NOTHROW;

// For EVTLS_accept. Reads the files. `why` (here and below) may be NULL.
// Errors: EINVAL for options that make no sense; the errno of a file that cannot be opened; EBADMSG
//         (EVTLS_BAD_FILE); ENOSYS, see above; ENOMEM.
EVC_API EVTLSCONTEXT* EVTLSCONTEXT_server(const EVTLS_OPTIONS* options, EVTLS_ERROR* why) EVTHREAD_NOTHROW;

// For EVTLS_connect. `options` NULL: all is usual.
// Errors: the same.
EVC_API EVTLSCONTEXT* EVTLSCONTEXT_client(const EVTLS_OPTIONS* options, EVTLS_ERROR* why) EVTHREAD_NOTHROW;

// Reads the same files again: new connections get what they say now, old ones go on as they are.
// Errors: the same; then everything stays as it was.
EVC_API int EVTLSCONTEXT_reload(EVTLSCONTEXT* context, EVTLS_ERROR* why) EVTHREAD_NOTHROW;

// Stores in *when the time at which the first of our certificates expires.
// Errors: EINVAL; ENOENT: there is none.
EVC_API int EVTLSCONTEXT_expires(const EVTLSCONTEXT* context, time_t* when) EVTHREAD_NOTHROW;

EVC_API int EVTLSCONTEXT_free(EVTLSCONTEXT* context) EVTHREAD_NOTHROW;

// ---- EVTLS: a TLS connection ----

// A connected EVSOCKET, spoken to in TLS:
//
//   static void serve(EVTHREAD *thread, EVSOCKET *socket, void *context) {
//       char buffer[4096];
//       int got;
//       EVTLS_ERROR why;
//       EVTLS *tls = EVTLS_accept(socket, context, EVTIMEOUT_ms(10000), &why);
//       if (tls == NULL) { fprintf(stderr, "%s\n", why.text); return; }
//       while ((got = EVTLS_recv(tls, buffer, sizeof buffer, TIME_OUT)) > 0)
//           if (EVTLS_send(tls, buffer, (size_t)got, TIME_OUT) < 0) break;
//       EVTLS_close(tls, TIME_OUT);
//   }
//
// Owner:   its EVSOCKET, which must not be used itself meanwhile (transferring fails with EBUSY), and whose
//          end is the connection's: when its coroutine thread returns, or EVTLS_free before. That says
//          goodbye, if the kernel takes it at once. EVSOCKET_close is the end without a goodbye.
// Sharing: as EVSOCKET: one coroutine thread may receive while another one sends.
// Memory:  a handshake needs about 16 KiB of stack: STACKS_init with 8 pages or more.
// Errors of the calls that transfer, beside EINVAL; EVTLS_error says more:
//          ETIMEDOUT     the timeout, or the idle timeout, passed; the connection is still usable
//          ECANCELED     the calling coroutine thread was asked to stop
//          EBUSY         another one is already transferring in this direction
//          EBADF         it was closed, here or elsewhere
//          ECONNABORTED  the stream ended without the peer saying so: somebody may have cut it off
//          EPROTO        what the peer sends is no TLS, or the peer has sent an alert
//          other         of recv(2), send(2): ECONNRESET, EPIPE, ...
typedef struct tagEVTLS EVTLS;

// Shakes hands with a client, over a connected socket. The timeout is for all of it.
// Before: called by the socket's owner; a server's context.
// Errors: EINVAL, also for too small a stack; EBUSY: it has TLS already; ENOTCONN; ETIMEDOUT, ECANCELED,
//         EBADF, ECONNABORTED as above; EPROTO (EVTLS_PROTOCOL, EVTLS_REFUSED_BY_PEER, EVTLS_PLAIN_TEXT),
//         EKEYREJECTED (EVTLS_CERTIFICATE_REFUSED, EVTLS_WRONG_HOST), EKEYEXPIRED
//         (EVTLS_CERTIFICATE_EXPIRED): the peer has been told why; ENOMEM. The socket stays open then, but
//         only closing is useful.
EVC_API EVTLS* EVTLS_accept(EVSOCKET* socket, const EVTLSCONTEXT* context, struct timeval timeout,
                            EVTLS_ERROR* why) EVTHREAD_NOTHROW;

// Shakes hands with a server. `host`: what its certificate must be made out for, and what it is told (SNI): a
// name or an address. With EVTLS_VERIFY_NONE it may be NULL.
// Before: called by the socket's owner; a client's context.
// Errors: the same.
EVC_API EVTLS* EVTLS_connect(EVSOCKET* socket, const EVTLSCONTEXT* context, const char* host,
                             struct timeval timeout, EVTLS_ERROR* why) EVTHREAD_NOTHROW;

// Waits until the peer has sent something, then takes what is there, of one record at most: returns the
// number of bytes, 0 when the peer said that it has finished. `size` must not be 0.
EVC_API int EVTLS_recv(EVTLS* tls, void* buffer, size_t size, struct timeval timeout) EVTHREAD_NOTHROW;

// Receives exactly `size` bytes and returns that; less when the peer finishes before.
// After a failure (-1) what came is at the front of the buffer; EVTLS_recv_all_ex tells how much.
EVC_API int EVTLS_recv_all(EVTLS* tls, void* buffer, size_t size, struct timeval timeout) EVTHREAD_NOTHROW;
// The same; stores in *received, unless it is NULL, how many bytes came, whatever else happened.
EVC_API int EVTLS_recv_all_ex(EVTLS* tls, void* buffer, size_t size, struct timeval timeout,
                              size_t* received) EVTHREAD_NOTHROW;

// Sends all and returns `size`.
// After a failure (-1) some bytes may have gone; EVTLS_send_ex tells how many.
EVC_API int EVTLS_send(EVTLS* tls, const void* data, size_t size, struct timeval timeout) EVTHREAD_NOTHROW;
// The same; stores in *sent, unless it is NULL, how many bytes went, or will go before anything else does,
// whatever else happened.
EVC_API int EVTLS_send_ex(EVTLS* tls, const void* data, size_t size, struct timeval timeout,
                          size_t* sent) EVTHREAD_NOTHROW;

// Says that we have finished: the peer's EVTLS_recv returns 0. Receiving goes on.
EVC_API int EVTLS_shutdown_send(EVTLS* tls) EVTHREAD_NOTHROW;

// Sends what is still to go, says goodbye, waits for the peer's, and closes the socket; closed even on an
// error. The handle stays.
// Errors: those of sending; ECONNABORTED when the peer just hung up.
EVC_API int EVTLS_close(EVTLS* tls, struct timeval timeout) EVTHREAD_NOTHROW;

// Says goodbye if the kernel takes it now, closes the socket and frees. Whoever waits on it gets EBADF.
EVC_API int EVTLS_free(EVTLS* tls) EVTHREAD_NOTHROW;

// Why the last call of this connection failed. Errors: EINVAL.
EVC_API int EVTLS_error(const EVTLS* tls, EVTLS_ERROR* why) EVTHREAD_NOTHROW;

// What the two have agreed on, and who the other one is: "TLSv1.3", "TLS_AES_128_GCM_SHA256", "h2", the host
// that the client named, "CN=ada,O=Example". "" where there is nothing.
// Lifetime: that of `tls`. Errors: NULL with EINVAL, ENOMEM.
EVC_API const char* EVTLS_protocol(EVTLS* tls) EVTHREAD_NOTHROW;
EVC_API const char* EVTLS_cipher(EVTLS* tls) EVTHREAD_NOTHROW;
EVC_API const char* EVTLS_alpn(EVTLS* tls) EVTHREAD_NOTHROW;
EVC_API const char* EVTLS_server_name(EVTLS* tls) EVTHREAD_NOTHROW;
EVC_API const char* EVTLS_peer_subject(EVTLS* tls) EVTHREAD_NOTHROW;
EVC_API const char* EVTLS_peer_issuer(EVTLS* tls) EVTHREAD_NOTHROW;

// 1 when somebody we trust says that the peer is who it says, else 0.
EVC_API int EVTLS_is_peer_verified(EVTLS* tls) EVTHREAD_NOTHROW;
// 1 when an earlier session was resumed, without a full handshake, else 0.
EVC_API int EVTLS_is_resumed(EVTLS* tls) EVTHREAD_NOTHROW;

#ifdef __cplusplus
}
#endif
