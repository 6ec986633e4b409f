// How a TlsSocket comes about: the handshake, and what two peers know of each other after it.
#include <openssl/ssl.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/timed_store_internal.h"
#include "evcorothread/tls_context_internal.h"
#include "evcorothread/tls_engine_internal.h"
#include "evcorothread/tls_info_internal.h"
#include "evcorothread/tls_socket.h"
#include "evcorothread/tls_waits_internal.h"

namespace evcorothread {
namespace {

using Engine = std::unique_ptr<TlsEngine>;

std::string peer_name(const TlsEngine& engine) {
    const auto peer = engine.transport.peer();
    if (!peer) return "a peer that has gone";
    const std::string name = peer->to_string();
    return name == "unix:" ? "a peer without a name" : name;
}

std::error_code shake_hands(TlsEngine& engine, Deadline deadline) {
    for (;;) {
        const std::error_code error = engine.shake_hands();
        if (error != NetError::would_block) return error;
        FdWatch& watch = *engine.watch();
        deadline = deadline.resolved(watch.loop.precise_now());
        if (const std::error_code waited = watch.wait_readable(deadline)) return waited;
    }
}

// We have told the peer why we do not want it. What it is still sending would make the kernel reset the
// connection, and the reset may overtake our words: so wait for it to hang up, for a moment.
void linger(TlsEngine& engine, const std::error_code& error, Deadline deadline) {
    const bool told = error == TlsError::protocol || error == TlsError::certificate_refused ||
                      error == TlsError::certificate_expired || error == TlsError::wrong_host;
    if (!told || engine.send_error || !engine.waiting.empty()) return;
    constexpr std::size_t kEnough = 64 * 1024;
    const Deadline until = Deadline::earlier(deadline, std::chrono::seconds(1), engine.transport.now());
    if (!engine.transport.shutdown_send()) return;
    char forgotten[512];
    for (std::size_t bytes = 0; bytes < kEnough;) {
        const IoResult got = engine.transport.recv(forgotten, until);
        if (!got) return;
        bytes += got.bytes;
    }
}

// What OpenSSL needs at most, measured: 14 KiB, to sign with an RSA key of 2048 bits.
constexpr std::size_t kHandshakeStack = 15 * 1024;

void check_stack() {
    EVC_CHECK(this_evthread::stack_left() >= kHandshakeStack,
              "a TLS handshake needs 16 KiB of stack: give the StackPool stacks of eight pages or more");
}

// Everything before the first byte.
std::error_code prepare_server(TlsEngine& engine, const TlsContext& context) {
    EVC_CHECK(context.is_server(), "TlsSocket::accept() with a client's TlsContext");
    if (const std::error_code error = tls_refusal(&engine)) return error;
    check_stack();
    return engine.begin(context.impl().current().get(), true);
}

std::error_code prepare_client(TlsEngine& engine, const TlsContext& context, std::string_view host) {
    EVC_CHECK(!context.is_server(), "TlsSocket::connect() with a server's TlsContext");
    if (const std::error_code error = tls_refusal(&engine)) return error;
    check_stack();
    const bool verify = context.impl().client->verify;
    if (host.ends_with('.')) host.remove_suffix(1);  // the root of all names is in no certificate
    // To OpenSSL ".org" is every host of that domain.
    if ((verify && host.empty()) || host.starts_with('.') || host.find('\0') != std::string_view::npos ||
        host.size() > TLSEXT_MAXLEN_host_name)
        return std::make_error_code(std::errc::invalid_argument);
    if (const std::error_code error = engine.begin(context.impl().current().get(), false)) return error;
    const std::string name(host);
    if (const std::error_code error = engine.expect(name, verify)) return error;
    TlsSessionCache* const sessions = session_cache_of(engine.ssl.get());
    if (sessions == nullptr) return {};
    engine.session_key = lower_case(name) + " at " + peer_name(engine);
    SSL_set_app_data(engine.ssl.get(), &engine.session_key);
    // One that does not fit is forgotten.
    if (const SslSessionPtr session = sessions->take(engine.session_key))
        (void)SSL_set_session(engine.ssl.get(), session.get());
    return {};
}

}  // namespace

cutils::Result<TlsSocket> TlsSocket::shaken(Engine engine, const TlsContext& context, std::error_code error,
                                            Deadline deadline) {
    const auto reports = context.impl().plain_text;  // the context may go meanwhile
    deadline = deadline.resolved(engine->transport.now());
    if (!error) error = shake_hands(*engine, deadline);
    if (!error) return TlsSocket(std::move(engine));
    if (error == NetError::closed) return cutils::Error(error, "TLS handshake");  // the socket may be gone
    const std::string peer = peer_name(*engine);
    if (error == TlsError::plain_text) reports->add(peer);
    linger(*engine, error, deadline);
    return cutils::Error(error, "TLS handshake with " + peer);
}

cutils::Result<TlsSocket> TlsSocket::accept(EvSocket socket, const TlsContext& context, Deadline deadline) {
    auto engine = std::make_unique<TlsEngine>(std::move(socket));
    const std::error_code error = prepare_server(*engine, context);
    return shaken(std::move(engine), context, error, deadline);
}

cutils::Result<TlsSocket> TlsSocket::accept_on(EvSocket& socket, const TlsContext& context,
                                               Deadline deadline) {
    auto engine = std::make_unique<TlsEngine>(TlsEngine::Borrowed{socket});
    const std::error_code error = prepare_server(*engine, context);
    return shaken(std::move(engine), context, error, deadline);
}

cutils::Result<TlsSocket> TlsSocket::connect(EvSocket socket, const TlsContext& context,
                                             std::string_view host, Deadline deadline) {
    auto engine = std::make_unique<TlsEngine>(std::move(socket));
    const std::error_code error = prepare_client(*engine, context, host);
    return shaken(std::move(engine), context, error, deadline);
}

cutils::Result<TlsSocket> TlsSocket::connect_on(EvSocket& socket, const TlsContext& context,
                                                std::string_view host, Deadline deadline) {
    auto engine = std::make_unique<TlsEngine>(TlsEngine::Borrowed{socket});
    const std::error_code error = prepare_client(*engine, context, host);
    return shaken(std::move(engine), context, error, deadline);
}

TlsInfo TlsSocket::info() const { return tls_info_of(native()); }
std::string_view TlsSocket::alpn() const { return tls_alpn_of(native()); }

}  // namespace evcorothread
