// TlsContext: what a server or a client brings to every TLS connection: certificates, whom it trusts, which
// protocols it offers. Built on OpenSSL 3, whose headers are not needed here.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"

namespace evcorothread {

// Who we are: two PEM files, which may be one and the same.
struct TlsCertificate {
    std::string chain_file{};  // our certificate first, then those between it and the root
    std::string key_file{};    // its private key, not encrypted
};

enum class TlsVersion { tls1_2, tls1_3 };

// Does a server want to see its clients' certificates?
enum class TlsClientAuth {
    none,
    optional,  // one that is shown must be good
    required,
};

struct TlsServerOptions {
    // At least one. A client that names a host (SNI) gets the certificate made out for it, exactly or by
    // "*.", others get the first. Certificates for the same names may have keys of different kinds (ECDSA
    // and RSA): a client gets the one that it understands.
    std::vector<TlsCertificate> certificates{};
    // Application protocols (ALPN), the most wanted first: {"h2", "http/1.1"}. A client that offers only
    // others is refused; one that offers none is not.
    std::vector<std::string> alpn{};
    TlsClientAuth client_auth = TlsClientAuth::none;
    // Who may have issued the clients' certificates: a PEM file, a directory made by openssl-rehash, or both.
    std::string client_ca_file{};
    std::string client_ca_dir{};
    TlsVersion min_version = TlsVersion::tls1_2;
    // How long a client may resume a session without a full handshake, seven days at most; zero: not at all.
    // The server keeps nothing for it: sessions travel as tickets, under keys that are renewed as they age.
    std::chrono::seconds session_lifetime = std::chrono::hours(2);
};

struct TlsClientOptions {
    // Check that the server's certificate is made out for the host, and that somebody we trust says so. Off:
    // anybody may be at the other end; for tests only.
    bool verify = true;
    // Whom we trust. Both empty: the system's store (on Debian, package ca-certificates; the environment's
    // SSL_CERT_FILE and SSL_CERT_DIR are looked at first).
    std::string ca_file{};
    std::string ca_dir{};
    // What we offer, the most wanted first.
    std::vector<std::string> alpn{};
    // For servers that want to see one.
    TlsCertificate certificate{};
    TlsVersion min_version = TlsVersion::tls1_2;
    // For how many servers (host and port) a session is kept to be resumed; zero: none.
    std::size_t cached_sessions = 256;
};

// Usage:
//
//   TlsContext server = TlsContext::server({.certificates = {{"chain.pem", "key.pem"}}}).value();
//   auto acceptor = EvTcpAcceptor::listen(loop, address, [&](EvSocket plain) {
//       auto socket = TlsSocket::accept(std::move(plain), server, 10s);
//       if (socket) echo(*socket);
//   }).value();
//   …
//   if (auto done = server.reload(); !done) log(done.error().message());    // the old certificate stays
//
//   TlsContext client = TlsContext::client().value();
//   auto socket = TlsSocket::connect(std::move(plain), client, "example.com", 10s);
//
// TLS 1.2 and 1.3; forward secrecy and authenticated encryption only; no compression, no renegotiation, no
// early data; the server chooses. The process's environment and OpenSSL's own configuration file can make
// that stricter.
//
// Owner:  the application. Connections keep what they need of it: it may go before they do.
// Thread: any; one context may serve several loops, and be reloaded meanwhile.
// Cost:   making one reads files, in the calling thread. For a connection, a lock and a counter.
class EVC_API TlsContext {
  public:
    TlsContext(TlsContext&&) noexcept;
    TlsContext& operator=(TlsContext&&) noexcept;
    ~TlsContext();

    // Reads the files.
    // Errors: the errno of a file that cannot be opened; TlsError::bad_file, with the file's name and
    //         OpenSSL's text, for one that holds something else, or a key of another certificate;
    //         errc::invalid_argument for options that make no sense. A certificate that has expired is only
    //         logged: a server that does not start is worse.
    [[nodiscard]] static cutils::Result<TlsContext> server(TlsServerOptions options);
    [[nodiscard]] static cutils::Result<TlsContext> client(TlsClientOptions options = {});

    // Reads the same files again. New connections get what they say now; old ones go on as they are.
    // A server's sessions can still be resumed, unless clients are asked for certificates: those are looked
    // at again. A client forgets its own: the servers' certificates are looked at again.
    // Errors: as above; then everything stays as it was.
    [[nodiscard]] cutils::Result<void> reload();

    // When the first of our certificates expires; time_point::max() when there is none.
    [[nodiscard]] std::chrono::system_clock::time_point expires() const;

    [[nodiscard]] bool is_server() const;

    // For the classes of this folder.
    struct Impl;
    [[nodiscard]] Impl& impl() const { return *impl_; }

  private:
    explicit TlsContext(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
