// The program over HTTPS, and curl as its client where there is one.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "test/evcorothread/tls_certificates.h"
#include "test/support/temp_dir.h"
#include "test/webby/program.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;
using namespace std::chrono_literals;

namespace {

// What a shell command prints, both streams. Bounded by timeout(1) in the command.
std::string output_of(const std::string& command) {
    struct Close {
        void operator()(FILE* pipe) const { ::pclose(pipe); }
    };
    const std::unique_ptr<FILE, Close> pipe(::popen((command + " 2>&1").c_str(), "re"));
    std::string text;
    char buffer[1000];
    std::size_t got = 0;
    while (pipe != nullptr && (got = std::fread(buffer, 1, sizeof buffer, pipe.get())) > 0)
        text.append(buffer, got);
    return text;
}

bool curl_is_there() { return output_of("curl --version").find("https") != std::string::npos; }

}  // namespace

TEST_GROUP_BASE(TlsProgram, test_support::Fixture) {
    TempFolder folder;
    test_support::TempDir papers;
    test_support::Authority authority{papers, "authority"};
    evcorothread::TlsCertificate files = authority.issue("server", {.hosts = "DNS:localhost,IP:127.0.0.1"});
    std::vector<std::string> usual{"--listen-tls", "127.0.0.1:0",  "--tls-cert", files.chain_file,
                                   "--tls-key",    files.key_file, "--root",     folder.path()};

    void setup() override { folder.write("index.html", "<h1>home</h1>"); }
    std::string curl(const std::string& line, const std::string& options, const std::string& path = "/") {
        return output_of("timeout 20 curl -sS " + options + " https://" + address_in(line).to_string() +
                         path);
    }
    std::string refuses(std::vector<std::string> arguments) {
        Program program(std::move(arguments));
        const std::string complaint = program.complaint();
        return std::to_string(program.wait()) + " " + complaint;
    }
};

TEST(TlsProgram, SaysHttpsAndServesIt) {
    if (program_path().empty()) return;
    Program program(usual);
    const std::string line = program.line();
    STRCMP_CONTAINS((" at https://127.0.0.1:" + std::to_string(address_in(line).port()) + "/ (").c_str(),
                    line.c_str());
    if (curl_is_there()) CHECK_EQUAL("<h1>home</h1>", curl(line, "--cacert " + authority.file()));
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(TlsProgram, CurlFetchesALargeFileWithEitherVersion) {
    if (program_path().empty() || !curl_is_there()) return;
    std::string large;
    while (large.size() < 2'000'000) large += std::to_string(large.size()) + "\n";
    folder.write("large", large);
    Program program(usual);
    const std::string line = program.line();
    for (const char* version : {"--tlsv1.2 --tls-max 1.2 ", "--tlsv1.3 "})
        CHECK(large == curl(line, version + ("--cacert " + authority.file()), "/large"));
}

TEST(TlsProgram, ReadsItsCertificatesAgainOnSighup) {
    if (program_path().empty() || !curl_is_there()) return;
    Program program(usual);
    const std::string line = program.line();
    const test_support::Authority other(papers, "other");
    (void)other.issue("server", {.hosts = "DNS:localhost,IP:127.0.0.1"});
    program.signal(SIGHUP);
    // The signal is answered on the loop: before the next connection or soon after.
    std::string heard;
    for (int tries = 0; tries < 100 && heard != "<h1>home</h1>"; ++tries)
        heard = curl(line, "--cacert " + other.file());
    CHECK_EQUAL("<h1>home</h1>", heard);
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
    STRCMP_CONTAINS("certificates read again", program.complaint().c_str());
}

TEST(TlsProgram, AsksForClientCertificates) {
    if (program_path().empty() || !curl_is_there()) return;
    const evcorothread::TlsCertificate ada = authority.issue("ada");
    for (const char* argument : {"--tls-client-auth", "required", "--tls-client-ca"})
        usual.emplace_back(argument);
    usual.push_back(authority.file());
    Program program(usual);
    const std::string line = program.line();
    const std::string trust = "--cacert " + authority.file();
    STRCMP_CONTAINS("certificate required", curl(line, trust).c_str());
    CHECK_EQUAL("<h1>home</h1>", curl(line, trust + " --cert " + ada.chain_file + " --key " + ada.key_file));
}

TEST(TlsProgram, SpeaksNothingOlderThanItIsTold) {
    if (program_path().empty() || !curl_is_there()) return;
    usual.insert(usual.end(), {"--tls-min", "1.3"});
    Program program(usual);
    const std::string line = program.line();
    STRCMP_CONTAINS("alert protocol version",
                    curl(line, "--tls-max 1.2 --cacert " + authority.file()).c_str());
}

TEST(TlsProgram, RefusesOptionsThatDoNotFitTogether) {
    if (program_path().empty()) return;
    STRCMP_CONTAINS("2 webby: each --tls-cert needs a --tls-key",
                    refuses({"--listen-tls", "127.0.0.1:0", "--tls-cert", files.chain_file}).c_str());
    STRCMP_CONTAINS("2 webby: --listen-tls, --tls-cert and --tls-key go together",
                    refuses({"--listen-tls", "127.0.0.1:0"}).c_str());
    for (const char* option : {"--tls-client-auth=required", "--tls-client-ca=/ca.pem"})
        STRCMP_CONTAINS("2 webby: --tls-client-auth and --tls-client-ca need --listen-tls",
                        refuses({"--listen", "127.0.0.1:0", option}).c_str());
    STRCMP_CONTAINS("no.pem", refuses({"--listen-tls", "127.0.0.1:0", "--tls-cert", papers.file("no.pem"),
                                       "--tls-key", files.key_file})
                                  .c_str());
}
