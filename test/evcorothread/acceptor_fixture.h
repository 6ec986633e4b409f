// AcceptorFixture: an acceptor, and clients that are bare descriptors.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "nutils/listen_stream.h"
#include "test/evcorothread/loop_fixture.h"

namespace test_support {

class AcceptorFixture : public LoopFixture {
  public:
    explicit AcceptorFixture(std::size_t count = 16) : LoopFixture(LoopClock::monotonic, count) {}

    std::optional<EvTcpAcceptor> acceptor;
    int served = 0;

    void teardown() override {
        acceptor.reset();
        until([this] { return loop.thread_count() == 0; });  // the clients are gone
        LoopFixture::teardown();
    }

    void listen(EvTcpAcceptor::Handler handler, AcceptOptions options = {},
                const SockAddr& where = SockAddr::loopback(0)) {
        acceptor.emplace(EvTcpAcceptor::listen(loop, where, std::move(handler), std::move(options)).value());
    }
    // Handlers that answer each line with the same.
    void listen_echo(AcceptOptions options = {}) {
        listen(
            [this](EvSocket socket) {
                ++served;
                char buffer[64];
                while (const IoResult got = socket.recv(buffer, 5s))
                    if (!socket.send_all({buffer, got.bytes}, 5s)) break;
            },
            std::move(options));
    }
    // Handlers that keep their connection, and their stack, until the peer closes.
    void listen_patiently(AcceptOptions options = {}) {
        listen(
            [this](EvSocket socket) {
                ++served;
                char byte;
                while (socket.recv({&byte, 1}, Deadline::never)) continue;
            },
            std::move(options));
    }

    [[nodiscard]] UniqueFd client() const { return client_of(acceptor->local_address()); }
    [[nodiscard]] static UniqueFd client_of(const SockAddr& where) {
        UniqueFd fd = nutils::socket_stream(where.family()).value();
        (void)nutils::connect_start(fd.get(), where);
        wait_for(fd.get(), POLLOUT);
        return fd;
    }
    [[nodiscard]] std::vector<UniqueFd> clients(int count) const {
        std::vector<UniqueFd> all;
        for (int i = 0; i < count; ++i) all.push_back(client());
        return all;
    }

    // What a client reads once something has come; "<end>" at the end of the stream.
    std::string reply(const UniqueFd& client) {
        char buffer[64];
        IoResult got{0, NetError::would_block};
        until([&] { return !(got = nutils::recv_some(client.get(), buffer)).would_block(); });
        return got ? std::string(buffer, got.bytes) : "<end>";
    }
    void check_echoes(const UniqueFd& client, std::string_view text = "ping") {
        CHECK_EQUAL(text.size(), nutils::send_some(client.get(), text).bytes);
        CHECK_EQUAL(text, reply(client));
    }
    void until_served(int count) {
        until([&] { return served >= count; });
        CHECK_EQUAL(count, served);
    }
    // Everything that is ready has been done, and what the kernel had to deliver, too.
    void settle() {
        for (int i = 0; i < 20; ++i) {
            run_ready();
            ::sched_yield();
        }
    }
    // Lets the loop run on its own for a while, and tells the CPU time it took.
    Duration cpu_time_of_waiting(Duration how_long) {
        EvTimer end(loop, [this] { loop.stop(); });
        end.start(how_long);
        const Duration before = cpu_time();
        run_loop();
        return cpu_time() - before;
    }
};

}  // namespace test_support
