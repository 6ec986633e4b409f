// The log relay (tutorial/logrelay), between datagrams of ours and TLS clients of ours.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <list>
#include <string>
#include <vector>

#include "test/evcorothread/tls_fixture.h"
#include "test/support/sanitizers.h"
#include "test/tutorial/program.h"

using namespace test_support;
using tutorial_test::Program;

namespace {

// The relay as a process, and who sends it datagrams.
class Relay {
  public:
    Relay(const TlsCertificate& certificate, const std::string& ca, const std::vector<std::string>& more)
        : program("logrelay/logrelay", arguments(certificate, ca, more)) {
        const std::string line = program.read_line();
        unsigned udp_port = 0;
        unsigned tls_port = 0;
        CHECK_EQUAL(2, std::sscanf(line.c_str(), "logrelay: datagrams at 127.0.0.1:%u, TLS at 127.0.0.1:%u",
                                   &udp_port, &tls_port));
        tls = SockAddr::loopback(static_cast<std::uint16_t>(tls_port));
        const SockAddr udp = SockAddr::loopback(static_cast<std::uint16_t>(udp_port));
        sender_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        CHECK_EQUAL(0, ::connect(sender_.get(), udp.data(), udp.size()));
    }

    void gets(std::string_view datagram) const {
        CHECK_EQUAL(static_cast<ssize_t>(datagram.size()),
                    ::send(sender_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL));
    }
    // Reads what it logs up to a line with this in it, which is returned.
    std::string logs(const std::string& what) {
        for (std::string line; !(line = program.read_error_line()).empty();)
            if (line.find(what) != std::string::npos) return line;
        FAIL(("it never logged: " + what).c_str());
        return {};
    }
    [[nodiscard]] long resident_kib() const {
        std::ifstream status("/proc/" + std::to_string(program.pid()) + "/status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
        FAIL("it has no memory");
        return 0;
    }
    void signal(int number) const { ::kill(program.pid(), number); }
    void ends() {
        signal(SIGTERM);
        CHECK_EQUAL(0, program.wait());
    }

    Program program;
    SockAddr tls;

  private:
    static std::vector<std::string> arguments(const TlsCertificate& certificate, const std::string& ca,
                                              const std::vector<std::string>& more) {
        std::vector<std::string> all{"--udp", "127.0.0.1:0", "--tls", "127.0.0.1:0", "--ca", ca};
        all.insert(all.end(), {"--cert", certificate.chain_file, "--key", certificate.key_file});
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    UniqueFd sender_;
};

std::string in_words(const std::error_code& error) {
    return std::string("<").append(error.message()).append(">");
}

// Who receives what the relay sends.
class Reader {
  public:
    explicit Reader(TlsSocket its_socket) : socket(std::move(its_socket)) {}

    // The next line, or the reason why there is none.
    std::string line(Deadline deadline = 20s) {
        const IoResult got = socket.recv_until(input_, "\n", 100'000, deadline);
        if (!got) return in_words(got.error);
        std::string text(input_.readable().substr(0, got.bytes - 1));
        input_.consume(got.bytes);
        return text;
    }

    TlsSocket socket;

  private:
    nutils::ByteBuffer input_{200'000};
};

// 300 bytes.
std::string numbered(int number) {
    std::string line = "<13>line " + std::to_string(number) + " ";
    line.append(300 - line.size(), static_cast<char>('a' + number % 26));
    return line;
}

const std::string kEnd = in_words(NetError::eof);

}  // namespace

TEST_GROUP_BASE(LogRelay, RealTimeTlsFixture) {
    TlsCertificate certificate = server_options.certificates[0];
    std::string ca = authority.file();
    TlsCertificate ada = authority.issue("ada");

    [[nodiscard]] Relay relay(const std::vector<std::string>& more = {}) const {
        return Relay(certificate, ca, more);
    }
    cutils::Result<TlsSocket> connected(const Relay& relay, const TlsCertificate& mine,
                                        int recv_buffer = -1) {
        client_options.certificate = mine;
        const TlsContext context = TlsContext::client(client_options).value();
        auto plain = EvSocket::connect(loop, relay.tls, {.recv_buffer = recv_buffer}, 20s);
        return TlsSocket::connect(std::move(plain).value(), context, "localhost", 20s);
    }
    // One that the relay has let in, so that it gets what is sent from now on.
    Reader reader(Relay & relay, int recv_buffer = -1) {
        Reader made(connected(relay, ada, recv_buffer).value());
        (void)relay.logs("CN=ada at 127.0.0.1:" + std::to_string(made.socket.local().value().port()) +
                         " is here");
        return made;
    }
    // Sends lines so that no buffer of the kernel loses any: `witness` reads them as they come.
    static void sends_lines(const Relay& relay, int from, int to, Reader& witness, int at_once = 50) {
        for (int begin = from; begin < to; begin += at_once) {
            const int end = std::min(begin + at_once, to);
            for (int i = begin; i < end; ++i) relay.gets(numbered(i));
            for (int i = begin; i < end; ++i) CHECK_EQUAL(numbered(i), witness.line());
        }
    }
    // Why a client with this certificate, or none, is not let in: the relay's words, and the client's.
    struct Refusal {
        std::string relay, client;
    };
    Refusal refusal(Relay & relay, const TlsCertificate& mine) {
        Refusal refusal;
        in_coroutine([&] {
            auto socket = connected(relay, mine);
            // In TLS 1.3 a client has shaken hands before it hears what the server thinks of it.
            refusal.client = socket ? Reader(std::move(*socket)).line() : socket.error().message();
        });
        refusal.relay = relay.logs("refused");
        return refusal;
    }
};

TEST(LogRelay, EveryClientGetsEveryLineInOrder) {
    Relay one = relay();
    in_coroutine([&] {
        std::list<Reader> readers;
        for (int i = 0; i < 30; ++i) readers.push_back(reader(one));
        sends_lines(one, 0, 200, readers.front());
        for (Reader& each : readers) {
            if (&each == &readers.front()) continue;
            for (int i = 0; i < 200; ++i) CHECK_EQUAL(numbered(i), each.line());
        }
    });
    one.ends();
}

TEST(LogRelay, WhoComesLaterGetsWhatComesLater) {
    Relay one = relay();
    in_coroutine([&] {
        Reader first = reader(one);
        sends_lines(one, 0, 10, first);
        Reader second = reader(one);
        sends_lines(one, 10, 20, first);
        for (int i = 10; i < 20; ++i) CHECK_EQUAL(numbered(i), second.line());
    });
    one.ends();
}

// The published bug: a line that arrives while a client's coroutine waits in a TLS write.
TEST(LogRelay, ABurstAgainstAClientThatDoesNotReadForTwoSecondsLosesNothing) {
    Relay one = relay({"--patience", "30"});
    in_coroutine([&] {
        Reader quick = reader(one);
        Reader slow = reader(one, 4096);
        sends_lines(one, 0, 50, quick);  // what is needed once is there
        for (int i = 0; i < 50; ++i) CHECK_EQUAL(numbered(i), slow.line());
        const long before = one.resident_kib();
        const TimePoint begin = loop.precise_now();
        sends_lines(one, 0, 500, quick);
        CHECK(loop.precise_now() - begin < 2s);  // the slow one has delayed nobody
        if (!is_watched()) CHECK(one.resident_kib() - before < 2048);
        CHECK(!this_evthread::delay(begin + 2s));
        for (int i = 0; i < 500; ++i) CHECK_EQUAL(numbered(i), slow.line());
        sends_lines(one, 500, 600, quick);
        for (int i = 500; i < 600; ++i) CHECK_EQUAL(numbered(i), slow.line());
    });
    one.ends();
}

// The same with a queue that is too short for it: so the socket's buffers alone do not hold that burst, and
// the test above is one of a coroutine that waits.
TEST(LogRelay, WhatAQueueHasNoRoomForIsToldWhereItIsMissing) {
    Relay one = relay({"--patience", "30", "--queue", "60"});
    in_coroutine([&] {
        Reader quick = reader(one);
        Reader slow = reader(one, 4096);
        sends_lines(one, 0, 500, quick);
        int next = 0;
        int gaps = 0;
        while (next < 500) {
            const std::string line = slow.line();
            int lost = 0;
            if (std::sscanf(line.c_str(), "[logrelay: %d lines lost here]", &lost) == 1) {
                CHECK(lost > 0);
                ++gaps;
                next += lost;
            } else {
                CHECK_EQUAL(numbered(next), line);
                ++next;
            }
        }
        CHECK(gaps > 0);
    });
    one.ends();
}

TEST(LogRelay, WhoNeverReadsIsDroppedWhileOthersGoOn) {
    Relay one = relay({"--patience", "0.3", "--queue", "10"});
    in_coroutine([&] {
        Reader quick = reader(one);
        Reader never = reader(one, 4096);
        int sent = 0;
        const TimePoint limit = loop.precise_now() + 20s;
        for (; !one.program.has_errors(); sent += 5) {
            CHECK(loop.precise_now() < limit);
            sends_lines(one, sent, sent + 5, quick, 5);
        }
        const std::string line = one.logs("is dropped");
        STRCMP_CONTAINS("CN=ada at 127.0.0.1:", line.c_str());
        STRCMP_CONTAINS("its queue of 10 lines has been full for 0.3", line.c_str());
        sends_lines(one, sent, sent + 100, quick, 5);
        // It finds what was under way, then that this was not all.
        std::string last;
        for (int i = 0; (last = never.line()) == numbered(i); ++i) continue;
        CHECK(last == in_words(NetError::truncated) ||
              last == in_words(std::make_error_code(std::errc::connection_reset)));
    });
    one.ends();
}

// Its queue is full time and again, long enough to be noticed, but not all the time.
TEST(LogRelay, WhoCatchesUpIsNotDropped) {
    Relay one = relay({"--patience", "1", "--queue", "60"});
    in_coroutine([&] {
        Reader quick = reader(one);
        Reader bursty = reader(one, 4096);
        int gaps = 0;
        for (int round = 0; round < 16; ++round) {
            sends_lines(one, 0, 500, quick);
            CHECK(!this_evthread::delay(80ms));
            for (std::string line; line != numbered(499);) {
                line = bursty.line();
                CHECK(!line.starts_with("<") || line.starts_with("<13>"));
                if (line.starts_with("[logrelay")) ++gaps;
            }
        }
        CHECK(gaps >= 16);
        CHECK_FALSE(one.program.has_errors());
    });
    one.ends();
}

TEST(LogRelay, ACertificateOfAnotherIssuerIsRefusedWithWords) {
    Relay one = relay();
    const Refusal eve = refusal(one, Authority(folder, "stranger").issue("eve"));
    STRCMP_CONTAINS("127.0.0.1:", eve.relay.c_str());
    STRCMP_CONTAINS("unable to get local issuer certificate", eve.relay.c_str());
    STRCMP_CONTAINS("unknown ca", eve.client.c_str());
    one.ends();
}

TEST(LogRelay, AnExpiredCertificateIsRefusedWithWords) {
    const LogCapture log;  // we load it, too, and say so
    Relay one = relay();
    const Refusal old = refusal(one, authority.issue("old", {.begins = -7200, .ends = -3600}));
    STRCMP_CONTAINS("certificate has expired", old.relay.c_str());
    STRCMP_CONTAINS("certificate expired", old.client.c_str());
    one.ends();
}

TEST(LogRelay, NoCertificateIsRefusedWithWords) {
    Relay one = relay();
    const Refusal nobody = refusal(one, {});
    STRCMP_CONTAINS("peer did not return a certificate", nobody.relay.c_str());
    STRCMP_CONTAINS("certificate required", nobody.client.c_str());
    one.ends();
}

TEST(LogRelay, TheOpensslProgramIsAClientToo) {
    Relay one = relay();
    const std::string command = "exec timeout 20 openssl s_client -quiet -verify_return_error -CAfile " + ca +
                                " -cert " + ada.chain_file + " -key " + ada.key_file +
                                " -connect 127.0.0.1:" + std::to_string(one.tls.port()) + " 2>/dev/null";
    Program s_client("/bin/sh", {"-c", command});
    (void)one.logs("is here");
    one.gets("hello\n");
    CHECK_EQUAL("hello", s_client.read_line());
    one.ends();
    CHECK_EQUAL(0, s_client.wait());
}

TEST(LogRelay, ADatagramIsALineWhateverIsInIt) {
    Relay one = relay();
    in_coroutine([&] {
        Reader client = reader(one);
        for (const std::string_view nothing : {"", "\n", "\r\n"}) one.gets(nothing);
        one.gets(std::string_view("\0", 1));
        one.gets("two\nlines\n");
        CHECK_EQUAL("two\\x0alines", client.line());
        one.gets(std::string_view("\x1b[2J\0 tab\t \x7f\r\n", 15));
        CHECK_EQUAL("\\x1b[2J\\x00 tab\t \\x7f", client.line());
        one.gets(
            "gr\xc3\xbc\xc3\x9f"
            "e \xff\xfe");
        CHECK_EQUAL(
            "gr\xc3\xbc\xc3\x9f"
            "e \xff\xfe",
            client.line());
        one.gets(std::string(2048, 'x'));
        CHECK_EQUAL(std::string(2048, 'x'), client.line());
        for (const std::size_t size : {2049U, 60'000U}) {
            one.gets(std::string(size, 'y'));
            CHECK_EQUAL(std::string(2048, 'y') + " [cut: it had " + std::to_string(size) + " bytes]",
                        client.line());
        }
        one.gets(std::string(2048, '\x01'));
        CHECK_EQUAL(4U * 2048U, client.line().size());
    });
    one.ends();
}

TEST(LogRelay, AFloodDoesNotGrowItsMemory) {
    Relay one = relay({"--patience", "60", "--queue", "500"});
    in_coroutine([&] {
        Reader never = reader(one, 4096);
        const auto flood = [&] {
            for (int i = 0; i < (is_watched() ? 2'000 : 20'000); ++i) one.gets(numbered(i % 1000));
            Reader later = reader(one);  // it has not gone under, nor is it deaf
            // The flood's last datagrams may still be on their way to it, or lose it this one.
            for (std::string line;; line = later.line(100ms)) {
                if (line == "marker") break;
                if (line == in_words(NetError::timed_out) || line.empty()) one.gets("marker");
            }
        };
        flood();
        const long before = one.resident_kib();
        for (int i = 0; i < 3; ++i) flood();
        if (!is_watched()) CHECK(one.resident_kib() - before < 1024);
    });
    one.ends();
}

TEST(LogRelay, ClientsMayTalkAndLeave) {
    Relay one = relay();
    in_coroutine([&] {
        Reader stays = reader(one);
        Reader talks = reader(one);
        CHECK(talks.socket.send_all(std::string(1'000'000, 'x'), 20s));
        sends_lines(one, 0, 100, stays);
        for (int i = 0; i < 100; ++i) CHECK_EQUAL(numbered(i), talks.line());
        talks.socket.close();
        (void)one.logs("is gone");
        Reader cut = reader(one);
        cut.socket.abort();
        (void)one.logs("is gone");
        sends_lines(one, 100, 200, stays);
    });
    one.ends();
}

TEST(LogRelay, ASignalEndsItWhenEverybodyHasEverything) {
    Relay one = relay({"--patience", "20"});
    in_coroutine([&] {
        Reader quick = reader(one);
        Reader slow = reader(one, 4096);
        sends_lines(one, 0, 600, quick);
        one.signal(SIGTERM);
        CHECK_EQUAL(kEnd, quick.line());
        for (int i = 0; i < 600; ++i) CHECK_EQUAL(numbered(i), slow.line());
        CHECK_EQUAL(kEnd, slow.line());
    });
    CHECK_EQUAL(0, one.program.wait());
}

TEST(LogRelay, ASignalEndsItAlthoughSomebodyDoesNotRead) {
    Relay one = relay({"--patience", "0.5"});
    in_coroutine([&] {
        Reader quick = reader(one);
        Reader never = reader(one, 4096);
        EvSocket silent = EvSocket::connect(loop, one.tls, 20s).value();  // in the middle of its handshake
        sends_lines(one, 0, 600, quick);
        one.signal(SIGTERM);
        CHECK_EQUAL(kEnd, quick.line());
        STRCMP_CONTAINS("did not take everything in time", one.logs("ends with").c_str());
        CHECK_EQUAL(0, one.program.wait());
    });
}

TEST(LogRelay, AHangupReadsTheIssuersAgain) {
    // Not the file by which we ourselves know the relay.
    ca = folder.file("issuers.pem");
    CHECK_EQUAL(0, ::link(authority.file().c_str(), ca.c_str()));
    Relay one = relay();
    const Authority other(folder, "other");
    const TlsCertificate bob = other.issue("bob");
    in_coroutine([&] {
        Reader before = reader(one);
        CHECK_EQUAL(0, std::rename(other.file().c_str(), ca.c_str()));
        one.signal(SIGHUP);
        (void)one.logs("new certificates");
        auto after = connected(one, bob);
        CHECK(after.ok());
        (void)one.logs("CN=bob at ");
        sends_lines(one, 0, 10, before);
        Reader again(std::move(*after));
        for (int i = 0; i < 10; ++i) CHECK_EQUAL(numbered(i), again.line());
    });
    one.ends();
}

TEST(LogRelay, SaysHowItIsCalledAndWhatIsWrong) {
    for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
             {}, {"--queue", "0"}, {"--patience", "x"}, {"--udp", "nonsense"}, {"--what"}, {"more"}}) {
        std::vector<std::string> all = wrong;
        if (!all.empty())
            all.insert(all.end(),
                       {"--ca", ca, "--cert", certificate.chain_file, "--key", certificate.key_file});
        Program program("logrelay/logrelay", all);
        CHECK_EQUAL(2, program.wait());
        STRCMP_CONTAINS("usage: logrelay", program.read_errors().c_str());
    }
    Program program("logrelay/logrelay",
                    {"--ca", "/no/such/ca.pem", "--cert", certificate.chain_file, "--key",
                     certificate.key_file, "--udp", "127.0.0.1:0", "--tls", "127.0.0.1:0"});
    CHECK_EQUAL(1, program.wait());
    STRCMP_CONTAINS("/no/such/ca.pem", program.read_errors().c_str());
}
