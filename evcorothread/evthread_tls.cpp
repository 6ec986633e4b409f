// The C face: TLS.
#include "evcorothread/evthread_tls.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "evcorothread/evthread_internal.h"
#include "evcorothread/tls_context.h"
#include "evcorothread/tls_error.h"
#include "evcorothread/tls_socket.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

using State = tagEVSOCKET::State;

struct tagEVTLSCONTEXT {
    TlsContext context;
};

// Belongs to its socket.
struct tagEVTLS final : OnSocket {
    explicit tagEVTLS(EVSOCKET& its_socket) : socket(its_socket) {}

    EVSOCKET& socket;
    TlsSocket tls;
    std::error_code last;
    std::optional<TlsInfo> info;  // once it has been asked for
};

namespace {

// ---- errors ----

struct Kind {
    TlsError error;
    int kind;
    int number;
};
constexpr Kind kKinds[] = {
    {TlsError::protocol, EVTLS_PROTOCOL, EPROTO},
    {TlsError::certificate_refused, EVTLS_CERTIFICATE_REFUSED, EKEYREJECTED},
    {TlsError::certificate_expired, EVTLS_CERTIFICATE_EXPIRED, EKEYEXPIRED},
    {TlsError::wrong_host, EVTLS_WRONG_HOST, EKEYREJECTED},
    {TlsError::refused_by_peer, EVTLS_REFUSED_BY_PEER, EPROTO},
    {TlsError::plain_text, EVTLS_PLAIN_TEXT, EPROTO},
    {TlsError::bad_file, EVTLS_BAD_FILE, EBADMSG},
};

const Kind* kind_of(const std::error_code& error) {
    const auto* const found =
        std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& k) { return error == k.error; });
    return found != std::end(kKinds) ? found : nullptr;
}

int errno_of(const std::error_code& error) {
    const Kind* const kind = kind_of(error);
    return kind != nullptr ? kind->number : nutils::to_errno(error);
}

void clear(EVTLS_ERROR* why) {
    if (why != nullptr) *why = {};
}

void explain(EVTLS_ERROR* why, const std::error_code& error, std::string_view text) {
    if (why == nullptr) return;
    const Kind* const kind = kind_of(error);
    why->kind = kind != nullptr ? kind->kind : EVTLS_OTHER;
    const std::size_t size = std::min(text.size(), sizeof why->text - 1);
    std::memcpy(why->text, text.data(), size);
    why->text[size] = '\0';
}

int fail_with(EVTLS_ERROR* why, const cutils::Error& error) {
    explain(why, error.code(), error.message());
    return fail(errno_of(error.code()));
}
int fail_with(EVTLS_ERROR* why, int number) {
    explain(why, {}, std::strerror(number));
    return fail(number);
}

// As guarded(), with the reason.
template <class Value, class F>
Value explained(Value failure, EVTLS_ERROR* why, F&& f) noexcept {
    clear(why);
    try {
        return f();
    } catch (...) {
        const int number = errno_of_exception();
        explain(why, {}, number == ENOMEM ? "out of memory" : "unexpected error");
        errno = number;
        return failure;
    }
}

// ---- options ----

std::string text_of(const char* text) { return text != nullptr ? text : ""; }

bool make_sense(const EVTLS_OPTIONS& options) {
    if ((options.certificate_file == nullptr) != (options.key_file == nullptr)) return false;
    if (options.more_certificates_count < 0) return false;
    if (options.more_certificates_count > 0 && options.more_certificates == nullptr) return false;
    for (int i = 0; i < options.more_certificates_count; ++i) {
        const EVTLS_CERTIFICATE& one = options.more_certificates[i];
        if (one.certificate_file == nullptr || one.key_file == nullptr) return false;
    }
    if (options.verify < EVTLS_VERIFY_USUAL || options.verify > EVTLS_VERIFY_REQUIRED) return false;
    return options.min_version == EVTLS_VERSION_USUAL || options.min_version == EVTLS_VERSION_1_2 ||
           options.min_version == EVTLS_VERSION_1_3;
}

std::vector<std::string> alpn_of(const EVTLS_OPTIONS& options) {
    std::vector<std::string> protocols;
    for (const char* const* one = options.alpn; one != nullptr && *one != nullptr; ++one)
        protocols.emplace_back(*one);
    return protocols;
}

TlsVersion version_of(const EVTLS_OPTIONS& options) {
    return options.min_version == EVTLS_VERSION_1_3 ? TlsVersion::tls1_3 : TlsVersion::tls1_2;
}

TlsServerOptions server_options(const EVTLS_OPTIONS& options) {
    TlsServerOptions made;
    made.certificates.push_back({text_of(options.certificate_file), text_of(options.key_file)});
    for (int i = 0; i < options.more_certificates_count; ++i) {
        const EVTLS_CERTIFICATE& one = options.more_certificates[i];
        made.certificates.push_back({one.certificate_file, one.key_file});
    }
    made.alpn = alpn_of(options);
    if (options.verify == EVTLS_VERIFY_OPTIONAL) made.client_auth = TlsClientAuth::optional;
    if (options.verify == EVTLS_VERIFY_REQUIRED) made.client_auth = TlsClientAuth::required;
    made.client_ca_file = text_of(options.ca_file);
    made.client_ca_dir = text_of(options.ca_dir);
    made.min_version = version_of(options);
    return made;
}

TlsClientOptions client_options(const EVTLS_OPTIONS& options) {
    TlsClientOptions made;
    made.verify = options.verify != EVTLS_VERIFY_NONE;
    made.ca_file = text_of(options.ca_file);
    made.ca_dir = text_of(options.ca_dir);
    made.alpn = alpn_of(options);
    made.certificate = {text_of(options.certificate_file), text_of(options.key_file)};
    made.min_version = version_of(options);
    return made;
}

EVTLSCONTEXT* made_of(cutils::Result<TlsContext> context, EVTLS_ERROR* why) {
    if (context) return new tagEVTLSCONTEXT{*std::move(context)};
    (void)fail_with(why, context.error());
    return nullptr;
}

// ---- connections ----

bool usable(const EVTLS* tls) { return tls != nullptr && c_face::usable(&tls->socket); }
bool may_wait(const EVTLS* tls) { return tls != nullptr && c_face::may_wait(&tls->socket); }

// Remembers why. Closed, the handle may be gone.
int fail_of(EVTLS& tls, const std::error_code& error) {
    if (error == NetError::closed) return fail(EBADF);
    tls.last = error;
    return fail(errno_of(error));
}

constexpr std::size_t kHandshakeStack = 16 * 1024;

// While both shake hands the socket is, to everybody else, one that is still connecting.
template <class Shake>
EVTLS* shaken(EVSOCKET* socket, const EVTLSCONTEXT* context, bool is_server, EVTLS_ERROR* why,
              Shake&& shake) {
    return explained<EVTLS*>(nullptr, why, [&]() -> EVTLS* {
        const auto failed = [why](int number, const char* text = nullptr) {
            (void)fail_with(why, number);
            if (text != nullptr) explain(why, {}, text);
            return nullptr;
        };
        if (socket == nullptr || context == nullptr || !socket->owner->is_current() ||
            context->context.is_server() != is_server)
            return failed(EINVAL);
        if (!socket->socket.is_open()) return failed(EBADF);
        if (socket->above != nullptr) return failed(EBUSY);
        if (socket->state != State::connected) return failed(ENOTCONN);
        // Else it would abort.
        if (this_evthread::stack_left() < kHandshakeStack)
            return failed(EINVAL, "a TLS handshake needs 16 KiB of stack: STACKS_init with 8 pages or more");
        auto made = std::make_unique<tagEVTLS>(*socket);
        socket->state = State::connecting;
        auto result = shake(socket->socket, context->context);
        socket->state = State::connected;
        if (!result) {
            (void)fail_with(why, result.error());
            return nullptr;
        }
        made->tls = *std::move(result);
        EVTLS* const tls = made.get();
        socket->above = std::move(made);
        return tls;
    });
}

const char* told(EVTLS* tls, const std::string TlsInfo::*which) noexcept {
    if (!usable(tls)) return fail_null(EINVAL);
    return guarded<const char*>(nullptr, [&] {
        if (!tls->info) tls->info = tls->tls.info();
        return ((*tls->info).*which).c_str();
    });
}

int told(EVTLS* tls, const bool TlsInfo::*which) noexcept {
    if (!usable(tls)) return fail(EINVAL);
    return guarded(-1, [&] {
        if (!tls->info) tls->info = tls->tls.info();
        return (*tls->info).*which ? 1 : 0;
    });
}

}  // namespace

// ---- EVTLSCONTEXT ----

int EVTLS_is_available() noexcept {
    return guarded(0, [] {
        // Without TLS that is what every attempt says, before it looks at a file.
        const auto none = TlsContext::server({});
        return none || none.error().code() != std::errc::function_not_supported ? 1 : 0;
    });
}

EVTLSCONTEXT* EVTLSCONTEXT_server(const EVTLS_OPTIONS* options, EVTLS_ERROR* why) noexcept {
    return explained<EVTLSCONTEXT*>(nullptr, why, [&]() -> EVTLSCONTEXT* {
        if (options != nullptr && options->certificate_file != nullptr && make_sense(*options))
            return made_of(TlsContext::server(server_options(*options)), why);
        (void)fail_with(why, EINVAL);
        return nullptr;
    });
}

EVTLSCONTEXT* EVTLSCONTEXT_client(const EVTLS_OPTIONS* options, EVTLS_ERROR* why) noexcept {
    return explained<EVTLSCONTEXT*>(nullptr, why, [&]() -> EVTLSCONTEXT* {
        const EVTLS_OPTIONS usual = {};
        const EVTLS_OPTIONS& wanted = options != nullptr ? *options : usual;
        if (make_sense(wanted) && wanted.verify != EVTLS_VERIFY_OPTIONAL &&
            wanted.more_certificates_count == 0)
            return made_of(TlsContext::client(client_options(wanted)), why);
        (void)fail_with(why, EINVAL);
        return nullptr;
    });
}

int EVTLSCONTEXT_reload(EVTLSCONTEXT* context, EVTLS_ERROR* why) noexcept {
    return explained(-1, why, [&] {
        if (context == nullptr) return fail_with(why, EINVAL);
        const cutils::Result<void> done = context->context.reload();
        return done ? 0 : fail_with(why, done.error());
    });
}

int EVTLSCONTEXT_expires(const EVTLSCONTEXT* context, time_t* when) noexcept {
    if (context == nullptr || when == nullptr) return fail(EINVAL);
    return guarded(-1, [&] {
        const auto expires = context->context.expires();
        if (expires == std::chrono::system_clock::time_point::max()) return fail(ENOENT);
        *when = std::chrono::system_clock::to_time_t(expires);
        return 0;
    });
}

int EVTLSCONTEXT_free(EVTLSCONTEXT* context) noexcept {
    if (context == nullptr) return fail(EINVAL);
    delete context;
    return 0;
}

// ---- EVTLS ----

EVTLS* EVTLS_accept(EVSOCKET* socket, const EVTLSCONTEXT* context, struct timeval timeout,
                    EVTLS_ERROR* why) noexcept {
    return shaken(socket, context, true, why, [&](EvSocket& plain, const TlsContext& ours) {
        return TlsSocket::accept_on(plain, ours, deadline_of(timeout));
    });
}

EVTLS* EVTLS_connect(EVSOCKET* socket, const EVTLSCONTEXT* context, const char* host, struct timeval timeout,
                     EVTLS_ERROR* why) noexcept {
    return shaken(socket, context, false, why, [&](EvSocket& plain, const TlsContext& ours) {
        return TlsSocket::connect_on(plain, ours, host != nullptr ? host : "", deadline_of(timeout));
    });
}

int EVTLS_recv(EVTLS* tls, void* buffer, size_t size, struct timeval timeout) noexcept {
    if (!may_wait(tls) || buffer == nullptr || size == 0 || size > INT_MAX) return fail(EINVAL);
    return guarded(-1, [&] {
        const IoResult got = tls->tls.recv({static_cast<char*>(buffer), size}, deadline_of(timeout));
        return got || got.eof() ? static_cast<int>(got.bytes) : fail_of(*tls, got.error);
    });
}

int EVTLS_recv_all(EVTLS* tls, void* buffer, size_t size, struct timeval timeout) noexcept {
    return EVTLS_recv_all_ex(tls, buffer, size, timeout, nullptr);
}

int EVTLS_recv_all_ex(EVTLS* tls, void* buffer, size_t size, struct timeval timeout,
                      size_t* received) noexcept {
    if (received != nullptr) *received = 0;
    if (!may_wait(tls) || (buffer == nullptr && size > 0) || size > INT_MAX) return fail(EINVAL);
    return guarded(-1, [&] {
        const IoResult got = tls->tls.recv_exact({static_cast<char*>(buffer), size}, deadline_of(timeout));
        if (received != nullptr) *received = got.bytes;
        return got || got.eof() ? static_cast<int>(got.bytes) : fail_of(*tls, got.error);
    });
}

int EVTLS_send(EVTLS* tls, const void* data, size_t size, struct timeval timeout) noexcept {
    return EVTLS_send_ex(tls, data, size, timeout, nullptr);
}

int EVTLS_send_ex(EVTLS* tls, const void* data, size_t size, struct timeval timeout, size_t* sent) noexcept {
    if (sent != nullptr) *sent = 0;
    if (!may_wait(tls) || (data == nullptr && size > 0) || size > INT_MAX) return fail(EINVAL);
    return guarded(-1, [&] {
        const IoResult gone = tls->tls.send_all({static_cast<const char*>(data), size}, deadline_of(timeout));
        if (sent != nullptr) *sent = gone.bytes;
        return gone ? static_cast<int>(gone.bytes) : fail_of(*tls, gone.error);
    });
}

int EVTLS_shutdown_send(EVTLS* tls) noexcept {
    if (!usable(tls)) return fail(EINVAL);
    return guarded(-1, [&] {
        const IoResult ended = tls->tls.shutdown_send();
        return ended ? 0 : fail_of(*tls, ended.error);
    });
}

int EVTLS_close(EVTLS* tls, struct timeval timeout) noexcept {
    if (!may_wait(tls)) return fail(EINVAL);
    return guarded(-1, [&] {
        const std::error_code error = tls->tls.close(deadline_of(timeout));
        return error ? fail_of(*tls, error) : 0;
    });
}

int EVTLS_free(EVTLS* tls) noexcept {
    if (!usable(tls)) return fail(EINVAL);
    tls->socket.above.reset();
    return 0;
}

int EVTLS_error(const EVTLS* tls, EVTLS_ERROR* why) noexcept {
    if (!usable(tls) || why == nullptr) return fail(EINVAL);
    return explained(-1, why, [&] {
        if (tls->last) explain(why, tls->last, tls->last.message());
        return 0;
    });
}

const char* EVTLS_protocol(EVTLS* tls) noexcept { return told(tls, &TlsInfo::protocol); }
const char* EVTLS_cipher(EVTLS* tls) noexcept { return told(tls, &TlsInfo::cipher); }
const char* EVTLS_alpn(EVTLS* tls) noexcept { return told(tls, &TlsInfo::alpn); }
const char* EVTLS_server_name(EVTLS* tls) noexcept { return told(tls, &TlsInfo::server_name); }
const char* EVTLS_peer_subject(EVTLS* tls) noexcept { return told(tls, &TlsInfo::peer_subject); }
const char* EVTLS_peer_issuer(EVTLS* tls) noexcept { return told(tls, &TlsInfo::peer_issuer); }
int EVTLS_is_peer_verified(EVTLS* tls) noexcept { return told(tls, &TlsInfo::peer_verified); }
int EVTLS_is_resumed(EVTLS* tls) noexcept { return told(tls, &TlsInfo::resumed); }
