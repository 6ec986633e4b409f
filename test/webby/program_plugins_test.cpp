// Servlets and filters that the program loads from shared libraries.
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "test/webby/program.h"
#include "test/webby/temp_folder.h"

#include "test/support/harness.h"

using namespace webby_test;

TEST_GROUP_BASE(ProgramPlugins, test_support::Fixture) {
    TempFolder folder;
    const std::string hello = plugin_path("tutorial/plugins/hello"),
                      stamp = plugin_path("tutorial/plugins/stamp");

    void setup() override { folder.write("index.html", "<h1>home</h1>"); }
    // The program and its plugins have been built.
    [[nodiscard]] bool can_run() const {
        return !program_path().empty() && std::filesystem::exists(hello) && std::filesystem::exists(stamp);
    }
    std::vector<std::string> with(std::vector<std::string> more) const {
        more.insert(more.begin(), {"--listen", "127.0.0.1:0", "--root", folder.path()});
        return more;
    }
    void refuses(std::vector<std::string> more, const std::string& why) const {
        STRCMP_CONTAINS(why.c_str(), refusal_of(with(std::move(more))).c_str());
    }
};

TEST(ProgramPlugins, ServletsGetTheirArgumentsAndAnswerBesideTheFolder) {
    if (!can_run()) return;
    Program program(with({"--servlet", hello + ",greeting=Servus"}));
    const nutils::SockAddr at = address_in(program.line());
    STRCMP_CONTAINS("\r\n\r\nServus, Ada!\n", answer_of(at, "/hello/Ada").c_str());
    STRCMP_CONTAINS("\r\nX-Greetings: 2\r\n", answer_of(at, "/hello/Ada").c_str());
    STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/").c_str());
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(ProgramPlugins, ServeUnderEveryParadigmAndWithWorkers) {
    if (!can_run()) return;
    for (const char* paradigm : {"thread", "event", "coroutine"}) {
        Program program(
            with({"--paradigm", paradigm, "--workers", "2", "--threads", "4", "--servlet", hello}));
        const nutils::SockAddr at = address_in(program.line());
        STRCMP_CONTAINS("\r\n\r\nHello, Ada!\n", answer_of(at, "/hello/Ada").c_str());
        program.signal(SIGTERM);
        LONGS_EQUAL(0, program.wait());
    }
}

TEST(ProgramPlugins, FiltersAreAddedInTheOrderOfTheCommandLine) {
    if (!can_run()) return;
    Program program(
        with({"--filter", stamp + ",text=first", "--filter", stamp + ",text=second", "--servlet", hello}));
    const std::string answer = answer_of(address_in(program.line()), "/hello/Ada");
    const std::size_t first = answer.find("X-Stamp: first"), second = answer.find("X-Stamp: second");
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
    CHECK(second != std::string::npos && first != std::string::npos);
    CHECK(second < first);  // responses pass the last one first
}

TEST(ProgramPlugins, AFilterWithoutAHostIsForAllAndOneWithAHostForThatAlone) {
    if (!can_run()) return;
    TempFolder docs;
    docs.write("index.html", "docs");
    Program program(
        with({"--vhost", "docs.example," + docs.path(), "--vhost", "b.example,81", "--filter",
              stamp + ",text=all", "--filter", "docs.example," + stamp + ",doorkeeper,word=sesame",
              "--servlet", "b.example:81," + hello}));
    const nutils::SockAddr at = address_in(program.line());
    STRCMP_CONTAINS("X-Stamp: all", answer_of(at, "/").c_str());
    STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/").c_str());
    STRCMP_CONTAINS(" 403 ", answer_of(at, "/", "", "docs.example").c_str());
    STRCMP_CONTAINS("\r\n\r\ndocs", answer_of(at, "/", "X-Word: sesame\r\n", "docs.example").c_str());
    STRCMP_CONTAINS("Hello, Ada!", answer_of(at, "/hello/Ada", "", "b.example:81").c_str());
    STRCMP_CONTAINS(" 404 ", answer_of(at, "/hello/Ada").c_str());
    program.signal(SIGTERM);
    LONGS_EQUAL(0, program.wait());
}

TEST(ProgramPlugins, WhatCannotBeLoadedIsOneLineAndExitCode2) {
    if (!can_run()) return;
    refuses({"--servlet", "./missing.so"}, "2 webby: --servlet ./missing.so: cannot open shared object file");
    refuses({"--servlet", "libm.so.6"}, "2 webby: --servlet libm.so.6: not a plugin of webby");
    refuses({"--servlet", hello + ",nothing"}, "hello.so: it has no factory \"nothing\"");
    refuses({"--servlet", "hello"}, "2 webby: --servlet: \"hello\": it names no shared library");
    refuses({"--servlet", hello + ",a,b"}, "not [VHOST,]LIB[,FACTORY][,KEY=VALUE...]");
    refuses({"--filter", stamp + ",doorkeeper"}, "stamp.so: doorkeeper: word=... is missing");
    refuses({"--filter", "a.example," + stamp}, "there is no --vhost a.example");
    refuses({"--vhost", "a.example,b"}, "2 webby: --vhost: \"a.example,b\": not HOST[,PORT][,DIR]");
    refuses({"--vhost", "not a host"}, "not the name of a host");
}

TEST(ProgramPlugins, ARouteThatIsThereAlreadyNamesTheLibraryThatBringsItAgain) {
    if (!can_run()) return;
    refuses({"--servlet", hello, "--servlet", hello},
            "2 webby: --servlet " + hello + ": route \"/hello/:name\"");
}

TEST(ProgramPlugins, AFileThatIsCutOffIsRefusedWhereverItEnds) {
    if (!can_run()) return;
    const std::string cut = folder.path() + "/cut.so";
    // What is behind the parts that are loaded, symbols for debuggers, nobody misses.
    for (const std::uintmax_t size : {8193, 4097, 1000, 100}) {
        std::filesystem::copy_file(hello, cut, std::filesystem::copy_options::overwrite_existing);
        std::filesystem::resize_file(cut, size);
        refuses({"--servlet", cut}, "2 webby: --servlet " + cut + ": the file is cut off");
    }
    std::filesystem::resize_file(cut, 10);
    refuses({"--servlet", cut}, cut + ": file too short");
}

TEST(ProgramPlugins, OneThatLacksASymbolIsRefusedBeforeItServes) {
    if (!can_run() || !std::filesystem::exists(plugin_path("test/plugins/unresolved"))) return;
    refuses({"--servlet", plugin_path("test/plugins/unresolved")}, "unresolved.so: undefined symbol: ");
}

TEST(ProgramPlugins, FactoriesThatAddNothingOrAreNoneAreRefused) {
    const std::string odd = plugin_path("test/plugins/odd");
    if (!can_run() || !std::filesystem::exists(odd)) return;
    refuses({"--servlet", odd + ",null_servlet"},
            "odd.so: null_servlet: null instead of a servlet for \"/null\"");
    refuses({"--filter", odd + ",null_filter"}, "odd.so: null_filter: null instead of a filter");
    refuses({"--servlet", odd + ",no_function"}, "odd.so: its \"no_function\" is not a function");
    refuses({"--servlet", odd + ",webby_plugin_abi"}, "its \"webby_plugin_abi\" is not a function");
    refuses({"--servlet", "," + hello}, "its VHOST is empty");
}

TEST(ProgramPlugins, AnObjectForAConnectionThatIsNotMadeIsA500) {
    const std::string odd = plugin_path("test/plugins/odd");
    if (!can_run() || !std::filesystem::exists(odd)) return;
    for (const char* paradigm : {"thread", "event", "coroutine"}) {
        Program program(with({"--paradigm", paradigm, "--servlet", odd}));
        const nutils::SockAddr at = address_in(program.line());
        STRCMP_CONTAINS(" 500 ", answer_of(at, "/nobody").c_str());
        STRCMP_CONTAINS("<h1>home</h1>", answer_of(at, "/").c_str());
        program.signal(SIGTERM);
        LONGS_EQUAL(0, program.wait());
    }
}

TEST(ProgramPlugins, OneForAnotherAbiIsRefused) {
    if (!can_run() || !std::filesystem::exists(plugin_path("test/plugins/other_abi"))) return;
    refuses({"--servlet", plugin_path("test/plugins/other_abi")},
            "other_abi.so: built for plugin ABI 2, this is 1");
    refuses({"--servlet", plugin_path("test/plugins/other_shape")},
            "other_shape.so: built with other headers");
}
