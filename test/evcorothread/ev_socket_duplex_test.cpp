// A reading and a writing coroutine on one connection at once.
#include <cstdlib>
#include <memory>
#include <string>

#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"

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

void send_text(EvSocket& socket, unsigned seed, std::size_t bytes) {
    Text text(seed);
    std::string block(256 * 1024, '\0');
    while (bytes > 0) {
        block.resize(std::min(bytes, block.size()));
        for (char& c : block) c = text.next();
        CHECK(socket.send_all(block, 30s));
        bytes -= block.size();
    }
    CHECK(socket.shutdown_send());
}

void check_text(EvSocket& socket, unsigned seed, std::size_t bytes) {
    Text text(seed);
    auto block = std::make_unique<char[]>(256 * 1024);
    std::size_t total = 0;
    while (const IoResult got = socket.recv({block.get(), 256 * 1024}, 30s)) {
        for (std::size_t i = 0; i < got.bytes; ++i)
            if (block[i] != text.next()) FAIL("a byte is not what was sent");
        total += got.bytes;
    }
    CHECK_EQUAL(bytes, total);
}

}  // namespace

TEST_GROUP_BASE(Duplex, RealTimeFixture) {
    Connection connection = tcp_connection(loop);
    EvSocket near = std::move(connection.socket);
    EvSocket far{loop, std::move(connection.peer)};
    char byte = 0;

    void both_ways(std::size_t bytes) {
        go("near writes", [=, this] { send_text(near, 1, bytes); });
        go("near reads", [=, this] { check_text(near, 2, bytes); });
        go("far writes", [=, this] { send_text(far, 2, bytes); });
        go("far reads", [=, this] { check_text(far, 1, bytes); });
        run_loop();
    }
};

TEST(Duplex, SixtyFourMebibytesEachWayAtOnceAreByteExact) { both_ways(kSanitized ? 8U << 20 : 64U << 20); }

TEST(Duplex, OneGibibyteEachWayAtOnceIsByteExact) {
    // A minute's work: with EVC_LONG_TESTS=1 in the environment.
    if (std::getenv("EVC_LONG_TESTS") != nullptr) both_ways(1U << 30);
}

TEST(Duplex, AWriterThatWaitsDoesNotKeepTheReaderFromReading) {
    fill(near);
    EvThread writer = go([&] { CHECK(near.send_all(std::string(4 << 20, 'x'), 10s).closed()); });
    EvThread reader = go([&] { CHECK_EQUAL("hello", received(near, 10s)); });
    run_ready();
    EvThread peer = go([&] { CHECK(far.send_all("hello", 10s)); });
    until([&] { return reader.finished(); });
    CHECK(!writer.finished());
    near.close();
    run_loop();
}

TEST(Duplex, AReaderThatWaitsDoesNotKeepTheWriterFromWriting) {
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
