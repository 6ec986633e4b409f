#include "evcorothread/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "evcorothread/signal_watch.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/evcorothread/process_support.h"
#include "test/support/allocation_faults.h"
#include "test/support/fault_injection.h"
#include "test/support/temp_dir.h"

using namespace test_support;
using namespace evcorothread::process;
using cutils::Result;

namespace {
constexpr Deadline kSoon = 20s;  // for processes: real time, on a machine that may be busy
}

TEST_GROUP_BASE(ChildProcesses, RealTimeFixture) {
    FaultInjection faults;
    NoChildrenLeft children;

    ChildProcess started(std::vector<std::string> argv, SpawnOptions options = {}) {
        return ChildProcess::spawn(loop, argv, std::move(options)).value();
    }
    ChildProcess shell(const char* script, SpawnOptions options = {}) {
        return started({"sh", "-c", script}, std::move(options));
    }
    static std::string all_of(EvPipe & pipe) {
        std::string text;
        char buffer[4096];
        IoResult got;
        while ((got = pipe.recv(buffer, kSoon))) text.append(buffer, got.bytes);
        if (!got.eof()) text += "<" + got.error.message() + ">";
        return text;
    }
    // What a shell command prints.
    std::string printed(const char* script, SpawnOptions options = {}) {
        options.output = Stdio::pipe();
        std::string text;
        in_coroutine([&] {
            ChildProcess child = shell(script, std::move(options));
            text = all_of(child.output());
            CHECK(child.wait(kSoon));
        });
        return text;
    }
    void teardown() override {
        RealTimeFixture::teardown();
        CHECK_EQUAL("", children.left());
    }
};

TEST(ChildProcesses, WaitTellsTheExitCode) {
    in_coroutine([&] {
        ChildProcess child = shell("exit 3");
        const ExitStatus status = child.wait(kSoon).value();
        CHECK_EQUAL(3, status.code);
        CHECK_EQUAL(0, status.signal);
        CHECK(!status.success());
        STRCMP_EQUAL("exited with 3", status.to_string().c_str());
    });
}

TEST(ChildProcesses, WaitTellsTheSignal) {
    in_coroutine([&] {
        ChildProcess child = shell("kill -TERM $$; sleep 100");
        const ExitStatus status = child.wait(kSoon).value();
        CHECK_EQUAL(SIGTERM, status.signal);
        CHECK(!status.success());
        STRCMP_EQUAL("killed by SIGTERM", status.to_string().c_str());
    });
}

TEST(ChildProcesses, OneThatEndedLongAgoCanBeWaitedForTwice) {
    in_coroutine([&] {
        ChildProcess child = shell("exit 0");
        CHECK(child.wait(kSoon).value().success());
        CHECK(child.wait(0s).value().success());
        CHECK(child.status().value().success());
        CHECK(child.kill(SIGTERM) == std::errc::no_such_process);
    });
}

TEST(ChildProcesses, SeveralCoroutinesMayWait) {
    ChildProcess child = shell("read line", {.input = Stdio::pipe()});
    int told = 0;
    for (int i = 0; i < 3; ++i) go([&] { told += child.wait(kSoon).ok() ? 1 : 0; });
    run_ready();
    CHECK_EQUAL(0, told);
    CHECK(!child.status());
    child.input().close();
    run_loop();
    CHECK_EQUAL(3, told);
}

TEST(ChildProcesses, TheDeadlineOfAWaitPassesAndTheProcessRunsOn) {
    in_coroutine([&] {
        ChildProcess child = shell("read line; exit 5", {.input = Stdio::pipe()});
        CHECK(child.wait(10ms).error() == NetError::timed_out);
        CHECK(child.wait(-1s).error() == NetError::timed_out);
        child.input().close();
        CHECK_EQUAL(5, child.wait(kSoon).value().code);
    });
}

TEST(ChildProcesses, CancelEndsAWait) {
    ChildProcess child = shell("read line", {.input = Stdio::pipe()});
    EvThread waiter = go([&] { CHECK(child.wait(kSoon).error() == NetError::canceled); });
    run_ready();
    waiter.cancel();
    run_ready();
    CHECK(waiter.finished());
    child.input().close();
    in_coroutine([&] { CHECK(child.wait(kSoon)); });
}

TEST(ChildProcesses, KillSendsASignal) {
    in_coroutine([&] {
        ChildProcess child = shell("read line", {.input = Stdio::pipe()});
        CHECK(!child.kill(SIGKILL));
        CHECK_EQUAL(SIGKILL, child.wait(kSoon).value().signal);
    });
}

TEST(ChildProcesses, ADroppedOneRunsOnAndTheLoopReapsIt) {
    const EvLoop::Hold hold(loop);
    {
        nutils::PipeEnds ends = nutils::make_pipe().value();
        ChildProcess child = shell("read line", {.input = Stdio::fd(ends.reading.get())});
        ends.reading.reset();
        { const ChildProcess dropped = std::move(child); }
        CHECK(!children.left().empty());  // it runs
    }
    until([&] { return children.left().empty(); });
}

TEST(ChildProcesses, OneThatEndedBeforeItWasDroppedIsReaped) {
    {
        ChildProcess child = shell("exit 0");
        (void)wait_until_zombie(child.pid());
    }
    CHECK_EQUAL("", children.left());
}

TEST(ChildProcesses, WaitersOfOneThatIsDroppedReturnClosed) {
    auto child = std::make_optional(shell("read line", {.input = Stdio::pipe()}));
    EvThread waiter = go([&] { CHECK(child->wait(kSoon).error() == NetError::closed); });
    run_ready();
    child.reset();  // and its pipe: the shell reads the end
    run_loop();
    CHECK(waiter.finished());
    until([&] { return children.left().empty(); });
}

TEST(ChildProcesses, ADroppedOneIsNoReasonForTheLoopToGoOn) {
    nutils::PipeEnds ends = nutils::make_pipe().value();
    const pid_t pid = shell("read line", {.input = Stdio::fd(ends.reading.get())}).pid();
    run_loop();
    ends = {};
    CHECK_EQUAL(pid, ::waitpid(pid, nullptr, 0));
}

TEST(ChildProcesses, ALoopThatEndsGivesUpWhatStillRuns) {
    nutils::PipeEnds ends = nutils::make_pipe().value();
    pid_t pid = 0;
    {
        StackPool pool({.count = 2});
        EvLoop other(pool, any_order());
        pid = ChildProcess::spawn(other, {"cat"}, {.input = Stdio::fd(ends.reading.get())}).value().pid();
    }
    ends = {};
    CHECK_EQUAL(pid, ::waitpid(pid, nullptr, 0));
}

TEST(ChildProcesses, ManyThatEndAtOnceAreAllReaped) {
    nutils::PipeEnds ends = nutils::make_pipe().value();
    std::vector<ChildProcess> crowd;
    for (int i = 0; i < 30; ++i)
        crowd.push_back(started({"cat"}, {.input = Stdio::fd(ends.reading.get()), .output = Stdio::null()}));
    in_coroutine([&] {
        ends = {};
        for (ChildProcess& child : crowd) CHECK(child.wait(kSoon).value().success());
    });
    CHECK_EQUAL("", children.left());
}

// ---- without pidfds ----

TEST(ChildProcesses, WithoutPidfdsSigchldTells) {
    faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    in_coroutine([&] {
        ChildProcess child = shell("read line; exit 4", {.input = Stdio::pipe()});
        CHECK(child.wait(1ms).error() == NetError::timed_out);
        child.input().close();
        CHECK_EQUAL(4, child.wait(kSoon).value().code);
    });
}

TEST(ChildProcesses, WithoutPidfdsManyThatEndAtOnceAreAllReaped) {
    faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    nutils::PipeEnds ends = nutils::make_pipe().value();
    std::vector<ChildProcess> crowd;
    for (int i = 0; i < 30; ++i)
        crowd.push_back(started({"cat"}, {.input = Stdio::fd(ends.reading.get()), .output = Stdio::null()}));
    in_coroutine([&] {
        ends = {};
        for (ChildProcess& child : crowd) CHECK(child.wait(kSoon).value().success());
    });
    CHECK_EQUAL("", children.left());
}

TEST(ChildProcesses, WithoutPidfdsADroppedOneIsReaped) {
    faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    { const ChildProcess child = shell("exit 0"); }
    until([&] { return children.left().empty(); });
}

TEST(ChildProcesses, ASandboxWithoutTheirSignalsDoesNotMatter) {
    in_coroutine([&] {
        ChildProcess child = shell("read line", {.input = Stdio::pipe()});
        faults.fail("syscall", ENOSYS);
        CHECK(!child.kill(SIGKILL));
        CHECK_EQUAL(SIGKILL, child.wait(kSoon).value().signal);
    });
}

TEST(ChildProcesses, WithoutPidfdsKillWorks) {
    faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    in_coroutine([&] {
        ChildProcess child = shell("read line", {.input = Stdio::pipe()});
        CHECK(!child.kill(SIGKILL));
        CHECK_EQUAL(SIGKILL, child.wait(kSoon).value().signal);
    });
}

TEST(ChildProcesses, SigchldStaysTheApplications) {
    struct sigaction before = {};
    ::sigaction(SIGCHLD, nullptr, &before);
    in_coroutine([&] {
        ChildProcess child = shell("exit 0");
        struct sigaction now = {};
        ::sigaction(SIGCHLD, nullptr, &now);
        CHECK(now.sa_handler == before.sa_handler);
        CHECK(child.wait(kSoon));
    });
}

TEST(ChildProcesses, OtherChildrenAreNotTouched) {
    const pid_t mine = ::fork();
    if (mine == 0) ::_exit(9);
    in_coroutine([&] { CHECK(shell("exit 0").wait(kSoon)); });
    int status = 0;
    CHECK_EQUAL(mine, ::waitpid(mine, &status, 0));
    CHECK_EQUAL(9, WEXITSTATUS(status));
}

TEST(ChildProcesses, SomebodyElseWhoReapsIsReported) {
    in_coroutine([&] {
        ChildProcess child = shell("read line", {.input = Stdio::pipe()});
        child.input().close();  // only now it ends: without pidfds, one that has ended is reaped at once
        CHECK_EQUAL(child.pid(), ::waitpid(child.pid(), nullptr, 0));
        CHECK(child.wait(kSoon).error() == std::errc::no_child_process);
    });
}

TEST(ChildProcesses, AnyChildCanBeAdopted) {
    const pid_t mine = ::fork();
    if (mine == 0) ::_exit(9);
    in_coroutine([&] {
        ChildProcess child = ChildProcess::adopt(loop, mine).value();
        CHECK_EQUAL(9, child.wait(kSoon).value().code);
        CHECK(ChildProcess::adopt(loop, mine).error() == std::errc::no_child_process);
        CHECK(ChildProcess::adopt(loop, -1).error() == std::errc::no_child_process);
    });
}

TEST(ChildProcesses, ReleaseGivesTheProcessAway) {
    nutils::PipeEnds ends = nutils::make_pipe().value();
    ChildProcess child = shell("read line; exit 6", {.input = Stdio::fd(ends.reading.get())});
    const pid_t pid = child.release();
    ends.writing.reset();
    CHECK_EQUAL(0, child.pid());
    int status = 0;
    CHECK_EQUAL(pid, ::waitpid(pid, &status, 0));
    CHECK_EQUAL(6, WEXITSTATUS(status));
}

TEST(ChildProcesses, NoneAtAllIsClosed) {
    in_coroutine([&] {
        ChildProcess none;
        CHECK_EQUAL(0, none.pid());
        CHECK(none.wait(1s).error() == NetError::closed);
        CHECK(none.kill(SIGTERM) == std::errc::no_such_process);
        CHECK(!none.status());
    });
}

// ---- what the child gets ----

TEST(ChildProcesses, TalksThroughItsPipes) {
    in_coroutine([&] {
        ChildProcess child = started({"cat"}, {.input = Stdio::pipe(), .output = Stdio::pipe()});
        char buffer[16];
        CHECK(child.input().send_all("ping", kSoon));
        CHECK_EQUAL(4, child.output().recv(buffer, kSoon).bytes);
        CHECK_EQUAL(std::string_view("ping"), std::string_view(buffer, 4));
        CHECK(child.output().recv(buffer, 1ms).timed_out());
        child.input().close();
        CHECK(child.output().recv(buffer, kSoon).eof());
        CHECK(child.wait(kSoon).value().success());
    });
}

TEST(ChildProcesses, AMegabyteGoesThroughAFilterWhileBothEndsAreServed) {
    in_coroutine([&] {
        ChildProcess child = started({"cat"}, {.input = Stdio::pipe(), .output = Stdio::pipe()});
        EvThread feeder = go([&] {
            CHECK(child.input().send_all(std::string(1 << 20, 'x'), kSoon));
            child.input().close();
        });
        CHECK_EQUAL(1 << 20, all_of(child.output()).size());
        CHECK(!feeder.join(kSoon));
        CHECK(child.wait(kSoon).value().success());
    });
}

TEST(ChildProcesses, StderrIsAPipeOfItsOwnOrGoesWithStdout) {
    in_coroutine([&] {
        ChildProcess child =
            shell("echo out; echo err >&2", {.output = Stdio::pipe(), .errors = Stdio::pipe()});
        CHECK_EQUAL("out\n", all_of(child.output()));
        CHECK_EQUAL("err\n", all_of(child.errors()));
        CHECK(child.wait(kSoon));
    });
    CHECK_EQUAL("out\nerr\n", printed("echo out; echo err >&2", {.errors = Stdio::as_output()}));
}

TEST(ChildProcesses, NullIsEmptyAndSwallows) {
    CHECK_EQUAL("<>\n", printed("echo \"<$(cat)>\"", {.input = Stdio::null()}));
    in_coroutine([&] {
        CHECK(shell("echo nobody sees this", {.output = Stdio::null()}).wait(kSoon).value().success());
    });
}

TEST(ChildProcesses, EnvironmentIsTheGivenOneOrOurs) {
    CHECK_EQUAL("yes:\n", printed("echo $ONLY:$HOME", {.environment = {{"ONLY=yes", "PATH=/usr/bin:/bin"}}}));
    ::setenv("EVC_TEST_WORD", "ours", 1);
    CHECK_EQUAL("ours\n", printed("echo $EVC_TEST_WORD"));
    ::unsetenv("EVC_TEST_WORD");
}

TEST(ChildProcesses, RunsInTheGivenDirectory) {
    const TempDir folder;
    CHECK_EQUAL(folder.path() + "\n", printed("pwd", {.directory = folder.path()}));
}

TEST(ChildProcesses, AGroupOfItsOwn) {
    const std::string group = printed("ps -o pgid= -p $$ | tr -d ' '; echo $$", {.own_group = true});
    const std::size_t line = group.find('\n');
    CHECK_EQUAL(group.substr(0, line + 1), group.substr(line + 1));
}

TEST(ChildProcesses, NoDescriptorOfOursIsThere) {
    Connection connection = unix_connection(loop);
    std::istringstream listed(printed("exec ls /proc/self/fd"));
    for (int fd; listed >> fd;) {
        if (fd <= 3) continue;  // ls itself has 3 open: the folder it lists
        // Something that whoever started the tests left open for everybody.
        const int flags = ::fcntl(fd, F_GETFD);
        CHECK_TEXT(flags >= 0 && (flags & FD_CLOEXEC) == 0, std::to_string(fd).c_str());
    }
}

TEST(ChildProcesses, SignalsAreDefaultAndUnblocked) {
    const SignalWatch watch(loop, {SIGUSR1}, [](int) {});
    struct sigaction ignored = {};
    ignored.sa_handler = SIG_IGN;
    struct sigaction before = {};
    ::sigaction(SIGUSR2, &ignored, &before);
    sigset_t some, mask;
    ::sigemptyset(&some);
    ::sigaddset(&some, SIGHUP);
    ::pthread_sigmask(SIG_BLOCK, &some, &mask);
    std::istringstream state(printed("exec cat /proc/self/status"));
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    ::sigaction(SIGUSR2, &before, nullptr);
    int seen = 0;
    for (std::string line; std::getline(state, line);) {
        if (!line.starts_with("Sig") || line.starts_with("SigQ")) continue;
        ++seen;
        // Beyond 31 the C library keeps two for itself.
        CHECK_TEXT((std::stoull(line.substr(8), nullptr, 16) & 0x7fffffff) == 0, line.c_str());
    }
    CHECK_EQUAL(4, seen);  // pending, blocked, ignored, caught
}

TEST(ChildProcesses, AFileThatIsOneOfOurStandardDescriptorsGoesWhereItShould) {
    // stdin of the child is our stdout's file and the other way round: neither may overwrite the other.
    nutils::PipeEnds one = nutils::make_pipe().value(), two = nutils::make_pipe().value();
    CHECK_EQUAL(4, ::write(one.writing.get(), "ping", 4));
    one.writing.reset();
    const UniqueFd kept_in(::dup(0)), kept_out(::dup(1));
    ::dup2(two.writing.get(), 0);
    ::dup2(one.reading.get(), 1);
    std::error_code error;
    auto child = ChildProcess::spawn(loop, {"cat"}, {.input = Stdio::fd(1), .output = Stdio::fd(0)});
    ::dup2(kept_in.get(), 0);
    ::dup2(kept_out.get(), 1);
    two.writing.reset();
    char buffer[8];
    CHECK_EQUAL(4, ::read(two.reading.get(), buffer, sizeof buffer));
    in_coroutine([&] { CHECK(child->wait(kSoon).value().success()); });
}

// ---- what cannot be started ----

TEST(ChildProcesses, AProgramThatIsNotThereIsAnError) {
    const Result<ChildProcess> child = ChildProcess::spawn(loop, {"/no/such/program"});
    CHECK(child.error() == std::errc::no_such_file_or_directory);
    STRCMP_EQUAL("spawn /no/such/program: No such file or directory", child.error().message().c_str());
    CHECK(ChildProcess::spawn(loop, {"no-such-program-in-path"}).error() ==
          std::errc::no_such_file_or_directory);
}

TEST(ChildProcesses, AFileThatCannotBeExecutedIsAnError) {
    CHECK(ChildProcess::spawn(loop, {"/etc/passwd"}, {.output = Stdio::pipe()}).error() ==
          std::errc::permission_denied);
}

TEST(ChildProcesses, ADirectoryThatIsNotThereIsAnErrorThatNamesIt) {
    const Result<ChildProcess> child = ChildProcess::spawn(loop, {"true"}, {.directory = "/no/such/folder"});
    CHECK(child.error() == std::errc::no_such_file_or_directory);
    STRCMP_CONTAINS("/no/such/folder", child.error().message().c_str());
}

TEST(ChildProcesses, NothingIsCutOffAtAZeroByte) {
    using namespace std::string_literals;
    const auto error_of = [this](const std::vector<std::string>& argv, SpawnOptions options = {}) {
        return ChildProcess::spawn(loop, argv, std::move(options)).error().code();
    };
    const std::error_code invalid = std::make_error_code(std::errc::invalid_argument);
    CHECK(error_of({"true\0x"s}) == invalid);
    CHECK(error_of({"true", "a\0b"s}) == invalid);
    CHECK(error_of({"true"}, {.environment = {{"A=b\0c"s}}}) == invalid);
    CHECK(error_of({"true"}, {.directory = "/\0x"s}) == invalid);
}

TEST(ChildProcesses, ADescriptorThatIsNotOpenIsAnError) {
    CHECK(ChildProcess::spawn(loop, {"true"}, {.output = Stdio::fd(3999)}).error() ==
          std::errc::bad_file_descriptor);
}

TEST(ChildProcesses, EachAllocationMayFail) {
    const std::vector<std::string> argv{"true"};
    const SpawnOptions options{.input = Stdio::pipe(), .output = Stdio::pipe(), .environment = {{"A=b"}}};
    std::size_t tried = 0;
    {
        const auto attempt = [&] { const auto child = ChildProcess::spawn(loop, argv, options); };
        tried = for_each_failing_allocation(attempt);
    }
    CHECK(tried > 3);
    until([&] { return children.left().empty(); });
}

TEST(ChildProcesses, EachSystemCallMayFail) {
    long started = 0, refused = 0;
    const nutils::PipeEnds ends = nutils::make_pipe().value();  // not one of the calls that fail
    const long tried = for_each_failing_call(EMFILE, [&] {
        const auto child = ChildProcess::spawn(
            loop, {"true"}, {.input = Stdio::pipe(), .output = Stdio::fd(ends.writing.get())});
        ++(child ? started : refused);
    });
    CHECK(tried > 3);
    CHECK(started > 0);
    CHECK(refused > 0);
    until([&] { return children.left().empty(); });
}

TEST(ChildProcesses, OneThatCannotBeWatchedInAnyWayIsKilledAndReaped) {
    // No pidfd, and no memory to watch SIGCHLD.
    faults.fail("syscall", EMFILE, FaultInjection::kAlways);
    nutils::PipeEnds ends = nutils::make_pipe().value();
    const std::vector<std::string> argv{"cat"};
    const SpawnOptions options{.input = Stdio::fd(ends.reading.get())};
    std::error_code error;
    std::size_t before = 0;
    {
        AllocationFaults allocations;
        allocations.fail_nth(1000);
        { const auto child = ChildProcess::spawn(loop, argv, options); }
        before = allocations.count();
    }
    // The last ones are those of the SignalWatch.
    for (std::size_t n = before; n + 3 > before; --n) {
        AllocationFaults allocations;
        allocations.fail_nth(n);
        const auto child = ChildProcess::spawn(loop, argv, options);
        allocations.stop();
        if (!child) error = child.error().code();
    }
    CHECK(error == std::errc::not_enough_memory);
    ends = {};
    until([&] { return children.left().empty(); });
}
