// TlsFixture: a server and a client who trust each other, and two ends that have shaken hands.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "evcorothread/tls_socket.h"
#include "nutils/socket_ops.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/evcorothread/tls_certificates.h"
#include "test/support/log_capture.h"
#include "test/support/temp_dir.h"

namespace test_support {

// How a handshake ended, on both sides.
struct Handshake {
    cutils::Result<TlsSocket> server{NetError::would_block};
    cutils::Result<TlsSocket> client{NetError::would_block};

    [[nodiscard]] std::string server_error() const { return server ? "none" : server.error().message(); }
    [[nodiscard]] std::string client_error() const { return client ? "none" : client.error().message(); }
};

template <class Base>
class TlsFixtureOver : public Base {
  public:
    using Base::Base;

    TempDir folder;
    Authority authority{folder, "authority"};
    TlsServerOptions server_options{
        .certificates = {authority.issue("server", {.hosts = "DNS:localhost,IP:127.0.0.1"})}};
    TlsClientOptions client_options{.ca_file = authority.file()};

    // Both ends over a unix socket, each in a coroutine of its own.
    void shake_hands(Handshake& hands, const TlsContext& server, const TlsContext& client,
                     std::string host = "localhost", Deadline deadline = std::chrono::seconds(10)) {
        SocketPair pair = unix_pair();
        auto a = std::make_shared<EvSocket>(this->loop, std::move(pair.near));
        auto b = std::make_shared<EvSocket>(this->loop, std::move(pair.far));
        this->go("server",
                 [&, a, deadline] { hands.server = TlsSocket::accept(std::move(*a), server, deadline); });
        this->go("client", [&, b, host, deadline] {
            hands.client = TlsSocket::connect(std::move(*b), client, host, deadline);
        });
        this->run_loop();
    }
    Handshake shaken() {
        Handshake hands;
        shake_hands(hands, TlsContext::server(server_options).value(),
                    TlsContext::client(client_options).value());
        CHECK_EQUAL("none", hands.server_error());
        CHECK_EQUAL("none", hands.client_error());
        return hands;
    }
};

using TlsFixture = TlsFixtureOver<LoopFixture>;
using RealTimeTlsFixture = TlsFixtureOver<RealTimeFixture>;

// The two ends, ready for use.
class ShakenTlsFixture : public TlsFixture {
  public:
    Handshake hands = shaken();
    TlsSocket server = std::move(*hands.server);
    TlsSocket client = std::move(*hands.client);
    char buffer[4096];

    // Takes the ticket that a server sends first of all: who closes with something unread resets a
    // connection.
    void setup() override { CHECK(client.try_recv(buffer).would_block()); }

    // What is on its way to the server, taken off the wire.
    [[nodiscard]] std::string stolen() const {
        std::string record(4096, '\0');
        record.resize(nutils::recv_some(server.fd(), record).bytes);
        return record;
    }
};

// The text of `recv`, or of the error that came instead.
inline std::string received(TlsSocket& socket, Deadline deadline, std::size_t size = 4096) {
    std::string text(size, '\0');
    const IoResult got = socket.recv(text, deadline);
    if (!got) return std::string("<").append(got.error.message()).append(">");
    text.resize(got.bytes);
    return text;
}

}  // namespace test_support
