// TLS in a build without OpenSSL (make TLS=0): everything is there, and making a context says what is
// missing. Without a context nothing else can be reached.
#include <utility>

#include "evcorothread/tls_context.h"
#include "evcorothread/tls_layer.h"
#include "evcorothread/tls_socket.h"

namespace evcorothread {

struct TlsContext::Impl {};
struct TlsEngine {};

namespace {

cutils::Error no_tls() {
    return {std::make_error_code(std::errc::function_not_supported),
            "this library was built without TLS (TLS=0, or OpenSSL 3 was not found)"};
}
IoResult closed() { return {0, NetError::closed}; }

}  // namespace

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext& TlsContext::operator=(TlsContext&&) noexcept = default;
TlsContext::~TlsContext() = default;
cutils::Result<TlsContext> TlsContext::server(TlsServerOptions) { return no_tls(); }
cutils::Result<TlsContext> TlsContext::client(TlsClientOptions) { return no_tls(); }
cutils::Result<void> TlsContext::reload() { return no_tls(); }
std::chrono::system_clock::time_point TlsContext::expires() const {
    return std::chrono::system_clock::time_point::max();
}
bool TlsContext::is_server() const { return false; }

struct TlsLayer::Engine {};
TlsLayer::TlsLayer() noexcept = default;
TlsLayer::TlsLayer(std::unique_ptr<Engine> engine) noexcept : engine_(std::move(engine)) {}
TlsLayer::TlsLayer(TlsLayer&&) noexcept = default;
TlsLayer& TlsLayer::operator=(TlsLayer&&) noexcept = default;
TlsLayer::~TlsLayer() = default;
cutils::Result<TlsLayer> TlsLayer::accept(TlsTransport&, const TlsContext&) { return no_tls(); }
void TlsLayer::report_plain_text(std::string_view) const {}
std::error_code TlsLayer::shake_hands() { return NetError::closed; }
IoResult TlsLayer::try_recv(std::span<char>) { return closed(); }
bool TlsLayer::has_pending() const { return false; }
IoResult TlsLayer::try_send(std::string_view) { return closed(); }
bool TlsLayer::wants_room() const { return false; }
std::error_code TlsLayer::flush() { return NetError::closed; }
void TlsLayer::say_goodbye() {}
TlsInfo TlsLayer::info() const { return {}; }

TlsSocket::TlsSocket() noexcept = default;
TlsSocket::TlsSocket(TlsSocket&&) noexcept = default;
TlsSocket& TlsSocket::operator=(TlsSocket&&) noexcept = default;
TlsSocket::~TlsSocket() = default;
cutils::Result<TlsSocket> TlsSocket::accept(EvSocket, const TlsContext&, Deadline) { return no_tls(); }
cutils::Result<TlsSocket> TlsSocket::accept_on(EvSocket&, const TlsContext&, Deadline) { return no_tls(); }
cutils::Result<TlsSocket> TlsSocket::connect(EvSocket, const TlsContext&, std::string_view, Deadline) {
    return no_tls();
}
cutils::Result<TlsSocket> TlsSocket::connect_on(EvSocket&, const TlsContext&, std::string_view, Deadline) {
    return no_tls();
}
IoResult TlsSocket::recv(std::span<char>, Deadline) { return closed(); }
IoResult TlsSocket::try_recv(std::span<char>) { return closed(); }
bool TlsSocket::may_recv() const { return false; }
IoResult TlsSocket::send(std::string_view, Deadline) { return closed(); }
IoResult TlsSocket::sendv(std::span<const iovec>, Deadline) { return closed(); }
IoResult TlsSocket::send_all(std::string_view, Deadline) { return closed(); }
IoResult TlsSocket::send_all_v(std::span<iovec>, Deadline) { return closed(); }
IoResult TlsSocket::try_send(std::string_view) { return closed(); }
std::error_code TlsSocket::try_flush() { return NetError::closed; }
IoResult TlsSocket::sendfile_all(int, off_t, std::size_t, Deadline) { return closed(); }
IoResult TlsSocket::shutdown_send() { return closed(); }
IoResult TlsSocket::finish_send(Deadline) { return closed(); }
void TlsSocket::close() noexcept {}
std::error_code TlsSocket::close(Deadline) { return NetError::closed; }
void TlsSocket::abort() noexcept {}
void TlsSocket::set_idle_timeout(Duration) {}
TlsInfo TlsSocket::info() const { return {}; }
std::string_view TlsSocket::alpn() const { return {}; }
bool TlsSocket::is_open() const { return false; }
int TlsSocket::fd() const { return -1; }
cutils::Result<nutils::SockAddr> TlsSocket::peer() const { return std::error_code(NetError::closed); }
cutils::Result<nutils::SockAddr> TlsSocket::local() const { return std::error_code(NetError::closed); }
TimePoint TlsSocket::now() const { return cutils::monotonic_now(); }
ssl_st* TlsSocket::native() const { return nullptr; }

}  // namespace evcorothread
