// Stream and datagram sockets, by address and by name, plain and under TLS.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "evcorothread/copy_stream.h"
#include "evcorothread/ev_connect.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_udp_socket.h"
#include "evcorothread/offload.h"
#include "evcorothread/resolver.h"
#include "evcorothread/tls_socket.h"
#include "test/faults/scenario.h"

namespace faults {
namespace {

using namespace evcorothread;
using nutils::SockAddr;

void echo_at(EvLoop& loop, const SockAddr& address) {
    auto server = EvTcpAcceptor::listen(loop, address, [](EvSocket socket) { echo(socket); });
    if (!good("listen", server)) return;
    for (int i = 0; i < 2; ++i) {
        auto client = EvSocket::connect(loop, server->local_address(), kPatience);
        if (good("connect", client)) converse("echo", *client);
    }
}

cutils::Result<nutils::UniqueFd> big_file(const Life& life) {
    const std::string path = life.folder + "/big.txt";
    nutils::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return cutils::Error(std::error_code(errno, std::generic_category()), path);
    return file;
}

void hear_the_file(std::string_view what, nutils::ByteStream& stream) {
    std::string heard;
    char buffer[16'384];
    nutils::IoResult got;
    while ((got = stream.recv(buffer, kPatience))) heard.append(buffer, got.bytes);
    if (!got.eof()) return failed(what, got.error);
    if (heard.size() < kBigFile) return failed(what, "cut");
    if (heard.size() > kBigFile || !heard.ends_with("the end")) wrong(std::string(what) + " is another file");
}

}  // namespace

void tcp(const Life& life) {
    in_loop([&](EvLoop& loop) {
        echo_at(loop, SockAddr::loopback(0));
        auto path = SockAddr::unix_path(life.folder + "/echo.sock");
        if (good("a path", path)) echo_at(loop, *path);
    });
}

void udp(const Life&) {
    in_loop([](EvLoop& loop) {
        auto server = EvUdpSocket::bind(loop, SockAddr::loopback(0));
        if (!good("bind", server)) return;
        const auto address = server->local();
        if (!good("getsockname", address)) return;
        EvThread serving = loop.spawn("udp echo", [&] {
            DatagramBatch batch(8, 2000);
            while (auto got = server->recv_batch(batch, kPatience))
                if (auto sent = server->send_batch(batch, kPatience); !sent) failed("send_batch", sent.error);
        });
        auto client = EvUdpSocket::connect(loop, *address);
        if (good("connect", client)) {
            for (const std::string text : {"a datagram", "another one", ""}) {
                char buffer[100];
                if (!good("send", client->send(text, kPatience))) break;
                // It may get lost: the wait in vain is the network's.
                const auto got = client->recv(buffer, 300ms);
                if (!got) {
                    failed("recv", std::string_view(got.error.message()));
                    break;
                }
                if (std::string_view(buffer, got.bytes) != text) wrong("another datagram");
            }
        }
        server->close();
        (void)serving.join(kPatience);
    });
}

void names(const Life&) {
    in_loop([](EvLoop& loop) {
        OffloadPool helpers({.threads = 1});
        Resolver resolver(helpers);
        auto server =
            EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [](EvSocket socket) { echo(socket); });
        if (!good("listen", server)) return;
        const std::string where = "localhost:" + std::to_string(server->local_address().port());
        for (int i = 0; i < 2; ++i) {
            auto client = connect(loop, resolver, where, kPatience);
            if (good("connect by name", client)) converse("echo by name", *client);
        }
    });
}

void relays(const Life& life) {
    in_loop([&](EvLoop& loop) {
        auto file = big_file(life);
        if (!good("a file", file)) return;
        auto source = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket socket) {
            if (!good("sendfile", socket.sendfile_all(file->get(), 0, kBigFile, kPatience))) return;
            (void)socket.shutdown_send();
            char buffer[100];
            while (socket.recv(buffer, kPatience)) {
            }
        });
        if (!good("listen", source)) return;
        auto proxy = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket socket) {
            auto behind = EvSocket::connect(loop, source->local_address(), kPatience);
            if (!good("connect behind", behind)) return;
            const RelayResult done = relay(socket, *behind, kPatience);
            if (done.forth.error()) failed("relay forth", done.forth.error());
            if (done.back.error()) failed("relay back", done.back.error());
        });
        if (!good("listen", proxy)) return;
        for (const auto& server : {source->local_address(), proxy->local_address()}) {
            auto client = EvSocket::connect(loop, server, kPatience);
            if (good("connect", client)) hear_the_file("a file", *client);
        }
    });
}

void tls(const Life& life) {
    in_loop([&](EvLoop& loop) {
        auto server = TlsContext::server({.certificates = {{life.certificate, life.key}}});
        auto trust = TlsContext::client({.ca_file = life.certificate});
        auto file = big_file(life);
        if (!good("the server's context", server) || !good("the client's context", trust) ||
            !good("a file", file))
            return;
        auto acceptor = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket plain) {
            auto socket = TlsSocket::accept(std::move(plain), *server, kPatience);
            if (!good("the server's handshake", socket)) return;
            echo(*socket);
        });
        auto files = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket plain) {
            auto socket = TlsSocket::accept(std::move(plain), *server, kPatience);
            if (good("the server's handshake", socket) &&
                good("sendfile", socket->sendfile_all(file->get(), 0, kBigFile, kPatience)))
                (void)socket->close(kPatience);
        });
        if (!good("listen", acceptor) || !good("listen", files)) return;
        for (const auto* where : {&*acceptor, &*acceptor, &*files}) {
            auto plain = EvSocket::connect(loop, where->local_address(), kPatience);
            if (!good("connect", plain)) continue;
            auto client = TlsSocket::connect(std::move(*plain), *trust, "localhost", kPatience);
            if (!good("the client's handshake", client)) continue;
            if (where == &*files)
                hear_the_file("a file over TLS", *client);
            else
                converse("echo over TLS", *client);
            (void)client->close(kPatience);
            (void)good("reload", server->reload());
        }
    });
}

}  // namespace faults
