// The greet server over TLS (tutorial/greet/step8, and step8_c): the openssl program and TlsSocket as its
// clients.
#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "test/evcorothread/tls_fixture.h"
#include "test/tutorial/program.h"

using namespace test_support;
using tutorial_test::Program;

namespace {

const std::string kQuestion = "What's your name?\n";
const std::string kTooSlow = "I cannot wait any longer. Bye!\n";

// Seconds in which a handshake is done, by far.
std::string little_patience() { return under_valgrind() ? "5" : "0.3"; }

class Server {
  public:
    Server(const std::string& step, const TlsCertificate& certificate, const std::string& patience = "10")
        : program(step, {certificate.chain_file, certificate.key_file, "127.0.0.1:0", patience}) {
        const std::string said = "greet: listening on 127.0.0.1:";
        const std::string line = program.read_line();
        CHECK_EQUAL(said, line.substr(0, said.size()));
        port = static_cast<std::uint16_t>(std::atoi(line.substr(said.size()).c_str()));
    }
    void ends() {
        ::kill(program.pid(), SIGTERM);
        CHECK_EQUAL(0, program.wait());
    }

    Program program;
    std::uint16_t port = 0;
};

std::string shell(const std::string& command) {
    Program program("/bin/sh", {"-c", command});
    return program.read_all();
}

}  // namespace

TEST_GROUP_BASE(TutorialGreetTls, RealTimeTlsFixture) {
    std::string step;
    TlsCertificate certificate;

    // The test is for the program in C++ and the one in C alike; each begins with the old certificate.
    template <class F>
    void for_both(F && test) {
        for (const char* const each : {"greet/step8", "greet/step8_c"}) {
            step = each;
            certificate = authority.issue("server", {.hosts = "DNS:localhost,IP:127.0.0.1"});
            test();
        }
    }

    [[nodiscard]] EvSocket plain(const Server& server) {
        return EvSocket::connect(loop, SockAddr::loopback(server.port), 10s).value();
    }
    [[nodiscard]] TlsSocket client(const Server& server) {
        const TlsContext context = TlsContext::client(client_options).value();
        return TlsSocket::connect(plain(server), context, "localhost", 10s).value();
    }
    // Everything up to the end, and how that was said.
    static std::string all_of(nutils::ByteStream & socket) {
        std::string all;
        for (char buffer[4096];;) {
            const IoResult got = socket.recv(buffer, 20s);
            if (!got) return all.append("<").append(got.error.message()).append(">");
            all.append(buffer, got.bytes);
        }
    }
    static void is_greeted(TlsSocket & socket, const std::string& name) {
        CHECK(socket.send_all(name + "\n", 10s));
        CHECK_EQUAL(kQuestion + "Hello, " + name + "!\n" + end(), all_of(socket));
    }
    // Said goodbye to, not cut off.
    static std::string end() {
        return std::string("<").append(std::error_code(NetError::eof).message()).append(">");
    }
    void is_greeted(const Server& server) {
        in_coroutine([&] {
            TlsSocket socket = client(server);
            is_greeted(socket, "Zoe");
        });
    }
    // What s_client hears, trusting nobody but `ca`.
    static std::string s_client(const Server& server, const std::string& name, const std::string& ca) {
        return shell("printf '" + name +
                     "\\n' | timeout 20 openssl s_client -quiet -verify_return_error -CAfile " + ca +
                     " -connect 127.0.0.1:" + std::to_string(server.port) + " 2>/dev/null");
    }
    void now_is(const TlsCertificate& other) const {
        CHECK_EQUAL(0, std::rename(other.chain_file.c_str(), certificate.chain_file.c_str()));
        CHECK_EQUAL(0, std::rename(other.key_file.c_str(), certificate.key_file.c_str()));
    }
    static void reloads(Server & server, const std::string& line) {
        ::kill(server.program.pid(), SIGHUP);
        for (std::string said; (said = server.program.read_line()) != "";)
            if (said.starts_with("greet: ")) {
                CHECK_EQUAL(line, said.substr(0, line.size()));
                return;
            }
        FAIL("it said nothing");
    }
};

TEST(TutorialGreetTls, TheOpensslProgramIsGreeted) {
    for_both([&] {
        Server server(step, certificate);
        CHECK_EQUAL(kQuestion + "Hello, Bob!\n", s_client(server, "Bob", authority.file()));
        CHECK_EQUAL("", s_client(server, "Eve", Authority(folder, "stranger").file()));
        CHECK_EQUAL(kQuestion + "Hello, Ann!\n", s_client(server, "Ann", authority.file()));
        server.ends();
    });
}

TEST(TutorialGreetTls, ClientsAreGreetedAndHearGoodbye) {
    for_both([&] {
        Server server(step, certificate);
        is_greeted(server);
        in_coroutine([&] {
            TlsSocket silent = client(server);
            TlsSocket talking = client(server);
            is_greeted(talking, "Ann");
            is_greeted(silent, "Bob");
        });
        server.ends();
    });
}

TEST(TutorialGreetTls, WithoutACertificateItSaysHowToMakeOneAndThatWorks) {
    for_both([&] {
        Program useless(step);
        CHECK_EQUAL(2, useless.wait());
        const std::string words = useless.read_errors();
        const std::size_t recipe = words.find("openssl req -x509");
        CHECK(recipe != std::string::npos);
        (void)shell("cd " + folder.path() + " && " + words.substr(recipe) + " 2>/dev/null");
        const TlsCertificate made{folder.file("cert.pem"), folder.file("key.pem")};
        Server server(step, made);
        CHECK_EQUAL(kQuestion + "Hello, Bob!\n", s_client(server, "Bob", made.chain_file));
        server.ends();
    });
}

TEST(TutorialGreetTls, AFileThatIsNotThereIsNamed) {
    for_both([&] {
        Program program(step, {certificate.chain_file, "/no/such/key.pem"});
        CHECK_EQUAL(1, program.wait());
        const std::string words = program.read_errors();
        STRCMP_CONTAINS("/no/such/key.pem", words.c_str());
        STRCMP_CONTAINS("No such file", words.c_str());
    });
}

TEST(TutorialGreetTls, AHangupBringsTheNewCertificateToWhoComesThen) {
    for_both([&] {
        Server server(step, certificate);
        in_coroutine([&] {
            TlsSocket before = client(server);
            CHECK_EQUAL("CN=server", before.info().peer_subject);
            now_is(authority.issue("renewed", {.hosts = "DNS:localhost"}));
            reloads(server, "greet: new certificate");
            TlsSocket after = client(server);
            CHECK_EQUAL("CN=renewed", after.info().peer_subject);
            is_greeted(before, "Ann");
            is_greeted(after, "Bob");
        });
        server.ends();
    });
}

TEST(TutorialGreetTls, AKeyOfAnotherCertificateLeavesTheOldOne) {
    for_both([&] {
        Server server(step, certificate);
        now_is({authority.issue("renewed").chain_file, authority.issue("other").key_file});
        reloads(server, "greet: the old certificate stays: ");
        in_coroutine([&] {
            TlsSocket socket = client(server);
            CHECK_EQUAL("CN=server", socket.info().peer_subject);
            is_greeted(socket, "Bob");
        });
        server.ends();
    });
}

TEST(TutorialGreetTls, PlainTextIsRefusedWithALine) {
    for_both([&] {
        Server server(step, certificate);
        in_coroutine([&] {
            EvSocket socket = plain(server);
            CHECK(socket.send_all("GET / HTTP/1.1\r\n\r\n", 10s));
            CHECK_FALSE(all_of(socket).find("What's your name") != std::string::npos);
        });
        STRCMP_CONTAINS("spoke plain HTTP to a TLS port", server.program.read_error_line().c_str());
        STRCMP_CONTAINS("greet: TLS handshake with 127.0.0.1:", server.program.read_error_line().c_str());
        is_greeted(server);
        server.ends();
    });
}

TEST(TutorialGreetTls, ASilentHandshakeTimesOut) {
    for_both([&] {
        Server server(step, certificate, little_patience());
        in_coroutine([&] {
            EvSocket socket = plain(server);
            const TimePoint begin = loop.precise_now();
            CHECK_EQUAL(end(), all_of(socket));
            CHECK(loop.precise_now() - begin >= 290ms);
        });
        STRCMP_CONTAINS("deadline passed", server.program.read_error_line().c_str());
        CHECK_EQUAL("connections: 1 in all, 1 active, 0 failed", server.program.read_line());
        CHECK_EQUAL("connections: 1 in all, 0 active, 1 failed", server.program.read_line());
        is_greeted(server);
        server.ends();
    });
}

TEST(TutorialGreetTls, ThoseWhoSayNothingInsideAreDroppedInWords) {
    for_both([&] {
        Server server(step, certificate, little_patience());
        in_coroutine([&] {
            TlsSocket socket = client(server);
            CHECK_EQUAL(kQuestion + kTooSlow + end(), all_of(socket));
        });
        server.ends();
    });
}

TEST(TutorialGreetTls, ASignalEndsItAfterTheConversationsInFlight) {
    for_both([&] {
        Server server(step, certificate);
        in_coroutine([&] {
            TlsSocket socket = client(server);
            CHECK_EQUAL(kQuestion, received(socket, 10s));
            ::kill(server.program.pid(), SIGTERM);
            CHECK(socket.send_all("Bob\n", 10s));
            CHECK_EQUAL("Hello, Bob!\n" + end(), all_of(socket));
        });
        CHECK_EQUAL(0, server.program.wait());
    });
}
