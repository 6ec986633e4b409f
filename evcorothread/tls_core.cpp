#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "evcorothread/tls_core_internal.h"
#include "evcorothread/tls_error.h"
#include "nutils/ip_address.h"

namespace evcorothread {
namespace {

TlsCore& engine_of(BIO* bio) { return *static_cast<TlsCore*>(BIO_get_data(bio)); }

int read_bio(BIO* bio, char* buffer, int size) {
    BIO_clear_retry_flags(bio);
    return size > 0 ? engine_of(bio).bio_read(bio, buffer, size) : 0;
}
int write_bio(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    return size > 0 ? engine_of(bio).bio_write(bio, data, size) : 0;
}
long control_bio(BIO* bio, int what, long, void*) {
    switch (what) {
        case BIO_CTRL_FLUSH: return 1;  // never late
        case BIO_CTRL_EOF: return engine_of(bio).transport_ended;
        default: return 0;
    }
}

// SSL_get_error() would ask the queue, too, whether the peer's alert was the ordinary end.
void hear_alert(const SSL* ssl, int where, int alert) {
    if (where == SSL_CB_READ_ALERT && (alert & 0xff) == SSL_AD_CLOSE_NOTIFY)
        engine_of(SSL_get_rbio(ssl)).peer_said_goodbye = true;
}

// For ever: connections may end in any order.
const BIO_METHOD* bio_method() {
    static BIO_METHOD* const method = [] {
        BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "EvSocket");
        if (made == nullptr) return made;
        BIO_meth_set_read(made, read_bio);
        BIO_meth_set_write(made, write_bio);
        BIO_meth_set_ctrl(made, control_bio);
        return made;
    }();
    return method;
}

// What other code has left in this OS thread's queue would be taken for ours. Looking is cheaper than
// clearing, but not for nothing: reading and writing look afterwards, when they have failed.
void forget_old_errors() {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

// Why a call failed; what follows are consequences. Forgets all.
unsigned long take_first_error() {
    const unsigned long first = ERR_get_error();
    ERR_clear_error();
    return first;
}

// Why a call failed before which nobody has looked: what came last, as what other code has left came before;
// but others follow when there was no memory. Forgets all.
unsigned long take_newest_error() {
    unsigned long newest = 0;
    while (const unsigned long packed = ERR_get_error())
        if (ERR_GET_REASON(newest) != ERR_R_MALLOC_FAILURE) newest = packed;
    return newest;
}

std::error_code no_memory() { return std::make_error_code(std::errc::not_enough_memory); }

}  // namespace

std::error_code TlsCore::begin(ssl_ctx_st* context, bool server) {
    if (context == nullptr || bio_method() == nullptr) return no_memory();
    ssl.reset(SSL_new(context));
    if (ssl == nullptr) return take_openssl_error();
    BIO* const bio = BIO_new(bio_method());
    if (bio == nullptr) return take_openssl_error();
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl.get(), bio, bio);  // owns it
    SSL_set_info_callback(ssl.get(), hear_alert);
    if (server)
        SSL_set_accept_state(ssl.get());
    else
        SSL_set_connect_state(ssl.get());
    return {};
}

std::error_code TlsCore::expect(const std::string& host, bool verify) {
    const bool is_address = nutils::IpAddress::parse(host).ok();
    if (!is_address && !host.empty() && SSL_set_tlsext_host_name(ssl.get(), host.c_str()) != 1)
        return take_openssl_error();
    if (verify) {
        SSL_set_hostflags(ssl.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl.get());
        // Certificates know no scopes: that is which of our interfaces leads there.
        const std::string address = host.substr(0, host.find('%'));
        const int done = is_address ? X509_VERIFY_PARAM_set1_ip_asc(rules, address.c_str())
                                    : X509_VERIFY_PARAM_set1_host(rules, host.c_str(), host.size());
        if (done != 1) return take_openssl_error();
    }
    return {};
}

std::error_code TlsCore::shake_hands() {
    shaking_ = true;
    forget_old_errors();
    const int result = SSL_do_handshake(ssl.get());
    const int outcome = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl.get(), result);
    std::error_code error;
    if (outcome == SSL_ERROR_WANT_READ)
        error = NetError::would_block;
    else if (outcome != SSL_ERROR_NONE)
        error = failure(take_first_error());
    shaking_ = false;
    const std::error_code flushed = flush();
    // Who has told us why it hangs up has our answers refused: its reason is the better one.
    if (error == NetError::would_block || !error)
        if (flushed && flushed != NetError::would_block) return flushed;
    hungry_ = SSL_has_pending(ssl.get()) == 0;
    return error;
}

IoResult TlsCore::read(std::span<char> buffer) {
    if (receive_end) return {0, receive_end};
    hungry_ = false;
    std::size_t bytes = 0;
    if (SSL_read_ex(ssl.get(), buffer.data(), buffer.size(), &bytes) == 1) [[likely]]
        return {bytes, {}};
    if (hungry_) return {0, NetError::would_block};
    const std::error_code why = failure(take_newest_error());
    receive_end = peer_said_goodbye ? make_error_code(NetError::eof) : why;
    return {0, receive_end};
}

IoResult TlsCore::write(std::string_view data) {
    if (send_error) return {0, send_error};
    if (goodbye_) return {0, std::make_error_code(std::errc::broken_pipe)};
    std::size_t bytes = 0;
    const int result = SSL_write_ex(ssl.get(), data.data(), std::min(data.size(), kRecord), &bytes);
    if (result != 1) {
        // What ended receiving explains it better than that OpenSSL will not write any more.
        const std::error_code error = failure(take_newest_error());
        return {0, receive_end && receive_end != NetError::eof ? receive_end : error};
    }
    if (send_error) return {0, send_error};
    return {bytes, {}};
}

std::error_code TlsCore::why_not_sent() {
    // A reader will see for itself, and may be about to.
    if (receive_end || has_reader()) return send_error;
    forget_old_errors();
    char byte = 0;
    std::size_t bytes = 0;
    const int result = SSL_peek_ex(ssl.get(), &byte, 1, &bytes);
    const int outcome = result == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl.get(), result);
    if (outcome != SSL_ERROR_SSL) return send_error;
    receive_end = failure(take_first_error());
    return receive_end == TlsError::refused_by_peer ? receive_end : send_error;
}

std::error_code TlsCore::flush() {
    while (!waiting.empty() && !send_error) {
        const IoResult sent = give(waiting.readable());
        if (sent.would_block()) {
            ask_for_room();
            return send_error ? send_error : NetError::would_block;
        }
        if (sent.error) {
            send_error = sent.error;
        } else {
            waiting.consume(sent.bytes);
        }
    }
    if (send_error) waiting.clear();
    waiting.shrink();
    return send_error;
}

std::error_code TlsCore::say_goodbye() {
    if (goodbye_ || send_error) return send_error;
    forget_old_errors();
    (void)SSL_shutdown(ssl.get());  // 0: the peer's is still to come. Errors: of a connection that is broken
    ERR_clear_error();
    goodbye_ = true;
    return send_error;
}

bool TlsCore::has_pending() const { return !hungry_ && SSL_has_pending(ssl.get()) != 0; }

int TlsCore::bio_read(bio_st* bio, char* buffer, int size) {
    const IoResult got = take({buffer, static_cast<std::size_t>(size)});
    if (!got.error) [[likely]] {
        // No TLS record begins with a letter.
        if (!begun_) plain_text_ = buffer[0] >= 'A' && buffer[0] <= 'z';
        begun_ = true;
        return static_cast<int>(got.bytes);
    }
    if (got.would_block()) {
        hungry_ = true;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (got.eof()) {
        transport_ended = true;
        return 0;
    }
    transport_error_ = got.error;
    return -1;
}

int TlsCore::bio_write(bio_st*, const char* data, int size) {
    put({data, static_cast<std::size_t>(size)});
    return size;  // taken, or nobody will ever get it: send_error says which
}

void TlsCore::put(std::string_view data) {
    if (send_error || goodbye_) return;
    if (waiting.empty() && !shaking_) {
        const IoResult sent = give(data);
        if (sent.error && !sent.would_block()) {
            send_error = sent.error;
            return;
        }
        data.remove_prefix(sent.bytes);
        if (data.empty()) [[likely]]
            return;
    }
    if (const std::error_code error = waiting.append(data)) {
        send_error = error == NetError::too_long ? std::make_error_code(std::errc::no_buffer_space) : error;
        if (!receive_end) receive_end = send_error;  // nobody may be sending, to be told
        waiting.clear();
    } else if (!shaking_) {
        ask_for_room();
    }
}

void TlsCore::ask_for_room() {
    if (const std::error_code error = wait_for_room()) send_error = error;
}

// What OpenSSL's `packed` means here.
std::error_code TlsCore::failure(unsigned long packed) {
    if (transport_error_) return transport_error_;
    if (plain_text_ && shaking_ && SSL_is_server(ssl.get()) != 0)
        return openssl_error(ERR_PACK(ERR_LIB_SSL, 0, SSL_R_HTTP_REQUEST));
    if (transport_ended) return NetError::truncated;
    const long verified = SSL_get_verify_result(ssl.get());
    if (ERR_GET_LIB(packed) == ERR_LIB_SSL && ERR_GET_REASON(packed) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
        verified != X509_V_OK)
        return verify_error(verified);
    return openssl_error(packed);
}

}  // namespace evcorothread
