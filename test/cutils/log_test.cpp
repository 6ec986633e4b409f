#include "cutils/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "test/support/death.h"

#include "test/support/harness.h"

using namespace cutils;

namespace {

void collect(LogLevel level, std::string_view line, void* context) {
    *static_cast<std::string*>(context) += std::string(to_string(level)) + "|" + std::string(line) + "\n";
}

// What `action` writes to stderr, if it is not more than a pipe holds.
std::string stderr_of(const std::function<void()>& action) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    const int saved = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    ::dup2(ends[1], STDERR_FILENO);
    action();
    ::dup2(saved, STDERR_FILENO);
    ::close(saved);
    ::close(ends[1]);
    std::string text;
    char buffer[8192];
    for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<size_t>(got));
    ::close(ends[0]);
    return text;
}

}  // namespace

TEST_GROUP(Log) {
    std::string lines;
    void setup() override { set_log_sink(collect, &lines); }
    void teardown() override {
        set_log_sink(nullptr);
        set_log_level(LogLevel::info);
    }
};

TEST(Log, GivesLinesToTheSinkWithTheirLevel) {
    log_line(LogLevel::warning, "out of descriptors");
    log(LogLevel::error, "%s left %d", "worker", 7);
    CHECK_EQUAL("warning|out of descriptors\nerror|worker left 7\n", lines);
}

TEST(Log, NamesTheLevels) {
    STRCMP_EQUAL("debug", to_string(LogLevel::debug));
    STRCMP_EQUAL("info", to_string(LogLevel::info));
    STRCMP_EQUAL("warning", to_string(LogLevel::warning));
    STRCMP_EQUAL("error", to_string(LogLevel::error));
    STRCMP_EQUAL("?", to_string(static_cast<LogLevel>(99)));
}

TEST(Log, DropsDebugLinesUnlessAskedFor) {
    log(LogLevel::debug, "detail");
    log_line(LogLevel::debug, "detail");
    CHECK_EQUAL("", lines);
    set_log_level(LogLevel::debug);
    log(LogLevel::debug, "detail");
    CHECK_EQUAL("debug|detail\n", lines);
}

TEST(Log, TheLevelDecidesWhatIsEnabled) {
    set_log_level(LogLevel::warning);
    CHECK(!log_enabled(LogLevel::debug));
    CHECK(!log_enabled(LogLevel::info));
    CHECK(log_enabled(LogLevel::warning));
    CHECK(log_enabled(LogLevel::error));
}

TEST(Log, ALineOfTwoKibibytesIsCutVisibly) {
    log(LogLevel::info, "%s", std::string(2047, 'x').c_str());
    CHECK_EQUAL("info|" + std::string(2047, 'x') + "\n", lines);
    lines.clear();
    log(LogLevel::info, "%s", std::string(5000, 'x').c_str());
    CHECK_EQUAL("info|" + std::string(2044, 'x') + "…\n", lines);
}

TEST(Log, WhatOthersChoseMakesNoSecondLineAndSpeaksToNoTerminal) {
    log(LogLevel::info, "%s", "one\r\nerror forged\x1b[2J\t\x7fgrün");
    CHECK_EQUAL("info|one??error forged?[2J??grün\n", lines);
}

TEST(Log, ALineThatIsNotFormattedReachesTheSinkWhole) {
    log_line(LogLevel::info, std::string(5000, 'x'));
    LONGS_EQUAL(5000 + 6, lines.size());
}

TEST(Log, WithoutASinkLinesGoToStderr) {
    set_log_sink(nullptr);
    CHECK_EQUAL("error gone\n", stderr_of([] { log(LogLevel::error, "gone"); }));
}

TEST(Log, AStderrThatNobodyReadsEndsNothing) {
    int ends[2];
    CHECK_EQUAL(0, ::pipe2(ends, O_CLOEXEC));
    ::close(ends[0]);
    set_log_sink(nullptr);
    const auto log_into_the_void = [&] {
        ::dup2(ends[1], STDERR_FILENO);
        log(LogLevel::error, "nobody hears it");
    };
    LONGS_EQUAL(0, test_support::death_signal(log_into_the_void));
    LONGS_EQUAL(SIGPIPE, test_support::death_signal([&] {
                    log_into_the_void();
                    ::raise(SIGPIPE);  // the application's: as ever
                }));
    ::close(ends[1]);
}

TEST(Log, AVeryLongLineOnStderrIsStillALine) {
    set_log_sink(nullptr);
    const std::string said = stderr_of([] { log_line(LogLevel::error, std::string(5000, 'x')); });
    LONGS_EQUAL(said.size() - 1, said.find('\n'));
}

TEST(Log, StderrGetsALineWholeAsADumpMayBe) {
    using namespace std::string_literals;
    set_log_sink(nullptr);
    const std::string dump = "loop\n" + std::string(20'000, 'x') + "\0end"s;
    CHECK_EQUAL("info " + dump + "\n", stderr_of([&] { log_line(LogLevel::info, dump); }));
}

TEST(Log, LinesOfSeveralThreadsDoNotMix) {
    set_log_sink(nullptr);
    const std::string said = stderr_of([] {
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([i] {
                for (int n = 0; n < 50; ++n)
                    log(LogLevel::info, "%s", std::string(40, static_cast<char>('a' + i)).c_str());
            });
        for (std::thread& thread : threads) thread.join();
    });
    LONGS_EQUAL(4 * 50 * 46, said.size());
    for (std::size_t at = 0; at < said.size(); at += 46)
        CHECK_EQUAL("info " + std::string(40, said[at + 5]) + "\n", said.substr(at, 46));
}
