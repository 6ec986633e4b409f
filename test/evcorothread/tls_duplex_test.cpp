// A reading and a writing coroutine on one TLS connection at once, with TLS's own messages crossing.
#include <openssl/ssl.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/tls_fixture.h"
#include "test/support/fault_injection.h"

using namespace test_support;

namespace {

// An endless text in which every byte depends on its place; each direction has its own.
class Text {
  public:
    explicit Text(unsigned seed) : state_(seed * 2654435761U + 1) {}
    char next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return static_cast<char>(state_);
    }

  private:
    unsigned state_;
};

struct Way {
    std::size_t bytes;
    std::size_t block = 100'000;
    int update_every = 0;  // blocks; 0: never
};

void send_text(TlsSocket& socket, unsigned seed, Way way) {
    Text text(seed);
    std::string block;
    for (int count = 1; way.bytes > 0; ++count) {
        block.resize(std::min(way.bytes, way.block));
        for (char& c : block) c = text.next();
        if (way.update_every > 0 && count % way.update_every == 0)
            CHECK_EQUAL(1, SSL_key_update(socket.native(), SSL_KEY_UPDATE_REQUESTED));
        const IoResult sent = socket.send_all(block, 60s);
        CHECK_EQUAL("", sent ? std::string() : sent.error.message());
        way.bytes -= block.size();
    }
    CHECK(socket.shutdown_send());
}

void check_text(TlsSocket& socket, unsigned seed, Way way) {
    Text text(seed);
    auto block = std::make_unique<char[]>(way.block);
    std::size_t total = 0;
    IoResult got;
    while ((got = socket.recv({block.get(), way.block}, 60s))) {
        for (std::size_t i = 0; i < got.bytes; ++i)
            if (block[i] != text.next()) FAIL("a byte is not what was sent");
        total += got.bytes;
    }
    CHECK_EQUAL("end of stream", got.error.message());
    CHECK_EQUAL(way.bytes, total);
}

// Hands on what comes, `size` bytes at a time, each piece by itself.
void relay(EvSocket& from, EvSocket& to, std::size_t size) {
    char piece[16];
    while (const IoResult got = from.recv({piece, size}, 60s)) {
        CHECK(to.send_all({piece, got.bytes}, 60s));
        this_evthread::yield();
    }
}

}  // namespace

TEST_GROUP_BASE(TlsDuplex, RealTimeTlsFixture) {
    TlsSocket near;
    TlsSocket far;

    void setup() override {
        SocketPair pair = tcp_pair();
        connect(std::move(pair.near), std::move(pair.far));
    }
    void connect(UniqueFd server_end, UniqueFd client_end) {
        TlsContext server = TlsContext::server(server_options).value();
        TlsContext client = TlsContext::client(client_options).value();
        EvThread one =
            go([&] { near = TlsSocket::accept(EvSocket(loop, std::move(server_end)), server, 10s).value(); });
        EvThread two = go([&] {
            far = TlsSocket::connect(EvSocket(loop, std::move(client_end)), client, "localhost", 10s).value();
        });
        until([&] { return one.finished() && two.finished(); });
    }
    void both_sides(Way way) {
        EvThread threads[] = {
            go("near writes", [=, this] { send_text(near, 1, way); }),
            go("near reads", [=, this] { check_text(near, 2, way); }),
            go("far writes", [=, this] { send_text(far, 2, way); }),
            go("far reads", [=, this] { check_text(far, 1, way); }),
        };
        for (EvThread& thread : threads) CHECK(!thread.join(Deadline::never));
    }
    void both_ways(Way way) {
        in_coroutine([=, this] { both_sides(way); });
    }
    // Through somebody in the middle who hands on so many bytes at a time.
    void in_fragments(std::size_t size) {
        SocketPair left = unix_pair();
        SocketPair right = unix_pair();
        EvSocket a(loop, std::move(left.far));
        EvSocket b(loop, std::move(right.far));
        EvThread there = go([&] { relay(a, b, size); });
        EvThread back = go([&] { relay(b, a, size); });
        connect(std::move(left.near), std::move(right.near));
        FaultInjection faults;
        faults.limit("send", size);
        go([&] {
            both_sides({.bytes = 10'000, .block = 700, .update_every = 5});
            a.close();
            b.close();
        });
        run_loop();
    }
};

TEST(TlsDuplex, MegabytesEachWayAtOnceAreByteExact) {
    both_ways({.bytes = kSlow || under_valgrind() ? 4U << 20 : 32U << 20});
}

TEST(TlsDuplex, AndWhileBothSidesRenewTheirKeysAllTheTime) {
    both_ways({.bytes = 4 << 20, .block = 10'000, .update_every = 3});
}

TEST(TlsDuplex, AndInSmallBlocks) { both_ways({.bytes = 100'000, .block = 7, .update_every = 11}); }

TEST(TlsDuplex, AndInFragmentsOf1Byte) { in_fragments(1); }
TEST(TlsDuplex, AndInFragmentsOf2Bytes) { in_fragments(2); }
TEST(TlsDuplex, AndInFragmentsOf3Bytes) { in_fragments(3); }
TEST(TlsDuplex, AndInFragmentsOf7Bytes) { in_fragments(7); }
TEST(TlsDuplex, AndInFragmentsOf16Bytes) { in_fragments(16); }

TEST(TlsDuplex, OneGibibyteEachWayAtOnceIsByteExact) {
    // A minute's work: with EVC_LONG_TESTS=1 in the environment.
    if (std::getenv("EVC_LONG_TESTS") == nullptr) return;
    ::alarm(0);
    both_ways({.bytes = 1U << 30, .update_every = 100});
}

TEST(TlsDuplex, AWriterThatWaitsDoesNotKeepTheReaderFromReading) {
    EvThread writer = go([&] { CHECK(near.send_all(std::string(64 << 20, 'x'), 10s).closed()); });
    EvThread reader = go([&] { CHECK_EQUAL("hello", received(near, 10s)); });
    run_ready();
    CHECK(!writer.finished());
    go([&] { CHECK(far.send_all("hello", 10s)); });
    until([&] { return reader.finished(); });
    CHECK(!writer.finished());
    near.close();
    run_loop();
}

TEST(TlsDuplex, AReaderThatWaitsDoesNotKeepTheWriterFromWriting) {
    char byte = 0;
    EvThread reader = go([&] { CHECK(near.recv({&byte, 1}, 10s).closed()); });
    EvThread writer = go([&] { CHECK(near.send_all(std::string(1 << 20, 'x'), 10s)); });
    EvThread peer = go([&] {
        std::string text(1 << 20, '\0');
        CHECK(far.recv_exact(text, 10s));
    });
    until([&] { return writer.finished() && peer.finished(); });
    CHECK(!reader.finished());
    near.close();
    run_loop();
}
