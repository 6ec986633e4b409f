// The filters that the program's command line can ask for.
#include <csignal>
#include <string>
#include <vector>

#include "test/webby/program.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

namespace {
// "secret", by bcrypt with the smallest cost.
constexpr const char* kAda = "ada:$2y$04$rkEXLwm6./fQxpE4RTwBOeMDUEslymR7mnn4/TIrEWrN3EgIFIvKi\n";
}  // namespace

TEST_GROUP_BASE(ProgramFilters, test_support::Fixture) {
    TempFolder folder;
    void setup() override { folder.write("index.html", "<h1>home</h1>"); }
    std::vector<std::string> with(std::vector<std::string> more) const {
        more.insert(more.begin(), {"--listen", "127.0.0.1:0", "--root", folder.path()});
        return more;
    }
    std::string refusal(std::vector<std::string> more) const { return refusal_of(with(std::move(more))); }
    static void end(Program & program) {
        program.signal(SIGTERM);
        LONGS_EQUAL(0, program.wait());
    }
};

TEST(ProgramFilters, GiveIdsAndSecurityHeadersAndLetOriginsRead) {
    if (program_path().empty()) return;
    Program program(with({"--request-id", "--security-headers", "--cors", "https://a.example"}));
    const std::string answer = answer_of(address_in(program.line()), "/", "Origin: https://a.example\r\n");
    end(program);
    STRCMP_CONTAINS("\r\nX-Request-Id: ", answer.c_str());
    STRCMP_CONTAINS("\r\nX-Content-Type-Options: nosniff\r\n", answer.c_str());
    STRCMP_CONTAINS("\r\nAccess-Control-Allow-Origin: https://a.example\r\n", answer.c_str());
}

TEST(ProgramFilters, RefuseWhoAsksTooOften) {
    if (program_path().empty()) return;
    Program program(with({"--rate-limit", "0.001/s,2"}));
    const nutils::SockAddr at = address_in(program.line());
    STRCMP_CONTAINS(" 200 ", answer_of(at, "/").c_str());
    STRCMP_CONTAINS(" 200 ", answer_of(at, "/").c_str());
    STRCMP_CONTAINS(" 429 ", answer_of(at, "/").c_str());
    end(program);
}

TEST(ProgramFilters, LetOnlyThoseInWhoKnowAPassword) {
    if (program_path().empty()) return;
    folder.write("users", std::string("# ours\n\n") + kAda);
    for (const char* paradigm : {"coroutine", "thread", "event"}) {
        Program program(with({"--auth-file", folder.path() + "/users", "--auth-realm", "here", "--paradigm",
                              paradigm, "--health", "/healthz"}));
        const nutils::SockAddr at = address_in(program.line());
        STRCMP_CONTAINS("realm=\"here\"", answer_of(at, "/").c_str());
        const std::string right = "Authorization: Basic YWRhOnNlY3JldA==\r\n";  // ada:secret
        const std::string wrong = "Authorization: Basic YWRhOndyb25n\r\n";      // ada:wrong
        const std::string other = "Authorization: Basic Ym9iOnNlY3JldA==\r\n";  // bob:secret
        STRCMP_CONTAINS(" 401 ", answer_of(at, "/", wrong).c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/", right).c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/", right).c_str());
        STRCMP_CONTAINS(" 401 ", answer_of(at, "/", wrong).c_str());
        STRCMP_CONTAINS(" 401 ", answer_of(at, "/", other).c_str());
        STRCMP_CONTAINS(" 200 ", answer_of(at, "/healthz").c_str());  // seen by no filter
        end(program);
    }
}

TEST(ProgramFilters, PasswordsAreReadAgainOnSighup) {
    if (program_path().empty()) return;
    const std::string path = folder.path() + "/users", eve = std::string("eve") + (kAda + 3);
    folder.write("users", eve);
    Program program(with({"--auth-file", path, "--workers", "2"}));
    const nutils::SockAddr at = address_in(program.line());
    const std::string ada = "Authorization: Basic YWRhOnNlY3JldA==\r\n";
    STRCMP_CONTAINS(" 401 ", answer_of(at, "/", ada).c_str());
    folder.write("users", kAda);
    program.signal(SIGHUP);
    std::string heard;  // it hears of it a moment later
    for (int i = 0; i < 1000 && heard.find("home") == std::string::npos; ++i) heard = answer_of(at, "/", ada);
    STRCMP_CONTAINS("<h1>home</h1>", heard.c_str());
    end(program);
}

TEST(ProgramFilters, PasswordsThatAreWeaklyHashedAreRefused) {
    if (program_path().empty()) return;
    const std::string path = folder.path() + "/users";
    for (const char* line :
         {"ada:secret", "ada:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "ada:$apr1$abcdefgh$aaaaaaaaaaaaaaaaaaaaa/",
          "ada:$1$abc$x", "ada:", "ada:$2y$99$x", "ada:$6$salt$short", "ada:$y$j9T$salt"}) {
        folder.write("users", std::string("#\n") + line + "\n");
        STRCMP_CONTAINS(("2 webby: --auth-file: " + path + ":2: not a hash that is trusted").c_str(),
                        refusal({"--auth-file", path}).c_str());
    }
    folder.write("users", "ada\n");
    STRCMP_CONTAINS(":1: not NAME:HASH", refusal({"--auth-file", path}).c_str());
    folder.write("users", std::string(kAda) + kAda);
    STRCMP_CONTAINS(":2: that name is there twice", refusal({"--auth-file", path}).c_str());
    folder.write("users", "");
    STRCMP_CONTAINS("nobody is in it", refusal({"--auth-file", path}).c_str());
    STRCMP_CONTAINS("2 webby: --auth-file: /nonexistent", refusal({"--auth-file", "/nonexistent"}).c_str());
    STRCMP_CONTAINS("2 webby: --auth-file: it names no file", refusal({"--auth-file", ""}).c_str());
}

TEST(ProgramFilters, WhatTheyCannotUseIsOneLineAndExitCode2) {
    if (program_path().empty()) return;
    STRCMP_CONTAINS("2 webby: --cors: ", refusal({"--cors", "a.example"}).c_str());
    for (const char* rate : {"0", "x", "1/m", "1,", "1,0", "-1", "nan", "inf"})
        STRCMP_CONTAINS("2 webby: --rate-limit: ", refusal({"--rate-limit=" + std::string(rate)}).c_str());
}
