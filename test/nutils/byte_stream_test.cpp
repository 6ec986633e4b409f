#include "nutils/byte_stream.h"

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "nutils/iovecs.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/net_strings.h"
#include "test/support/pipe_stream.h"

using namespace nutils;
using namespace test_support;
using namespace std::chrono_literals;

namespace {
// The pieces in which everything must work.
constexpr std::size_t kFragments[] = {1, 2, 3, 7, 16, 1000000};

void put(PipeStream& stream, std::string_view data) { CHECK(stream.send_all(data, Deadline::never)); }
}  // namespace

TEST_GROUP_BASE(ByteStream, Fixture) {
    char buffer[64];
    std::string text(const IoResult& got) const { return {buffer, got.bytes}; }
};

TEST(ByteStream, RecvExactFillsTheBuffer) {
    for (const std::size_t fragment : kFragments) {
        PipePair pipe({.fragment = fragment});
        put(pipe.near, "hello world");
        const IoResult got = pipe.far.recv_exact(std::span(buffer, 5), 1s);
        CHECK(got);
        CHECK_EQUAL("hello", text(got));
        CHECK_EQUAL(" world", pipe.far.unread());
    }
}

TEST(ByteStream, RecvExactOfNothingTouchesNothing) {
    PipePair pipe;
    CHECK(pipe.far.recv_exact({}, 0s));
    LONGS_EQUAL(0, pipe.far.recvs());
}

TEST(ByteStream, RecvExactReportsTheBytesBeforeTheTimeout) {
    PipePair pipe({.fragment = 2});
    put(pipe.near, "hel");
    const IoResult got = pipe.far.recv_exact(std::span(buffer, 5), 3s);
    CHECK(got.timed_out());
    CHECK_EQUAL("hel", text(got));
}

TEST(ByteStream, TheStreamIsUsableAfterATimeout) {
    PipePair pipe({.fragment = 2});
    put(pipe.near, "hel");
    const IoResult first = pipe.far.recv_exact(std::span(buffer, 5), 3s);
    put(pipe.near, "lo");
    const IoResult rest = pipe.far.recv_exact(std::span(buffer, 5).subspan(first.bytes), 3s);
    CHECK(rest);
    CHECK_EQUAL("hello", std::string(buffer, 5));
}

TEST(ByteStream, RecvExactReportsTheBytesBeforeTheEnd) {
    PipePair pipe;
    put(pipe.near, "hel");
    CHECK(pipe.near.shutdown_send());
    const IoResult got = pipe.far.recv_exact(std::span(buffer, 5), 3s);
    CHECK(got.eof());
    CHECK_EQUAL("hel", text(got));
}

TEST(ByteStream, RecvExactHasOneDeadlineForAllItsPieces) {
    PipePair pipe({.fragment = 1, .per_fragment = 1s});
    put(pipe.near.now() == pipe.far.now() ? pipe.near : pipe.far, "hello world");
    const auto begin = pipe.now();
    const IoResult got = pipe.far.recv_exact(std::span(buffer, 11), 3500ms);
    CHECK(got.timed_out());
    LONGS_EQUAL(3, got.bytes);
    CHECK_EQUAL(cutils::Duration(3500ms), pipe.now() - begin);
}

TEST(ByteStream, AnAbsoluteDeadlineSpansSeveralCalls) {
    PipePair pipe({.fragment = 1, .per_fragment = 1s});
    put(pipe.near, "hello");
    const Deadline end = Deadline(pipe.now() + 3s);
    LONGS_EQUAL(2, pipe.far.recv_exact(std::span(buffer, 2), end).bytes);
    const IoResult second = pipe.far.recv_exact(std::span(buffer, 2), end);
    CHECK(second.timed_out());
    LONGS_EQUAL(1, second.bytes);
}

TEST(ByteStream, SendAllSendsEverything) {
    for (const std::size_t fragment : kFragments) {
        PipePair pipe({.fragment = fragment});
        const IoResult sent = pipe.near.send_all("hello world", 1s);
        CHECK(sent);
        LONGS_EQUAL(11, sent.bytes);
        CHECK_EQUAL("hello world", pipe.far.unread());
    }
}

TEST(ByteStream, SendAllOfNothingTouchesNothing) {
    PipePair pipe;
    CHECK(pipe.near.send_all("", 0s));
    LONGS_EQUAL(0, pipe.near.sends());
}

TEST(ByteStream, SendAllReportsTheBytesBeforeTheTimeout) {
    PipePair pipe({.fragment = 2, .capacity = 5});
    const IoResult sent = pipe.near.send_all("hello world", 3s);
    CHECK(sent.timed_out());
    LONGS_EQUAL(5, sent.bytes);
    CHECK_EQUAL("hello", pipe.far.unread());
}

TEST(ByteStream, SendAllHasOneDeadlineForAllItsPieces) {
    PipePair pipe({.fragment = 1, .per_fragment = 1s});
    const auto begin = pipe.now();
    CHECK(pipe.near.send_all("hello world", 3500ms).timed_out());
    CHECK_EQUAL(cutils::Duration(3500ms), pipe.now() - begin);
}

TEST(ByteStream, SendAllReportsABrokenStream) {
    PipePair pipe;
    pipe.far.close();
    const IoResult sent = pipe.near.send_all("hello", 3s);
    CHECK(sent.error == std::errc::broken_pipe);
    LONGS_EQUAL(0, sent.bytes);
}

TEST(ByteStream, SendAllVSendsAllPiecesInOrder) {
    for (const std::size_t fragment : kFragments) {
        PipePair pipe({.fragment = fragment});
        std::array pieces = {piece_of(""),    piece_of("hel"),   piece_of(""),
                             piece_of("lo "), piece_of("world"), piece_of("")};
        const IoResult sent = pipe.near.send_all_v(pieces, 1s);
        CHECK(sent);
        LONGS_EQUAL(11, sent.bytes);
        CHECK_EQUAL("hello world", pipe.far.unread());
    }
}

TEST(ByteStream, SendAllVOfNothingTouchesNothing) {
    PipePair pipe;
    std::array pieces = {piece_of(""), piece_of("")};
    CHECK(pipe.near.send_all_v(pieces, 0s));
    CHECK(pipe.near.send_all_v({}, 0s));
    LONGS_EQUAL(0, pipe.near.sends());
}

TEST(ByteStream, SendAllVLeavesThePiecesDescribingTheRest) {
    PipePair pipe({.fragment = 2, .capacity = 5});
    std::array pieces = {piece_of("hel"), piece_of("lo "), piece_of("world")};
    const IoResult sent = pipe.near.send_all_v(pieces, 3s);
    CHECK(sent.timed_out());
    LONGS_EQUAL(5, sent.bytes);
    CHECK_EQUAL("hello", pipe.far.unread());
    std::string left;
    for (const iovec& piece : pieces) left.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    CHECK_EQUAL(" world", left);
}

TEST(ByteStream, SendvSendsOfTheFirstPieceThatIsNotEmpty) {
    PipePair pipe;
    const std::array pieces = {piece_of(""), piece_of("hel"), piece_of("lo")};
    LONGS_EQUAL(3, pipe.near.sendv(pieces, 1s).bytes);
    CHECK(pipe.near.sendv({}, 1s));
}

TEST_GROUP_BASE(RecvUntil, Fixture) {
    ByteBuffer input;
    std::string taken(const IoResult& got) {
        const std::string line(input.readable().substr(0, got.bytes));
        input.consume(got.bytes);
        return line;
    }
};

TEST(RecvUntil, StopsBehindTheDelimiterAndKeepsTheRest) {
    for (const std::size_t fragment : kFragments) {
        PipePair pipe({.fragment = fragment});
        put(pipe.near, "one\r\ntwo\r\n\r\nrest");
        CHECK_EQUAL("one\r\n", taken(pipe.far.recv_until(input, "\r\n", 100, 1s)));
        CHECK_EQUAL("two\r\n", taken(pipe.far.recv_until(input, "\r\n", 100, 1s)));
        CHECK_EQUAL("\r\n", taken(pipe.far.recv_until(input, "\r\n", 100, 1s)));
        CHECK_EQUAL("rest", std::string(input.readable()) + std::string(pipe.far.unread()));
        input.clear();
    }
}

TEST(RecvUntil, FindsADelimiterThatArrivesInPieces) {
    for (const std::size_t fragment : kFragments) {
        PipePair pipe({.fragment = fragment});
        put(pipe.near, "\r\r\n\r\r\n\r\nX");
        CHECK_EQUAL("\r\r\n\r\r\n\r\n", taken(pipe.far.recv_until(input, "\r\n\r\n", 100, 1s)));
        input.clear();
    }
}

TEST(RecvUntil, LooksAtWhatIsThereBeforeItReceives) {
    PipePair pipe;
    CHECK(!input.append("ready\nmore"));
    CHECK_EQUAL("ready\n", taken(pipe.far.recv_until(input, "\n", 100, 0s)));
    LONGS_EQUAL(0, pipe.far.recvs());
}

TEST(RecvUntil, TheLimitCountsTheDelimiter) {
    PipePair pipe;
    put(pipe.near, "abc\r\n");
    CHECK_EQUAL(NetError::too_long, pipe.far.recv_until(input, "\r\n", 4, 1s).error);
    const IoResult got = pipe.far.recv_until(input, "\r\n", 5, 1s);
    CHECK(got);
    LONGS_EQUAL(5, got.bytes);
}

TEST(RecvUntil, WithoutADelimiterItStopsAtTheLimit) {
    for (const std::size_t fragment : kFragments) {
        PipePair pipe({.fragment = fragment});
        put(pipe.near, std::string(100000, 'x'));
        CHECK_EQUAL(NetError::too_long, pipe.far.recv_until(input, "\n", 50, 1s).error);
        CHECK(input.size() >= 50 && input.size() <= 2 * 4096);  // read ahead, within reason
        input.clear();
    }
}

TEST(RecvUntil, StopsAtTheMaximumOfTheBuffer) {
    ByteBuffer small(10);
    PipePair pipe({.fragment = 3});
    put(pipe.near, "0123456789abc\n");
    const IoResult got = pipe.far.recv_until(small, "\n", 100, 1s);
    CHECK_EQUAL(NetError::too_long, got.error);
    LONGS_EQUAL(10, got.bytes);
    CHECK_EQUAL("0123456789", small.readable());
}

TEST(RecvUntil, ATimeoutLosesNothing) {
    PipePair pipe({.fragment = 2});
    put(pipe.near, "hel");
    const IoResult first = pipe.far.recv_until(input, "\n", 100, 3s);
    CHECK(first.timed_out());
    LONGS_EQUAL(3, first.bytes);
    put(pipe.near, "lo\n");
    CHECK_EQUAL("hello\n", taken(pipe.far.recv_until(input, "\n", 100, 3s)));
}

TEST(RecvUntil, HasOneDeadlineForAllItsPieces) {
    PipePair pipe({.fragment = 1, .per_fragment = 1s});
    put(pipe.near, "hello\n");
    const auto begin = pipe.now();
    CHECK(pipe.far.recv_until(input, "\n", 100, 2500ms).timed_out());
    CHECK_EQUAL(cutils::Duration(2500ms), pipe.now() - begin);
    CHECK_EQUAL("he", input.readable());
}

TEST(RecvUntil, TheEndLeavesALineWithoutAnEnd) {
    PipePair pipe;
    put(pipe.near, "last");
    CHECK(pipe.near.shutdown_send());
    const IoResult got = pipe.far.recv_until(input, "\n", 100, 3s);
    CHECK(got.eof());
    CHECK_EQUAL("last", taken(got));
    const IoResult again = pipe.far.recv_until(input, "\n", 100, 3s);
    CHECK(again.eof());
    LONGS_EQUAL(0, again.bytes);
}

TEST(RecvUntil, NoMemoryIsAnError) {
    PipePair pipe;
    put(pipe.near, "hello\n");
    AllocationFaults faults;
    faults.fail_all();
    const IoResult got = pipe.far.recv_until(input, "\n", 100, 3s);
    faults.stop();
    CHECK(got.error == std::errc::not_enough_memory);
    CHECK_EQUAL("hello\n", taken(pipe.far.recv_until(input, "\n", 100, 3s)));
}

TEST(RecvUntil, AnEmptyDelimiterAborts) {
    STRCMP_CONTAINS("empty delimiter", abort_message([this] {
                                           PipePair pipe;
                                           (void)pipe.far.recv_until(input, "", 100, 0s);
                                       }).c_str());
}

// An implementation whose transfers report bytes and an error at once.
namespace {
class BothAtOnce final : public ByteStream {
  public:
    IoResult recv(std::span<char> buffer, Deadline) override {
        buffer[0] = '\n';
        return {1, NetError::timed_out};
    }
    IoResult send(std::string_view, Deadline) override { return {1, NetError::timed_out}; }
    IoResult shutdown_send() override { return {}; }
    void close() noexcept override {}
};
}  // namespace

TEST_GROUP_BASE(BytesWithAnError, Fixture) {
    BothAtOnce stream;
    char buffer[2];
};

TEST(BytesWithAnError, AreCounted) {
    const IoResult got = stream.recv_exact(buffer, 1s);
    CHECK(got.timed_out());
    LONGS_EQUAL(1, got.bytes);
    LONGS_EQUAL(1, stream.send_all("xy", 1s).bytes);
}

TEST(BytesWithAnError, AreASuccessWhenTheyAreTheLast) {
    CHECK(stream.recv_exact(std::span(buffer, 1), 1s));
    CHECK(stream.send_all("x", 1s));
    std::array pieces = {piece_of("x")};
    CHECK(stream.send_all_v(pieces, 1s));
    ByteBuffer input;
    LONGS_EQUAL(1, stream.recv_until(input, "\n", 10, 1s).bytes);
}

TEST(BytesWithAnError, TimeIsTheMonotonicClockUnlessSaidOtherwise) {
    const cutils::TimePoint before = cutils::monotonic_now();
    CHECK(stream.now() >= before);
}
