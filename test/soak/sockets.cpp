// Echo over TCP, unix sockets, TLS and UDP, with clients that misbehave.
#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_udp_socket.h"
#include "evcorothread/tls_socket.h"
#include "test/soak/peers.h"
#include "test/soak/soak.h"

namespace soak {
namespace {

using namespace evcorothread;
using nutils::SockAddr;

class Streams final : public Feature {
  public:
    Streams() : Feature("streams") {}

    void run(Round& round) override {
        std::size_t served = 0;
        const auto handler = [&served](EvSocket socket) {
            const Here here(served);
            echo(socket);
        };
        auto tcp = EvTcpAcceptor::listen(round.loop, SockAddr::loopback(0), handler);
        auto path = SockAddr::unix_path(round.folder + "/echo");
        auto local = EvTcpAcceptor::listen(round.loop, path.value(), handler);
        if (!tcp || !local) return complain("streams cannot listen");
        crowd(round, "stream client", 24, [&](Dice& dice) {
            auto& to = dice.one_in(3) ? local : tcp;
            auto socket = EvSocket::connect(round.loop, to->local_address(), 1s);
            if (!socket) {
                (void)this_evthread::delay(2ms);
                return;
            }
            if (dice.one_in(4)) return misbehave(*socket, dice);
            for (std::size_t n = 1 + dice.below(20); n > 0 && converse(*socket, dice); --n) count();
        });
        tcp->close();
        local->close();
        wait_for("echo over streams", [&] { return served == 0; });
    }
};

class Tls final : public Feature {
  public:
    Tls() : Feature("tls") {}

    void run(Round& round) override {
        auto server = TlsContext::server(
            {.certificates = {{round.folder + "/server.pem", round.folder + "/server.key"}}});
        auto client = TlsContext::client({.ca_file = round.folder + "/server.pem"});
        if (!server || !client) return complain("no TLS: " + (server ? client : server).error().message());
        std::size_t served = 0;
        auto acceptor = EvTcpAcceptor::listen(round.loop, SockAddr::loopback(0), [&](EvSocket socket) {
            const Here here(served);
            auto stream = TlsSocket::accept(std::move(socket), *server, 1s);
            if (stream) echo(*stream);
        });
        if (!acceptor) return complain("TLS cannot listen");
        crowd(
            round, "tls client", 12,
            [&](Dice& dice) {
                if (dice.one_in(50) && !server->reload())
                    (void)this_evthread::delay(1ms);  // no descriptor, perhaps: the old one stays
                auto socket = EvSocket::connect(round.loop, acceptor->local_address(), 1s);
                if (!socket) {
                    (void)this_evthread::delay(2ms);
                    return;
                }
                if (dice.one_in(6)) return misbehave(*socket, dice);
                auto stream = TlsSocket::connect(std::move(*socket), *client, "localhost", 2s);
                if (!stream) return;
                for (std::size_t n = 1 + dice.below(10); n > 0 && converse(*stream, dice); --n) count();
                switch (dice.below(3)) {
                    case 0: (void)stream->close(100ms); break;
                    case 1: stream->abort(); break;
                    default: break;
                }
            },
            20ms);
        acceptor->close();
        wait_for("echo over TLS", [&] { return served == 0; });
    }
};

class Datagrams final : public Feature {
  public:
    Datagrams() : Feature("datagrams") {}

    void run(Round& round) override {
        auto server = EvUdpSocket::bind(round.loop, SockAddr::loopback(0));
        if (!server) return complain("UDP cannot bind");
        const SockAddr address = server->local().value();
        EvThread echoing = round.loop.spawn("udp echo", [&] {
            char buffer[2000];
            SockAddr from;
            while (!this_evthread::canceled())
                if (const auto got = server->recv_from(buffer, from, 100ms); !got.error)
                    (void)server->send_to({buffer, got.bytes}, from, 100ms);
        });
        crowd(round, "udp client", 6, [&](Dice& dice) {
            auto socket = EvUdpSocket::connect(round.loop, address);
            if (!socket) {
                (void)this_evthread::delay(2ms);
                return;
            }
            for (int i = 0; i < 20; ++i) {
                const std::string text = dice.bytes(1400);
                if (!socket->send(text, 50ms)) return;
                char buffer[2000];
                const auto got = socket->recv(buffer, 50ms);
                if (!got.error) count();
                if (dice.one_in(30)) return;  // the answer goes nowhere
            }
        });
        echoing.cancel();
        if (echoing.join(10s)) complain("the UDP echo is stuck");
    }
};

}  // namespace

std::unique_ptr<Feature> streams() { return std::make_unique<Streams>(); }
std::unique_ptr<Feature> tls() { return std::make_unique<Tls>(); }
std::unique_ptr<Feature> datagrams() { return std::make_unique<Datagrams>(); }

}  // namespace soak
