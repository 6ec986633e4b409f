#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_thread.h"
#include "nutils/iovecs.h"
#include "nutils/socket_options.h"
#include "test/evcorothread/fill_in_pieces.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/fault_injection.h"
#include "test/support/temp_dir.h"

using namespace test_support;
using nutils::piece_of;

namespace {

// Bytes that are all different from their neighbours, so that none can be lost or swapped unseen.
std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + i / 251) & 0xff);
    return text;
}

}  // namespace

TEST_GROUP_BASE(Send, LoopFixture) {
    FaultInjection faults;
    Connection connection = unix_connection(loop);
    EvSocket& socket = connection.socket;

    // Reads at the peer until `bytes` have come, running the loop meanwhile.
    std::string peer_reads(std::size_t bytes) {
        std::string text;
        while (text.size() < bytes) {
            run_ready();
            const std::string some = connection.peer_gets();
            if (some.empty()) break;
            text += some;
        }
        return text;
    }
};

TEST(Send, HandsOverWithoutSuspending) {
    in_coroutine([&] {
        const IoResult sent = socket.send("hello", 1s);
        CHECK(sent);
        CHECK_EQUAL(5, sent.bytes);
    });
    CHECK_EQUAL("hello", connection.peer_gets());
}

TEST(Send, MayHandOverAPart) {
    faults.limit("send", 3);
    in_coroutine([&] { CHECK_EQUAL(3, socket.send("hello", 1s).bytes); });
}

TEST(Send, OfNothingSucceeds) {
    in_coroutine([&] {
        CHECK(socket.send("", 1s));
        CHECK(socket.send_all("", 1s));
        CHECK(socket.sendv({}, 1s));
        CHECK(socket.send_all_v({}, 1s));
        CHECK(socket.sendfile_all(STDIN_FILENO, 0, 0, 1s));
    });
}

TEST(Send, WaitsForRoom) {
    const std::size_t filled = fill(socket);
    EvThread writer = go([&] { CHECK(socket.send("x", 1h)); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, writer.state());
    CHECK_EQUAL(filled + 1, peer_reads(filled + 1).size());
    CHECK(writer.finished());
}

TEST(Send, TimesOutAndStaysUsable) {
    fill(socket);
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.send("x", 10s).timed_out());
        CHECK_EQUAL(10s, loop.now() - begin);
        drain(connection.peer.get());
        CHECK(socket.send("x", 10s));
    });
}

TEST(Send, AllSendsEverything) {
    const std::string text = pattern(3 << 20);
    EvThread writer = go([&] {
        const IoResult sent = socket.send_all(text, 1h);
        CHECK(sent);
        CHECK_EQUAL(text.size(), sent.bytes);
    });
    CHECK(text == peer_reads(text.size()));
    CHECK(writer.finished());
}

TEST(Send, AllInPiecesOfAnySize) {
    const std::string text = pattern(1000);
    for (const std::size_t size : {1U, 2U, 3U, 7U, 16U}) {
        faults.limit("send", size);
        EvThread writer = go([&] { CHECK_EQUAL(text.size(), socket.send_all(text, 1h).bytes); });
        CHECK(text == peer_reads(text.size()));
        CHECK(writer.finished());
    }
}

TEST(Send, AllReportsWhatWentBeforeTheDeadline) {
    const std::string text = pattern(4 << 20);
    std::size_t sent_bytes = 0;
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        const IoResult sent = socket.send_all(text, 5s);
        CHECK(sent.timed_out());
        CHECK_EQUAL(5s, loop.now() - begin);
        sent_bytes = sent.bytes;
    });
    CHECK(sent_bytes > 0 && sent_bytes < text.size());
    CHECK(text.substr(0, sent_bytes) == connection.peer_gets());
}

TEST(Send, AllHasOneDeadlineForAll) {
    const std::string text = pattern(64 << 20);
    const TimePoint begin = loop.now();
    EvThread reader = go([&] {
        while (!this_evthread::delay(1s)) drain(connection.peer.get());
    });
    go([&] {
        CHECK(socket.send_all(text, 3500ms).timed_out());
        CHECK_EQUAL(3500ms, loop.now() - begin);
        reader.cancel();
    });
    run_loop();
}

TEST(Send, AllThatIsCanceledReportsWhatWentBefore) {
    const std::string text = pattern(4 << 20);
    EvThread writer = go([&] {
        const IoResult sent = socket.send_all(text, Deadline::never);
        CHECK(sent.canceled());
        CHECK(sent.bytes > 0);
    });
    run_ready();
    writer.cancel();
    run_loop();
}

TEST(Send, PiecesGoInTheirOrder) {
    in_coroutine([&] {
        const iovec pieces[] = {piece_of("ab"), piece_of(""), piece_of("cd")};
        CHECK_EQUAL(4, socket.sendv(pieces, 1s).bytes);
    });
    CHECK_EQUAL("abcd", connection.peer_gets());
}

TEST(Send, AllPiecesInPortionsOfAnySize) {
    for (const std::size_t size : {1U, 2U, 3U, 7U, 16U}) {
        faults.limit("sendmsg", size);
        in_coroutine([&] {
            iovec pieces[] = {piece_of("first "), piece_of(""), piece_of("second "), piece_of(""),
                              piece_of("third")};
            CHECK_EQUAL(18, socket.send_all_v(pieces, 1s).bytes);
        });
        CHECK_EQUAL("first second third", connection.peer_gets());
    }
}

TEST(Send, MorePiecesThanTheKernelTakesAtOnce) {
    in_coroutine([&] {
        std::vector<iovec> pieces(3000, piece_of("ab"));
        CHECK_EQUAL(6000, socket.send_all_v(pieces, 1s).bytes);
    });
    CHECK_EQUAL(6000, connection.peer_gets().size());
}

TEST(Send, ManyEmptyPiecesAreNoEndlessLoop) {
    in_coroutine([&] {
        std::vector<iovec> pieces(3000, piece_of(""));
        pieces.back() = piece_of("x");
        CHECK_EQUAL(1, socket.send_all_v(pieces, 1s).bytes);
    });
    CHECK_EQUAL("x", connection.peer_gets());
}

TEST(Send, ManyEmptyPiecesInFrontDoNotHideTheOneBehind) {
    in_coroutine([&] {
        std::vector<iovec> pieces(3000, piece_of(""));
        pieces.back() = piece_of("x");
        CHECK_EQUAL(1, socket.sendv(pieces, 1s).bytes);
        CHECK_EQUAL(1, socket.try_sendv(pieces).bytes);
    });
    CHECK_EQUAL("xx", connection.peer_gets());
}

TEST(Send, AllPiecesGoOnWithTheSameArrayAfterTheDeadline) {
    const std::string text = pattern(100'000);
    std::vector<iovec> pieces(30, piece_of(text));
    std::size_t sent = 0;
    in_coroutine([&] {
        const IoResult some = socket.send_all_v(pieces, 5s);
        CHECK(some.timed_out());
        sent = some.bytes;
    });
    CHECK_EQUAL(30 * text.size() - sent, nutils::total_size(pieces));
    drain(connection.peer.get());
    run_ready();
    in_coroutine([&] { sent += socket.send_all_v(pieces, 5s).bytes; });
    CHECK_EQUAL(30 * text.size() - sent, nutils::total_size(pieces));
}

TEST(Send, AllPiecesReportWhatWentBeforeTheDeadline) {
    const std::string text = pattern(2 << 20);
    in_coroutine([&] {
        iovec pieces[] = {piece_of(text), piece_of(text)};
        const IoResult sent = socket.send_all_v(pieces, 5s);
        CHECK(sent.timed_out());
        CHECK(sent.bytes > 0 && sent.bytes < 2 * text.size());
    });
}

TEST(Send, LargePiecesWaitForRoom) {
    const std::string text = pattern(1 << 20);
    EvThread writer = go([&] {
        iovec pieces[] = {piece_of(text), piece_of("middle"), piece_of(text)};
        CHECK_EQUAL(2 * text.size() + 6, socket.send_all_v(pieces, 1h).bytes);
    });
    CHECK(text + "middle" + text == peer_reads(2 * text.size() + 6));
    CHECK(writer.finished());
}

TEST(Send, TryHandsOverWhatGoes) {
    CHECK_EQUAL(2, socket.try_send("ab").bytes);
    const iovec pieces[] = {piece_of("c"), piece_of("d")};
    CHECK_EQUAL(2, socket.try_sendv(pieces).bytes);
    fill(socket);
    CHECK(socket.try_send("x").would_block());
    CHECK(socket.try_sendv(pieces).would_block());
}

TEST_IN_ORDER(Send, IsBusyForASecondWriter) {
    fill(socket);
    EvThread first = go([&] { CHECK(socket.send("x", 1h)); });
    EvThread second = go([&] {
        CHECK(socket.send("x", 1s).busy());
        CHECK(socket.send_all("x", 1s).busy());
        const iovec piece[] = {piece_of("x")};
        CHECK(socket.sendv(piece, 1s).busy());
        iovec pieces[] = {piece_of("x")};
        CHECK(socket.send_all_v(pieces, 1s).busy());
        CHECK(socket.sendfile_all(STDIN_FILENO, 0, 1, 1s).busy());
    });
    run_ready();
    CHECK(second.finished());
    drain(connection.peer.get());
    run_loop();
}

TEST(Send, InterruptedGoesOn) {
    faults.fail("send", EINTR, 3);
    in_coroutine([&] { CHECK_EQUAL(5, socket.send("hello", 1s).bytes); });
}

TEST(Send, ReportsTheErrorsOfTheKernel) {
    in_coroutine([&] {
        for (const int number : {EPIPE, ECONNRESET, ENOBUFS, EHOSTUNREACH}) {
            faults.fail("send", number, 1, 1);
            faults.limit("send", 2);
            const IoResult sent = socket.send_all("hello", 1s);
            CHECK_EQUAL(std::error_code(number, std::generic_category()), sent.error);
            CHECK_EQUAL(2, sent.bytes);
        }
    });
}

TEST(Send, ToAPeerThatIsGoneIsAnErrorAndNoSignal) {
    connection.peer_closes();
    in_coroutine([&] {
        CHECK(socket.send("x", 1s).error == std::errc::broken_pipe);
        iovec pieces[] = {piece_of("x")};
        CHECK(socket.send_all_v(pieces, 1s).error == std::errc::broken_pipe);
    });
}

TEST(Send, AWriterThatWaitsHearsOfAPeerThatGoes) {
    fill(socket);
    EvThread writer = go([&] {
        const IoResult sent = socket.send("x", Deadline::never);
        CHECK(sent.error == std::errc::broken_pipe || sent.error == std::errc::connection_reset);
    });
    run_ready();
    connection.peer_closes();
    run_ready();
    CHECK(writer.finished());
}

TEST(Send, TheIdleTimeoutEndsAWait) {
    fill(socket);
    socket.set_idle_timeout(7s);
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(socket.send("x", Deadline::never).timed_out());
        CHECK_EQUAL(7s, loop.now() - begin);
    });
}

// The kernel says that there is room when three quarters of it have gone.
TEST(Send, APeerThatReadsSlowlyIsNotIdle) {
    fill_in_pieces(socket);
    socket.set_idle_timeout(7s);
    IoResult sent;
    EvThread writer = go([&] { sent = socket.send("x", Deadline::never); });
    run_ready();
    for (int i = 0; i < 3; ++i) {
        take_a_piece(connection.peer.get());
        advance(7s);
        CHECK(!writer.finished());
    }
    advance(7s);
    CHECK(writer.finished());
    CHECK(sent.timed_out());
}

TEST(Send, ADeadlineEndsAWaitForAPeerThatReadsSlowly) {
    fill_in_pieces(socket);
    socket.set_idle_timeout(7s);
    IoResult sent;
    EvThread writer = go([&] { sent = socket.send("x", 10s); });
    run_ready();
    for (int i = 0; i < 2; ++i) {
        take_a_piece(connection.peer.get());
        advance(5s);
    }
    CHECK(writer.finished());
    CHECK(sent.timed_out());
}

TEST(Send, OnAClosedSocketIsClosed) {
    socket.close();
    in_coroutine([&] {
        iovec pieces[] = {piece_of("x")};
        CHECK(socket.send("x", 1s).closed());
        CHECK(socket.send_all("x", 1s).closed());
        CHECK(socket.sendv(pieces, 1s).closed());
        CHECK(socket.send_all_v(pieces, 1s).closed());
        CHECK(socket.sendfile_all(STDIN_FILENO, 0, 1, 1s).closed());
        CHECK(socket.try_send("x").closed());
        CHECK(socket.try_sendv(pieces).closed());
        CHECK(socket.shutdown_send().closed());
    });
}

// --- files ---

TEST_GROUP_BASE(Sendfile, LoopFixture) {
    FaultInjection faults;
    TempDir folder;
    Connection connection = unix_connection(loop);
    EvSocket& socket = connection.socket;

    UniqueFd file_of(const std::string& content) {
        UniqueFd file(::open(folder.file("f").c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        CHECK_EQUAL(content.size(), ::write(file.get(), content.data(), content.size()));
        return file;
    }
};

TEST(Sendfile, SendsThePartThatIsAskedFor) {
    const UniqueFd file = file_of("0123456789");
    in_coroutine([&] { CHECK_EQUAL(4, socket.sendfile_all(file.get(), 3, 4, 1s).bytes); });
    CHECK_EQUAL("3456", connection.peer_gets());
}

TEST(Sendfile, GoesOnAfterShortWrites) {
    const std::string text = pattern(1000);
    const UniqueFd file = file_of(text);
    faults.limit("sendfile", 7);
    in_coroutine([&] { CHECK_EQUAL(1000, socket.sendfile_all(file.get(), 0, 1000, 1s).bytes); });
    CHECK(text == connection.peer_gets());
}

TEST(Sendfile, WaitsForRoom) {
    const std::string text = pattern(2 << 20);
    const UniqueFd file = file_of(text);
    EvThread writer =
        go([&] { CHECK_EQUAL(text.size(), socket.sendfile_all(file.get(), 0, text.size(), 1h).bytes); });
    std::string got;
    while (got.size() < text.size()) {
        run_ready();
        const std::string some = connection.peer_gets();
        if (some.empty()) break;
        got += some;
    }
    CHECK(text == got);
}

TEST(Sendfile, ReportsWhatWentBeforeTheDeadline) {
    const std::string text = pattern(2 << 20);
    const UniqueFd file = file_of(text);
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        const IoResult sent = socket.sendfile_all(file.get(), 0, text.size(), 5s);
        CHECK(sent.timed_out());
        CHECK(sent.bytes > 0 && sent.bytes < text.size());
        CHECK_EQUAL(5s, loop.now() - begin);
    });
}

TEST(Sendfile, OfAFileThatIsShorterEndsWithEof) {
    const UniqueFd file = file_of("abc");
    in_coroutine([&] {
        const IoResult sent = socket.sendfile_all(file.get(), 0, 10, 1s);
        CHECK(sent.eof());
        CHECK_EQUAL(3, sent.bytes);
    });
}

TEST(Sendfile, ToAPeerThatIsGoneIsAnErrorAndNoSignal) {
    const UniqueFd file = file_of("abc");
    connection.peer_closes();
    in_coroutine([&] { CHECK(socket.sendfile_all(file.get(), 0, 3, 1s).error == std::errc::broken_pipe); });
}

TEST(Sendfile, ReportsTheErrorsOfTheKernel) {
    const UniqueFd file = file_of("abc");
    faults.fail("sendfile", EIO);
    in_coroutine([&] { CHECK(socket.sendfile_all(file.get(), 0, 3, 1s).error == std::errc::io_error); });
}

TEST(Sendfile, StartsBeyondWhatThirtyTwoBitsCount) {
    const UniqueFd file = file_of("");
    const off_t far_away = (off_t{5} << 30) + 3;
    CHECK_EQUAL(4, ::pwrite(file.get(), "here", 4, far_away));
    in_coroutine([&] { CHECK_EQUAL(4, socket.sendfile_all(file.get(), far_away, 4, 1s).bytes); });
    CHECK_EQUAL("here", connection.peer_gets());
}

TEST(Sendfile, OfMoreThanTheKernelTakesAtOnceGoesOn) {
    constexpr std::size_t kMost = 0x7ffff000;  // what one sendfile(2) takes
    const std::string text = pattern(1000);
    const UniqueFd file = file_of(text);
    faults.answer("sendfile", kMost, 0, 2);  // as if it had taken that, twice
    in_coroutine([&] {
        CHECK_EQUAL(2 * kMost + 1000, socket.sendfile_all(file.get(), 0, 2 * kMost + 1000, 1s).bytes);
    });
    CHECK(text == connection.peer_gets());
}

TEST(Sendfile, LetsOthersRunThoughThePeerTakesAll) {
    constexpr std::size_t kPiece = 1 << 20;
    faults.answer("sendfile", kPiece, 0, FaultInjection::kAlways);
    Connection other = unix_connection(loop);
    long turns = 0;
    go([&] {
        CHECK_EQUAL("hello", received(other.socket, 1h));
        turns = faults.calls("sendfile");
        CHECK(socket.send("between", 1h).busy());
    });
    run_ready();
    in_coroutine([&] {
        other.peer_sends("hello");
        CHECK_EQUAL(64 * kPiece, socket.sendfile_all(STDIN_FILENO, 0, 64 * kPiece, 1h).bytes);
    });
    CHECK(turns > 0 && turns <= 3);
    CHECK_EQUAL("", connection.peer_gets());
}

TEST(Sendfile, EndsThoughThePeerTakesAll) {
    constexpr std::size_t kPiece = 1 << 20;
    faults.answer("sendfile", kPiece, 0, FaultInjection::kAlways);
    in_coroutine([&] {
        const IoResult late = socket.sendfile_all(STDIN_FILENO, 0, 64 * kPiece, loop.now() - 1s);
        CHECK(late.timed_out());
        CHECK_EQUAL(kPiece, late.bytes);
    });
    EvThread writer = go([&] {
        const IoResult sent = socket.sendfile_all(STDIN_FILENO, 0, 64 * kPiece, 1h);
        CHECK(sent.canceled());
        CHECK(sent.bytes < 64 * kPiece);
    });
    go([&] { writer.cancel(); });
    run_loop();
    go([&] {
        const IoResult sent = socket.sendfile_all(STDIN_FILENO, 0, 64 * kPiece, 1h);
        CHECK(sent.closed());
        CHECK(sent.bytes < 64 * kPiece);
    });
    go([&] { socket = EvSocket(); });
    run_loop();
}

TEST(Sendfile, OfAFileThatIsReadLetsOthersRun) {
    constexpr std::size_t kPiece = 64 << 10;
    const UniqueFd file = file_of("");
    CHECK_EQUAL(0, ::ftruncate(file.get(), 8 << 20));
    faults.fail("sendfile", EINVAL);
    faults.answer("send", kPiece, 0, FaultInjection::kAlways);
    in_coroutine([&] {
        const IoResult late = socket.sendfile_all(file.get(), 0, 8 << 20, loop.now() - 1s);
        CHECK(late.timed_out());
        CHECK_EQUAL(1 << 20, late.bytes);
    });
}

TEST(Sendfile, GoesOnWhereADeadlineCutItOff) {
    const std::string text = pattern(1 << 20);
    const UniqueFd file = file_of(text);
    std::string got;
    in_coroutine([&] {
        std::size_t sent = 0;
        while (sent < text.size()) {
            const IoResult some =
                socket.sendfile_all(file.get(), static_cast<off_t>(sent), text.size() - sent, 1ms);
            CHECK(!some.error || some.timed_out());
            sent += some.bytes;
            got += connection.peer_gets();
        }
    });
    got += connection.peer_gets();
    CHECK(text == got);
}

TEST(Sendfile, ThatIsCanceledReportsWhatWentBefore) {
    const UniqueFd file = file_of(pattern(2 << 20));
    EvThread writer = go([&] {
        const IoResult sent = socket.sendfile_all(file.get(), 0, 2 << 20, 1h);
        CHECK(sent.canceled());
        CHECK(sent.bytes > 0 && sent.bytes < 2 << 20);
    });
    run_ready();
    writer.cancel();
    run_loop();
}

TEST(Sendfile, OfAFileThatTheKernelDoesNotSendIsRead) {
    const std::string text = pattern(200000);
    const UniqueFd file = file_of(text);
    faults.fail("sendfile", EINVAL);
    faults.limit("pread", 1000);
    EvThread writer = go([&] { CHECK_EQUAL(199990, socket.sendfile_all(file.get(), 10, 199990, 1h).bytes); });
    std::string got;
    while (!writer.finished()) {
        run_ready();
        got += connection.peer_gets();
    }
    got += connection.peer_gets();
    CHECK(text.substr(10) == got);
}

TEST(Sendfile, OfAFileInProcIsSent) {
    const UniqueFd file(::open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
    in_coroutine([&] {
        const IoResult sent = socket.sendfile_all(file.get(), 0, 1 << 20, 1s);
        CHECK(sent.eof());
        CHECK(sent.bytes > 50);
    });
    STRCMP_CONTAINS((std::to_string(::getpid()) + " (").c_str(), connection.peer_gets().c_str());
}

TEST(Sendfile, OfAPipeIsAnError) {
    const UniqueFd file = file_of("abc");
    faults.fail("sendfile", EINVAL);
    faults.fail("pread", ESPIPE);
    in_coroutine([&] { CHECK(socket.sendfile_all(file.get(), 0, 3, 1s).error == std::errc::invalid_seek); });
}
