// A TLS connection used like a plain one.
#include "evcorothread/tls_socket.h"

#include <fcntl.h>
#include <openssl/ssl.h>

#include "evcorothread/copy_stream.h"
#include "evcorothread/ev_thread.h"
#include "nutils/iovecs.h"
#include "test/evcorothread/tls_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"

using namespace test_support;

namespace {

// Sends until the kernel takes no more; returns how much.
std::size_t fill(TlsSocket& socket) {
    const std::string block(16 * 1024, 'f');
    std::size_t sent = 0;
    while (const IoResult some = socket.try_send(block)) sent += some.bytes;
    return sent;
}
// Receives until `bytes` are there.
void take(TlsSocket& socket, std::size_t bytes) {
    std::string text(bytes, '\0');
    const IoResult got = socket.recv_exact(text, 10s);
    CHECK_EQUAL("", got ? std::string() : got.error.message());
}

}  // namespace

TEST_GROUP_BASE(TlsSocket, ShakenTlsFixture){};

TEST(TlsSocket, GivesWhatThePeerSent) {
    in_coroutine([&] {
        CHECK_EQUAL(5, client.send_all("hello", 1s).bytes);
        CHECK_EQUAL("hello", received(server, 1s));
        CHECK(server.send_all("good day", 1s));
        CHECK_EQUAL("good day", received(client, 1s));
    });
}

TEST(TlsSocket, SendsNothingReadableOverTheWire) {
    in_coroutine([&] {
        CHECK(client.send_all("a secret", 1s));
        const IoResult got = nutils::recv_some(server.fd(), buffer);
        CHECK(got.bytes > 8);
        CHECK(std::string_view(buffer, got.bytes).find("secret") == std::string_view::npos);
    });
}

TEST(TlsSocket, SaysWhatWasAgreedOn) {
    const TlsInfo info = client.info();
    CHECK_EQUAL("TLSv1.3", info.protocol);
    CHECK_EQUAL("TLS_AES_128_GCM_SHA256", info.cipher);
    CHECK_EQUAL("localhost", server.info().server_name);
    CHECK_EQUAL("CN=server", info.peer_subject);
    CHECK_EQUAL("CN=authority", info.peer_issuer);
    CHECK(info.peer_verified);
    CHECK_EQUAL("", server.info().peer_subject);
    CHECK(!server.info().peer_verified);
    CHECK(!info.resumed);
}

TEST(TlsSocket, WaitsForThePeer) {
    EvThread reader = go([&] { CHECK_EQUAL("late", received(server, 10s)); });
    run_ready();
    CHECK(!reader.finished());
    go([&] { CHECK(client.send_all("late", 1s)); });
    run_loop();
    CHECK(reader.finished());
}

TEST(TlsSocket, SendsAndReceivesMoreThanARecord) {
    const std::string text(300'000, 't');
    go([&] { CHECK_EQUAL(text.size(), client.send_all(text, 10s).bytes); });
    std::string got(text.size(), '\0');
    in_coroutine([&] { CHECK(server.recv_exact(got, 10s)); });
    CHECK(text == got);
}

TEST(TlsSocket, SendGivesOneRecordAtMost) {
    in_coroutine([&] {
        CHECK_EQUAL(16'384, client.send(std::string(20'000, 'x'), 1s).bytes);
        take(server, 16'384);
    });
}

TEST(TlsSocket, SendingNothingSendsNothing) {
    in_coroutine([&] {
        CHECK_EQUAL(0, client.send("", 1s).bytes);
        CHECK(client.send_all("", 1s));
        CHECK(client.send_all_v({}, 1s));
        CHECK(server.try_recv(buffer).would_block());
    });
}

TEST(TlsSocket, SmallPiecesGoInOneRecord) {
    in_coroutine([&] {
        FaultInjection faults;
        iovec pieces[] = {nutils::piece_of("one "), nutils::piece_of(""), nutils::piece_of("record")};
        CHECK_EQUAL(10, client.send_all_v(pieces, 1s).bytes);
        CHECK_EQUAL(1, faults.calls("send"));
        CHECK_EQUAL("one record", received(server, 1s));
    });
}

TEST(TlsSocket, LargePiecesGoInOrder) {
    const std::string a(20'000, 'a');
    const std::string b(100, 'b');
    const std::string c(40'000, 'c');
    std::string got(a.size() + b.size() + c.size(), '\0');
    go([&] {
        iovec pieces[] = {nutils::piece_of(a), nutils::piece_of(b), nutils::piece_of(c)};
        CHECK_EQUAL(got.size(), client.send_all_v(pieces, 10s).bytes);
    });
    in_coroutine([&] { CHECK(server.recv_exact(got, 10s)); });
    CHECK(a + b + c == got);
}

TEST(TlsSocket, AnExchangeCostsOneSystemCallEachWay) {
    in_coroutine([&] {
        CHECK(client.send_all("warm", 1s));
        CHECK_EQUAL("warm", received(server, 1s));
        EvThread reader = go([&] { CHECK_EQUAL("ping", received(server, 1s)); });
        this_evthread::yield();
        FaultInjection faults;
        CHECK(client.send_all("ping", 1s));
        CHECK(!reader.join(1s));
        CHECK_EQUAL(1, faults.calls("send"));
        CHECK_EQUAL(1, faults.calls("recv"));
    });
}

TEST(TlsSocket, SendsAFile) {
    const std::string text(50'000, 'f');
    UniqueFd file(::open(folder.file("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    CHECK_EQUAL(text.size(), ::write(file.get(), text.data(), text.size()));
    std::string got(text.size() - 10, '\0');
    go([&] { CHECK_EQUAL(got.size(), client.sendfile_all(file.get(), 10, got.size(), 10s).bytes); });
    in_coroutine([&] {
        CHECK(server.recv_exact(got, 10s));
        CHECK(text.substr(10) == got);
        const IoResult sent = client.sendfile_all(file.get(), 49'999, 5, 1s);
        CHECK(sent.eof());
        CHECK_EQUAL(1, sent.bytes);
        CHECK(client.sendfile_all(-1, 0, 5, 1s).error == std::errc::bad_file_descriptor);
    });
}

TEST(TlsSocket, SendingAFileLetsOthersRunThoughThePeerTakesAll) {
    UniqueFd file(::open(folder.file("f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    CHECK_EQUAL(0, ::ftruncate(file.get(), 64 << 20));
    FaultInjection faults;
    long turns = 0;
    EvThread sending = go([&] {
        faults.answer("send", 5 + 16 * 1024 + 17, 0, FaultInjection::kAlways);  // a record
        const IoResult sent = client.sendfile_all(file.get(), 0, 64 << 20, 1h);
        faults.answer("send", 0, 0, 0);  // from here on as usual
        CHECK(sent.canceled());
        CHECK_EQUAL(1 << 20, sent.bytes);
    });
    go([&] {
        while ((turns = faults.calls("send")) == 0) this_evthread::yield();
        CHECK(client.send("between", 1h).busy());
        sending.cancel();
    });
    run_loop();
    CHECK_EQUAL(64, turns);
}

TEST(TlsSocket, EndsWhenThePeerHasFinished) {
    in_coroutine([&] {
        CHECK(client.send_all("last words", 1s));
        CHECK(client.shutdown_send());
        CHECK_EQUAL("last words", received(server, 1s));
        CHECK(server.recv(buffer, 1s).eof());
        CHECK(server.recv(buffer, 1s).eof());
        CHECK(server.try_recv(buffer).eof());
    });
}

TEST(TlsSocket, StillReceivesAfterItHasFinishedSending) {
    in_coroutine([&] {
        CHECK(client.shutdown_send());
        CHECK(client.shutdown_send());
        CHECK(client.send("more", 1s).error == std::errc::broken_pipe);
        CHECK(server.recv(buffer, 1s).eof());
        CHECK(server.send_all("an answer", 1s));
        CHECK_EQUAL("an answer", received(client, 1s));
    });
}

TEST(TlsSocket, SaysGoodbyeWhenItCloses) {
    in_coroutine([&] {
        client.close();
        CHECK(server.recv(buffer, 1s).eof());
    });
}

TEST(TlsSocket, SaysGoodbyeWhenItIsDestroyed) {
    in_coroutine([&] {
        { const TlsSocket gone = std::move(client); }
        CHECK(server.recv(buffer, 1s).eof());
    });
}

TEST(TlsSocket, TellsAStreamThatWasCutOffFromOneThatEnded) {
    in_coroutine([&] {
        CHECK(client.send_all("half a", 1s));
        client.abort();
        CHECK_EQUAL("half a", received(server, 1s));
        CHECK(server.recv(buffer, 1s).error == NetError::truncated);
        CHECK(server.recv(buffer, 1s).error == NetError::truncated);
        CHECK(!server.recv(buffer, 1s).eof());
    });
}

TEST(TlsSocket, TellsARecordThatWasCutOff) {
    in_coroutine([&] {
        CHECK(client.send_all("half a record", 1s));
        const std::string record = stolen();
        CHECK(nutils::send_some(client.fd(), record.substr(0, record.size() / 2)));
        client.abort();
        CHECK(server.recv(buffer, 1s).error == NetError::truncated);
    });
}

TEST(TlsSocket, TellsBytesThatSomebodyHasChanged) {
    in_coroutine([&] {
        CHECK(client.send_all("a record", 1s));
        std::string record = stolen();
        record.back() = static_cast<char>(record.back() ^ 1);
        CHECK_EQUAL(record.size(), nutils::send_some(client.fd(), record).bytes);
        const IoResult got = server.recv(buffer, 1s);
        CHECK(got.error == TlsError::protocol);
        CHECK_EQUAL("decryption failed or bad record mac", got.error.message());
        // And the peer is told.
        const IoResult told = client.recv(buffer, 1s);
        CHECK(told.error == TlsError::refused_by_peer);
        CHECK_EQUAL("sslv3 alert bad record mac", told.error.message());
        CHECK_EQUAL("sslv3 alert bad record mac", client.recv(buffer, 1s).error.message());
    });
}

TEST(TlsSocket, TryRecvTakesWhatIsThere) {
    in_coroutine([&] {
        CHECK(server.try_recv(buffer).would_block());
        CHECK(!server.may_recv());
        CHECK(client.send_all("now", 1s));
        this_evthread::yield();
    });
    until([&] { return server.may_recv(); });
    CHECK_EQUAL(3, server.try_recv(buffer).bytes);
    CHECK(server.try_recv(buffer).would_block());
}

TEST(TlsSocket, MayBeReadWhileTlsHoldsSomething) {
    in_coroutine([&] {
        CHECK(client.send_all("first", 1s));
        CHECK(client.send_all("second", 1s));
        CHECK_EQUAL("fi", received(server, 1s, 2));
        CHECK(server.may_recv());  // the rest of a record, although the kernel has nothing
        CHECK_EQUAL("rst", received(server, 1s));
        CHECK(server.may_recv());  // a record, which the kernel gave with the first
        CHECK_EQUAL("second", received(server, 1s));
        CHECK(server.try_recv(buffer).would_block());
        CHECK(!server.may_recv());
    });
}

TEST(TlsSocket, MayNotBeReadForHalfARecord) {
    in_coroutine([&] {
        CHECK(client.send_all("a record", 1s));
        std::string record = stolen();
        CHECK_EQUAL(9, nutils::send_some(client.fd(), record.substr(0, 9)).bytes);
        CHECK(server.try_recv(buffer).would_block());
        CHECK(!server.may_recv());
        EvThread reader = go([&] { CHECK_EQUAL("a record", received(server, 10s)); });
        this_evthread::yield();
        CHECK(!reader.finished());
        CHECK(nutils::send_some(client.fd(), record.substr(9)));
        CHECK(!reader.join(1s));
    });
}

TEST(TlsSocket, MayBeReadAtItsEnd) {
    in_coroutine([&] {
        client.close();
        CHECK(server.recv(buffer, 1s).eof());
        CHECK(server.may_recv());
    });
}

TEST(TlsSocket, ADeadlineHarmsNothing) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK(server.recv(buffer, 3s).timed_out());
        CHECK_EQUAL(3s, loop.now() - begin);
        CHECK(server.recv(buffer, 0s).timed_out());
        CHECK(client.send_all("still", 1s));
        CHECK_EQUAL("still", received(server, 1s));
    });
}

TEST(TlsSocket, AnIdleTimeoutLimitsEachWait) {
    in_coroutine([&] {
        server.set_idle_timeout(2s);
        const TimePoint begin = loop.now();
        CHECK(server.recv(buffer, Deadline::never).timed_out());
        CHECK_EQUAL(2s, loop.now() - begin);
    });
}

TEST(TlsSocket, WhatADeadlineCutsOffIsCountedAndStillGoes) {
    in_coroutine([&] {
        const std::string text(8 << 20, 'x');
        const IoResult sent = client.send_all(text, 1s);
        CHECK(sent.timed_out());
        CHECK(sent.bytes > 0 && sent.bytes < text.size());
        EvThread reader = go([&] {
            std::string got(sent.bytes, '\0');
            CHECK_EQUAL(sent.bytes, server.recv_exact(got, 10s).bytes);
            CHECK_EQUAL("more", received(server, 10s));
        });
        CHECK(client.send_all("more", 10s));
        CHECK(!reader.join(10s));
    });
}

TEST(TlsSocket, WhatIsWaitingGoesWithoutAnybodysHelp) {
    std::size_t sent = 0;
    in_coroutine([&] { sent = client.send_all(std::string(8 << 20, 'x'), 1s).bytes; });
    in_coroutine([&] { take(server, sent); });  // nobody sends
}

TEST(TlsSocket, TrySendRefusesWhileARecordIsOnItsWay) {
    const std::size_t sent = fill(client);
    in_coroutine([&] {
        CHECK(client.try_send("x").would_block());
        take(server, sent);
        CHECK(client.send_all("x", 1s));
        CHECK_EQUAL("x", received(server, 1s));
    });
}

TEST(TlsSocket, WhatTrySendTookGoesBeforeTheOrderlyClose) {
    const std::size_t sent = fill(client);
    EvThread closer = go([&] { CHECK(!client.close(10s)); });
    run_ready();
    CHECK(!closer.finished());
    in_coroutine([&] {
        take(server, sent);
        CHECK(server.recv(buffer, 1s).eof());
        server.close();
    });
    CHECK(closer.finished());
    CHECK(!client.is_open());
}

TEST(TlsSocket, FinishingWaitsUntilTheGoodbyeHasGone) {
    const std::size_t sent = fill(client);
    EvThread closer = go([&] {
        CHECK(client.finish_send(10s));
        client.close();
    });
    run_ready();
    CHECK(!closer.finished());
    in_coroutine([&] {
        take(server, sent);
        CHECK(server.recv(buffer, 1s).eof());
    });
    CHECK(closer.finished());
}

TEST(TlsSocket, FinishingHasADeadlineAndCanGoOn) {
    const std::size_t sent = fill(client);
    in_coroutine([&] {
        CHECK(client.finish_send(2s).timed_out());
        EvThread reader = go([&] { take(server, sent); });
        CHECK(client.finish_send(10s));
        CHECK(!reader.join(1s));
        CHECK(server.recv(buffer, 1s).eof());
    });
}

TEST(TlsSocket, AFinishedCopyHasPassedOnTheEnd) {
    SocketPair pair = unix_pair();
    EvSocket source(loop, std::move(pair.near));
    pair.far.reset();  // its end comes at once
    const std::size_t sent = fill(client);
    EvThread copier = go([&] {
        CHECK(copy_stream(source, client, 10s));
        client.close();
    });
    in_coroutine([&] {
        take(server, sent);
        CHECK(server.recv(buffer, 1s).eof());
    });
    CHECK(copier.finished());
}

TEST(TlsSocket, TheOrderlyCloseForgetsWhatStillComes) {
    EvThread closer = go([&] { CHECK(!client.close(10s)); });
    in_coroutine([&] {
        CHECK(server.send_all(std::string(100'000, 'x'), 10s));
        CHECK(server.recv(buffer, 1s).eof());
        CHECK(!closer.finished());
        CHECK(!server.close(1s));
        CHECK(!closer.join(1s));
    });
}

TEST(TlsSocket, TheOrderlyCloseHasADeadline) {
    in_coroutine([&] {
        CHECK(client.close(2s) == NetError::timed_out);
        CHECK(!client.is_open());
        CHECK(client.close(2s) == NetError::closed);
    });
}

TEST(TlsSocket, TheOrderlyCloseTellsAPeerThatJustHungUp) {
    EvThread closer = go([&] { CHECK(client.close(2s) == NetError::truncated); });
    run_ready();
    CHECK(server.try_recv(buffer).eof());
    server.abort();
    run_loop();
}

TEST(TlsSocket, ASecondReaderAndASecondWriterAreRefused) {
    fill(client);
    EvThread reader = go([&] { CHECK(client.recv(buffer, 10s).closed()); });
    EvThread writer = go([&] { CHECK(client.send_all("x", 10s).closed()); });
    run_ready();
    in_coroutine([&] {
        char byte = 0;
        iovec piece = nutils::piece_of("y");
        CHECK(client.recv({&byte, 1}, 1s).busy());
        CHECK(client.try_recv({&byte, 1}).busy());
        CHECK(client.send("y", 1s).busy());
        CHECK(client.send_all("y", 1s).busy());
        CHECK(client.send_all_v({&piece, 1}, 1s).busy());
        CHECK(client.try_send("y").busy());
        CHECK(client.sendfile_all(0, 0, 1, 1s).busy());
        CHECK(client.close(1s) == NetError::busy);
        client.close();
    });
}

TEST(TlsSocket, ClosingWakesWhoWaits) {
    fill(client);
    EvThread reader = go([&] { CHECK(client.recv(buffer, 10s).closed()); });
    EvThread writer = go([&] { CHECK(client.send_all("x", 10s).closed()); });
    run_ready();
    CHECK(!reader.finished() && !writer.finished());
    client.close();
    client.close();
    run_ready();
    CHECK(reader.finished() && writer.finished());
}

TEST(TlsSocket, MayBeDestroyedUnderThoseWhoWait) {
    auto owner = std::make_unique<TlsSocket>(std::move(client));
    fill(*owner);
    TlsSocket* const socket = owner.get();
    go([&, socket] { CHECK(socket->recv(buffer, 10s).closed()); });
    go([&, socket] { CHECK(socket->send_all("x", 10s).closed()); });
    run_ready();
    owner.reset();
    run_loop();
}

TEST(TlsSocket, ACanceledCoroutineMovesNothing) {
    fill(client);
    EvThread reader = go([&] {
        CHECK(client.recv(buffer, 10s).canceled());
        CHECK(client.recv(buffer, 10s).canceled());
    });
    EvThread writer = go([&] {
        CHECK(client.send_all("x", 10s).canceled());
        CHECK(client.send("x", 10s).canceled());
        CHECK(client.close(1s) == NetError::canceled);
    });
    run_ready();
    reader.cancel();
    writer.cancel();
    run_loop();
    CHECK(client.is_open());
}

TEST(TlsSocket, AShieldedCoroutineMaySayItsLastWords) {
    EvThread thread = go([&] {
        CHECK(server.recv(buffer, 10s).canceled());
        CancelShield shield(1s);
        CHECK(server.send_all("bye", 1s));
    });
    run_ready();
    thread.cancel();
    in_coroutine([&] { CHECK_EQUAL("bye", received(client, 1s)); });
}

TEST(TlsSocket, AWriterIsNotResumedByWhatArrives) {
    const std::size_t sent = fill(client);
    EvThread writer = go([&] { CHECK(client.send_all("the end", 10s)); });
    EvThread reader = go([&] {
        for (int i = 0; i < 10; ++i) CHECK_EQUAL("news", received(client, 10s));
    });
    run_ready();
    in_coroutine([&] {
        for (int i = 0; i < 10; ++i) {
            // Even when TLS has to answer what arrives.
            CHECK_EQUAL(1, SSL_key_update(server.native(), SSL_KEY_UPDATE_REQUESTED));
            FaultInjection faults;
            CHECK(server.send_all("news", 1s));
            const long of_the_server = faults.calls("send");
            this_evthread::yield();
            this_evthread::yield();
            CHECK_EQUAL(of_the_server, faults.calls("send"));  // the writer did not even try
            CHECK(!writer.finished());
        }
        CHECK(!reader.join(1s));
        take(server, sent);
        CHECK_EQUAL("the end", received(server, 1s));
    });
}

TEST(TlsSocket, APeerThatWantsAnswersAndTakesNoneIsLetGo) {
    fill(client);
    std::size_t got = 0;
    std::error_code end;
    EvThread reader = go([&] {
        while (!end) {
            const IoResult some = client.recv(buffer, 10s);
            got += some.bytes;
            end = some.error;
        }
    });
    in_coroutine([&] {
        for (int i = 0; i < 10'000 && !reader.finished(); ++i) {
            CHECK_EQUAL(1, SSL_key_update(server.native(), SSL_KEY_UPDATE_REQUESTED));
            CHECK(server.send_all("x", 10s));
            this_evthread::yield();
        }
    });
    CHECK_EQUAL(std::make_error_code(std::errc::no_buffer_space), end);
    CHECK(got > 1000 && got < 4000);  // answers of 27 bytes, and 64 KiB for them
    in_coroutine([&] { CHECK(client.send("x", 1s).error == std::errc::no_buffer_space); });
}

TEST(TlsSocket, AClosedOneRefusesEverything) {
    TlsSocket none;
    in_coroutine([&] {
        CHECK(!none.is_open());
        CHECK(none.recv(buffer, 1s).closed());
        CHECK(none.try_recv(buffer).closed());
        CHECK(none.send("x", 1s).closed());
        CHECK(none.send_all("x", 1s).closed());
        CHECK(none.try_send("x").closed());
        CHECK(none.shutdown_send().closed());
        CHECK(none.finish_send(1s).closed());
        CHECK(none.close(1s) == NetError::closed);
        CHECK(!none.may_recv());
        CHECK_EQUAL(-1, none.fd());
        CHECK_EQUAL("", none.info().protocol);
        CHECK_EQUAL("", none.alpn());
        none.close();
        none.abort();
    });
}

TEST(TlsSocket, MovesAlongWithWhatItHolds) {
    in_coroutine([&] {
        CHECK(client.send_all("first", 1s));
        CHECK(client.send_all("second", 1s));
        CHECK_EQUAL("first", received(server, 1s));
        TlsSocket other = std::move(server);
        CHECK_EQUAL("second", received(other, 1s));
        client = std::move(other);  // closes what it was
        CHECK(client.recv(buffer, 1s).eof());
    });
}

TEST(TlsSocket, MisuseAborts) {
    STRCMP_CONTAINS("into an empty buffer",
                    abort_message([&] { in_coroutine([&] { (void)client.recv({}, 1s); }); }).c_str());
    STRCMP_CONTAINS("must be called in a coroutine",
                    abort_message([&] { (void)client.recv(buffer, 1s); }).c_str());
}
