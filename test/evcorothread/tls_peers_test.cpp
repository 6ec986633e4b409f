// Other people's TLS: the openssl program and curl as clients of ours.
#include <openssl/ssl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "test/evcorothread/tls_fixture.h"

using namespace test_support;

namespace {

// A shell command whose input and output are a conversation.
class Program {
  public:
    Program(EvLoop& loop, const std::string& command) {
        SocketPair pair = unix_pair();
        pipe_ = EvSocket(loop, std::move(pair.near));
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        for (const int fd : {0, 1, 2}) ::posix_spawn_file_actions_adddup2(&actions, pair.far.get(), fd);
        const char* const arguments[] = {"sh", "-c", command.c_str(), nullptr};
        CHECK_EQUAL(0, ::posix_spawn(&pid_, "/bin/sh", &actions, nullptr, const_cast<char* const*>(arguments),
                                     environ));
        ::posix_spawn_file_actions_destroy(&actions);
    }
    ~Program() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    void say(const std::string& text) { CHECK(pipe_.send_all(text, 10s)); }
    // Reads until it has said `text`, behind what was expected before.
    void expect(const std::string& text) {
        std::size_t at = 0;
        while ((at = said.find(text, seen_)) == std::string::npos) {
            const std::string more = received(pipe_, 20s);
            if (more.starts_with('<')) FAIL(("it never said " + text + " but: " + said + more).c_str());
            said += more;
        }
        seen_ = at + text.size();
    }
    // Ends its input, and waits for its end; all that it has said.
    std::string finish() {
        (void)pipe_.shutdown_send();
        for (char buffer[4096];;) {
            const IoResult got = pipe_.recv(buffer, 20s);
            if (!got) break;
            said.append(buffer, got.bytes);
        }
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
        return said;
    }

    std::string said;

  private:
    EvSocket pipe_;
    pid_t pid_ = 0;
    std::size_t seen_ = 0;
};

}  // namespace

TEST_GROUP_BASE(TlsPeers, RealTimeTlsFixture) {
    LogCapture log;
    std::string last_error;
    std::string variables;

    // Serves echoes while `f` runs.
    template <class F>
    void beside_an_echo(F f) {
        TlsContext context = TlsContext::server(server_options).value();
        auto acceptor = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket plain) {
                            auto socket = TlsSocket::accept(std::move(plain), context, 10s);
                            if (!socket) {
                                last_error = socket.error().message();
                                return;
                            }
                            char buffer[4096];
                            while (const IoResult got = socket->recv(buffer, 10s))
                                if (!socket->send_all({buffer, got.bytes}, 10s)) break;
                        }).value();
        variables = "PORT=" + std::to_string(acceptor.local_address().port()) + " CA=" + authority.file() +
                    " DIR=" + folder.path() + "; ";
        in_coroutine([&] {
            f();
            acceptor.close();
        });
    }
    [[nodiscard]] std::string s_client(const std::string& arguments) const {
        return variables +
               "exec openssl s_client -connect 127.0.0.1:$PORT -servername localhost -CAfile $CA " +
               arguments;
    }
    // s_client says hello, hears it, and goes; all that it has said.
    std::string greeted_by(const std::string& arguments) {
        std::string said;
        beside_an_echo([&] {
            Program program(loop, s_client(arguments));
            program.say("hello\n");
            program.expect("\nhello\n");
            said = program.finish();
        });
        return said;
    }
    // s_client does not get as far as that.
    std::string refused(const std::string& arguments) {
        std::string said;
        beside_an_echo([&] { said = Program(loop, s_client(arguments)).finish(); });
        return said;
    }
};

TEST(TlsPeers, OpensslTalksToUs) {
    const std::string said = greeted_by("-verify_return_error");
    STRCMP_CONTAINS("Verify return code: 0 (ok)", said.c_str());
    STRCMP_CONTAINS("TLSv1.3", said.c_str());
}

TEST(TlsPeers, OpensslTalksTls12ToUs) {
    const std::string said = greeted_by("-tls1_2 -verify_return_error");
    STRCMP_CONTAINS("ECDHE-ECDSA-AES128-GCM-SHA256", said.c_str());
    STRCMP_CONTAINS("Secure Renegotiation IS supported", said.c_str());
    STRCMP_CONTAINS("Compression: NONE", said.c_str());
}

TEST(TlsPeers, OpensslGetsNothingOlder) {
    STRCMP_CONTAINS("alert protocol version", refused("-tls1_1 -cipher DEFAULT@SECLEVEL=0").c_str());
    STRCMP_CONTAINS("unsupported protocol", last_error.c_str());
}

TEST(TlsPeers, OpensslGetsNoWeakCipher) {
    STRCMP_CONTAINS("alert handshake failure",
                    refused("-tls1_2 -cipher AES128-SHA:ECDHE-ECDSA-AES128-SHA").c_str());
    STRCMP_CONTAINS("no shared cipher", last_error.c_str());
}

TEST(TlsPeers, OpensslUpdatesKeys) {
    beside_an_echo([&] {
        Program program(loop, s_client("-tls1_3"));
        for (int i = 0; i < 3; ++i) {
            program.say("hello\n");
            program.expect("\nhello\n");
            program.say("K\n");  // and wants ours renewed, too
            program.expect("KEYUPDATE");
            program.say("again\n");
            program.expect("\nagain\n");
            program.say("k\n");  // only its own
            program.expect("KEYUPDATE");
        }
        program.say("bye\n");
        program.expect("\nbye\n");
        (void)program.finish();
    });
    CHECK_EQUAL("", last_error);
}

TEST(TlsPeers, OpensslMayNotRenegotiate) {
    beside_an_echo([&] {
        Program program(loop, s_client("-tls1_2"));
        program.say("hello\n");
        program.expect("\nhello\n");
        program.say("R\n");
        program.expect("RENEGOTIATING");
        program.expect("no renegotiation");
    });
}

TEST(TlsPeers, OpensslResumes) {
    for (const char* const version : {"-tls1_3", "-tls1_2"}) {
        // Its first session is sealed by a server that has gone meanwhile: so all of it in one go.
        beside_an_echo([&] {
            for (const std::string& session : {std::string("-sess_out"), std::string("-sess_in")}) {
                Program program(loop, s_client(std::string(version) + " " + session + " $DIR/session"));
                program.say("hello\n");
                program.expect(session == "-sess_in" ? "Reused, TLSv1" : "New, TLSv1");
                program.expect("\nhello\n");
                (void)program.finish();
            }
        });
    }
}

TEST(TlsPeers, OpensslAgreesOnAProtocol) {
    server_options.alpn = {"h2", "http/1.1"};
    STRCMP_CONTAINS("ALPN protocol: h2", greeted_by("-alpn http/1.1,h2").c_str());
}

TEST(TlsPeers, OpensslShowsItsCertificate) {
    (void)authority.issue("ada");
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    STRCMP_CONTAINS("Acceptable client certificate CA names\nCN = authority",
                    greeted_by("-cert $DIR/ada.pem -key $DIR/ada.key").c_str());
}

TEST(TlsPeers, OpensslIsToldWhyItIsRefused) {
    (void)Authority(folder, "stranger").issue("eve");
    server_options.client_auth = TlsClientAuth::required;
    server_options.client_ca_file = authority.file();
    const auto heard = [&](const std::string& arguments, const std::string& words) {
        beside_an_echo([&] { Program(loop, s_client(arguments)).expect(words); });
    };
    heard("", "alert certificate required");
    STRCMP_CONTAINS("peer did not return a certificate", last_error.c_str());
    heard("-cert $DIR/eve.pem -key $DIR/eve.key", "alert unknown ca");
    STRCMP_CONTAINS("unable to get local issuer certificate", last_error.c_str());
}

TEST(TlsPeers, CurlSpeaksPlainHttp) {
    beside_an_echo(
        [&] { (void)Program(loop, variables + "curl -s -m 10 http://127.0.0.1:$PORT/").finish(); });
    STRCMP_CONTAINS("http request", last_error.c_str());
    STRCMP_CONTAINS("127.0.0.1:", log.text().c_str());
    STRCMP_CONTAINS("spoke plain HTTP to a TLS port", log.text().c_str());
}

TEST(TlsPeers, CurlVerifiesUs) {
    beside_an_echo([&] {
        // What it gets back is its own request.
        Program trusting(
            loop, variables + "exec curl -s -S -N -m 20 --http0.9 --cacert $CA https://127.0.0.1:$PORT/path");
        trusting.expect("GET /path HTTP/1.1");
        Program suspicious(loop, variables + "exec curl -s -S -m 20 https://127.0.0.1:$PORT/");
        suspicious.expect("SSL certificate problem");
    });
}
