// The program's configuration file.
#include <csignal>
#include <string>
#include <vector>

#include "test/webby/program.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(ProgramConfig, test_support::Fixture) {
    TempFolder folder;
    std::string path;

    void setup() override {
        folder.write("index.html", "<h1>home</h1>");
        path = folder.path() + "/webby.toml";
    }
    // The effective configuration.
    std::string printed(const std::string& text, std::vector<std::string> more = {}) const {
        folder.write("webby.toml", text);
        more.insert(more.begin(), {"--config", path, "--print-config"});
        Program program(std::move(more));
        std::string all = program.rest();
        return program.wait() == 0 ? all : "<" + program.complaint() + ">";
    }
    void refuses(const std::string& text, const std::string& why) const {
        folder.write("webby.toml", text);
        STRCMP_CONTAINS(("2 webby: " + path + ":" + why).c_str(), refusal_of({"--config", path}).c_str());
    }
};

TEST(ProgramConfig, SaysWhatTheCommandLineCould) {
    if (program_path().empty()) return;
    folder.write("webby.toml", "# ours\nlisten = \"127.0.0.1:0\"  # any port\nroot = '" + folder.path() +
                                   "'\n\nparadigm = event\nlisting = true\n");
    Program program({"--config", path});
    const std::string line = program.line();
    STRCMP_CONTAINS("/ (event)", line.c_str());
    STRCMP_CONTAINS("<h1>home</h1>", answer_of(address_in(line), "/").c_str());
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(ProgramConfig, MayComeFromAnotherSystemsEditor) {
    if (program_path().empty()) return;
    const std::string text =
        printed("\xef\xbb\xbfthreads = 3\r\n# ours\r\nlisten = [\r\n\"unix:a\",\r\n]\r\nlisting = YES\r\n");
    STRCMP_CONTAINS("\nthreads = 3\n", text.c_str());
    STRCMP_CONTAINS("\nlisten = [\"unix:a\"]\n", ("\n" + text).c_str());
    STRCMP_CONTAINS("\nlisting = true\n", text.c_str());
    STRCMP_EQUAL(printed("").c_str(), printed("\xef\xbb\xbf").c_str());
}

TEST(ProgramConfig, TheCommandLineWins) {
    if (program_path().empty()) return;
    const std::string text =
        printed("listen = [\"127.0.0.1:1\",\n  '[::1]:2',  # two\n]\nthreads = 3\nlisting = true\n",
                {"--listen", "unix:c", "--threads", "7"});
    STRCMP_CONTAINS("\nlisten = [\"unix:c\"]\n", ("\n" + text).c_str());
    STRCMP_CONTAINS("\nthreads = 7\n", text.c_str());
    STRCMP_CONTAINS("\nlisting = true\n", text.c_str());
}

TEST(ProgramConfig, AnIndexThatIsNoFileNamesItsLine) {
    if (program_path().empty()) return;
    refuses("listing = true\nindex = \"..\"\n", "2: ");
    STRCMP_CONTAINS("\"a/../b\" is not the name of a file", refusal_of({"--index", "a/../b"}).c_str());
    STRCMP_CONTAINS("--cache-control", refusal_of({"--cache-control", "a\nb"}).c_str());
}

TEST(ProgramConfig, WhatIsPrintedCanBeReadAgain) {
    if (program_path().empty()) return;
    const std::string once = printed(
        "listen = [\"127.0.0.1:1\", \"fd:web\"]\nlisten = \"unix:c\"\ncache-control = \"max-age=7, "
        "\\\"x\\\\\"\n"
        "servlet = \"./x.so,make,key=value\"\nio-timeout = 2.5\ntls-min = 1.3\ncompress = true\n");
    STRCMP_CONTAINS("listen = [\"127.0.0.1:1\", \"fd:web\", \"unix:c\"]\n", once.c_str());
    STRCMP_CONTAINS("cache-control = \"max-age=7, \\\"x\\\\\"\n", once.c_str());
    STRCMP_CONTAINS("servlet = [\"./x.so,make,key=value\"]\n", once.c_str());
    STRCMP_CONTAINS("# spa-fallback =\n", once.c_str());
    STRCMP_EQUAL(once.c_str(), printed(once).c_str());
}

TEST(ProgramConfig, WhatIsPrintedWithoutOneIsTheDefault) {
    if (program_path().empty()) return;
    Program program({"--print-config"});
    const std::string all = program.rest();
    LONGS_EQUAL(0, program.wait());
    STRCMP_CONTAINS("listen = [\"127.0.0.1:8080\"]\n", all.c_str());
    STRCMP_CONTAINS("index = [\"index.html\"]\n", all.c_str());
    STRCMP_CONTAINS("access-log-format = \"common\"\n", all.c_str());
    CHECK(all.find("print-config") == std::string::npos);
    CHECK(all.find("help") == std::string::npos);
}

TEST(ProgramConfig, WhatIsWrongIsNamedWithItsLine) {
    if (program_path().empty()) return;
    refuses("\n# x\nlistn = \"a\"\n", "3: \"listn\" is not known");
    refuses("help = true\n", "1: \"help\" is not known");
    refuses("config = \"x\"\n", "1: \"config\" is not known");
    refuses("threads = 3\nthreads = many\n", "2: ");
    refuses("threads = 0\n", "1: --threads: ");
    refuses("paradigm = \"magic\"\n", "1: --paradigm: ");
    refuses("listing = perhaps\n", "1: ");
    refuses("root = \"a\"\nroot = \"b\"\n", "2: \"root\" is said twice");
    refuses("listing = true\n\nlisting = false\n", "3: \"listing\" is said twice");
    refuses("threads = [1, 2]\n", "1: \"threads\" takes one value");
    refuses(std::string("root = \"/tmp\0/a\"\n", 17), "1: a control character stands in the value");
    refuses("root = \"\"\n", "1: --root: it names no folder");
    refuses("\nlisten = \"fd:\"\n", "2: --listen: ");
    refuses("[server]\n", "1: tables ([name]) are not known here");
    refuses("root\n", "1: \"=\" is missing behind \"root\"");
    refuses("root =\n", "1: a value is missing");
    refuses("root = a b\n", "1: something follows the value");
    refuses("root = \"a\n", "1: the closing \" is missing");
    refuses("root = 'a\n", "1: the closing ' is missing");
    refuses("root = \"\\x\"\n", "1: \"\\x\" means nothing here");
    refuses("listen = [\"a\",\n\"b\"\n", "3: \",\" or \"]\" is missing");
    refuses("listen = [\"a\",\n", "2: \"]\" is missing");
    refuses("= 3\n", "1: not KEY = VALUE");
    refuses("\ntrust = \"10.0.0.0/33\"\n", "2: --trust: ");
    refuses("vhost = [\"a\",\n\"b,0\"]\n", "1: --vhost: ");
    refuses("vhost = \"a\"\nvhost = \"b c\"\n", "2: --vhost: ");
    refuses("listen = [\"127.0.0.1:0\", \"localhost:x\"]\n", "1: --listen: ");
    refuses("\nlisten-tls = \"127.0.0.1\"\n", "2: --listen-tls: ");
    refuses("rate-limit = \"x\"\n", "1: --rate-limit: ");
    refuses("cors = \"example.org\"\n", "1: --cors: ");
    refuses("servlet = \"hello\"\n", "1: --servlet: ");
    refuses("filter = \"\"\n", "1: --filter: ");
}

TEST(ProgramConfig, AFileThatIsNotThereIsOneLineAndExitCode2) {
    if (program_path().empty()) return;
    STRCMP_EQUAL("2 webby: /nonexistent.toml: No such file or directory\n",
                 refusal_of({"--config", "/nonexistent.toml"}).c_str());
    STRCMP_EQUAL(("2 webby: " + folder.path() + ": Is a directory\n").c_str(),
                 refusal_of({"--config", folder.path()}).c_str());
    STRCMP_EQUAL("2 webby: --config: it names no file\n", refusal_of({"--config", ""}).c_str());
}
