#include "evcorothread/fork_child.h"

#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/bundle.h"
#include "evcorothread/condition.h"
#include "evcorothread/copy_stream.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/mutex.h"
#include "evcorothread/signal_queue.h"
#include "evcorothread/signal_watch.h"
#include "nutils/pipe_ops.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/evcorothread/process_support.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"
#include "test/support/temp_dir.h"

using namespace test_support;
using namespace evcorothread::process;

// Not under TSan: in a forked child its runtime takes every coroutine but the one that forked for a dead
// thread, reports each switch as a race and keeps signals for ever. A child has one OS thread: nothing to
// find there.
#ifndef TEST_SUPPORT_TSAN

namespace {

constexpr Deadline kSoon = 20s;

// In a child no CHECK may fail: the rest of the tests would run there. Its exit code tells: 0, or the number
// of the first thing that was wrong.
class Verdict {
  public:
    Verdict() { ::alarm(patience(30U)); }  // what hangs must not stay
    void expect(bool good) {
        ++number_;
        if (!good && code_ == 0) code_ = number_;
    }
    [[noreturn]] void exit() const { ::_exit(code_); }
    [[nodiscard]] int code() const { return code_; }

  private:
    int number_ = 0;
    int code_ = 0;
};

// Counted by several processes.
struct Shared {
    Shared()
        : value(static_cast<int*>(
              ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    ~Shared() { ::munmap(value, 4096); }
    void add() const { __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST); }
    [[nodiscard]] int get() const { return __atomic_load_n(value, __ATOMIC_SEQ_CST); }
    int* value;
};

}  // namespace

TEST_GROUP_BASE(Forks, RealTimeFixture) {
    FaultInjection faults;
    NoChildrenLeft children;

    void expect_success(pid_t pid) {
        ChildProcess child = ChildProcess::adopt(loop, pid).value();
        STRCMP_EQUAL("exited with 0", child.wait(kSoon).value().to_string().c_str());
    }
    static void expect_success(ChildProcess & child) {
        STRCMP_EQUAL("exited with 0", child.wait(kSoon).value().to_string().c_str());
    }
    void forks_beside_a_sibling() {
        nutils::PipeEnds ends = nutils::make_pipe().value();
        in_coroutine([&] {
            ChildProcess sibling = fork_child(loop, [&] {
                                       ends.writing.reset();
                                       char byte;
                                       (void)nutils::read_some(ends.reading.get(), {&byte, 1});
                                       return 0;
                                   }).value();
            const pid_t pid = fork_child(loop).value();
            if (pid == 0) {
                Verdict verdict;
                ends = {};
                verdict.expect(sibling.wait(kSoon).error() == std::errc::no_child_process);
                verdict.exit();
            }
            ends = {};
            expect_success(pid);
            expect_success(sibling);
        });
    }
    void teardown() override {
        RealTimeFixture::teardown();
        CHECK_EQUAL("", children.left());
    }
};

// ---- as libmill's mfork: returns twice ----

TEST(Forks, ReturnsTwiceInACoroutineAndBothGoOn) {
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(!this_evthread::delay(1ms));
            verdict.expect(!this_evthread::canceled());
            verdict.exit();
        }
        CHECK(!this_evthread::delay(1ms));
        expect_success(pid);
    });
}

TEST(Forks, ReturnsTwiceOutsideOfCoroutines) {
    const pid_t pid = fork_child(loop).value();
    if (pid == 0) {
        Verdict verdict;
        int ran = 0;
        loop.spawn("child", [&] { ran += this_evthread::delay(1ms) ? 0 : 1; });
        loop.run();
        verdict.expect(ran == 1);
        verdict.exit();
    }
    in_coroutine([&] { expect_success(pid); });
}

TEST(Forks, AChildForksAgain) {
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            const pid_t grandchild = fork_child(loop).value();
            if (grandchild == 0) {
                verdict.expect(!this_evthread::delay(1ms));
                verdict.exit();
            }
            auto child = ChildProcess::adopt(loop, grandchild);
            verdict.expect(child->wait(kSoon).value().success());
            verdict.exit();
        }
        expect_success(pid);
    });
}

TEST(Forks, TimersAreEachProcesssOwn) {
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            (void)this_evthread::delay(1h);  // must not be what the parent's timer is set to
            ::_exit(1);
        }
        CHECK(!this_evthread::delay(20ms));
        CHECK(!this_evthread::delay(20ms));
        ChildProcess child = ChildProcess::adopt(loop, pid).value();
        CHECK(child.wait(20ms).error() == NetError::timed_out);
        (void)child.kill(SIGKILL);
        CHECK_EQUAL(SIGKILL, child.wait(kSoon).value().signal);
    });
}

TEST(Forks, ATimerArmedBeforeFiresInBoth) {
    in_coroutine([&] {
        const TimePoint end = loop.now() + 30ms;
        const Shared slept;
        EvThread sleeper = go([&] {
            if (!this_evthread::delay(end)) slept.add();  // canceled in the child
        });
        this_evthread::yield();
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(!this_evthread::delay(end));
            verdict.expect(loop.precise_now() >= end);
            verdict.exit();
        }
        CHECK(!sleeper.join(kSoon));
        expect_success(pid);
        CHECK_EQUAL(1, slept.get());
    });
}

TEST(Forks, AnIdleChildUsesNoCpuAndNeitherDoesItsParent) {
    SignalQueue signals(loop, {SIGUSR1});
    Connection connection = unix_connection(loop);
    EvThread reader = go([&] { (void)received(connection.socket, kSoon); });
    in_coroutine([&] {
        const auto idles = [&] {
            (void)this_evthread::delay(1ms);
            const Duration before = cpu_time();
            (void)this_evthread::delay(200ms);
            return cpu_time() - before < 50ms;
        };
        this_evthread::yield();
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(idles());
            verdict.exit();
        }
        CHECK(idles());
        expect_success(pid);
        reader.cancel();
    });
}

TEST(Forks, WhatWasPostedRunsInTheParentOnly) {
    const Shared runs;
    loop.post([&] { runs.add(); });
    const pid_t pid = fork_child(loop).value();
    if (pid == 0) {
        Verdict verdict;
        loop.spawn([] { this_evthread::yield(); });
        loop.run();
        verdict.expect(runs.get() <= 1);
        verdict.exit();
    }
    in_coroutine([&] { expect_success(pid); });
    CHECK_EQUAL(1, runs.get());
}

TEST(Forks, WhatWasPostedBehindAFunctionThatForksRunsInTheParentOnly) {
    const Shared runs;
    pid_t pid = -1;
    loop.post([&] { pid = fork_child(loop).value(); });
    loop.post([&] { runs.add(); });
    loop.run_ready();
    if (pid == 0) Verdict().exit();
    in_coroutine([&] { expect_success(pid); });
    CHECK_EQUAL(1, runs.get());
}

TEST(Forks, PostsReachTheLoopOfTheirProcess) {
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            EvThread self = loop.spawn([] { (void)this_evthread::delay(20s); });
            loop.post([&] { self.cancel(); });
            verdict.expect(!self.join(10s));
            verdict.exit();
        }
        EvThread self = loop.spawn([] { (void)this_evthread::delay(20s); });
        loop.post([&] { self.cancel(); });
        CHECK(!self.join(10s));
        expect_success(pid);
    });
}

TEST(Forks, ASignalToTheChildDoesNotArriveInTheParent) {
    SignalQueue signals(loop, {SIGUSR1});
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(signals.wait(kSoon).value() == SIGUSR1);
            verdict.exit();
        }
        ::kill(pid, SIGUSR1);
        expect_success(pid);
        CHECK(signals.wait(5ms).error() == NetError::timed_out);
    });
}

TEST(Forks, InTheChildAnotherLoopMayWatchSignalsWhenThisOneHasStopped) {
    auto signals = std::make_unique<SignalQueue>(loop, std::initializer_list<int>{SIGUSR1});
    const pid_t pid = fork_child(loop).value();
    if (pid == 0) {
        static Verdict verdict;
        event_set_log_callback([](int, const char*) { verdict.expect(false); });
        signals.reset();
        StackPool pool({.count = 2, .pages = 16});
        EvLoop fresh(pool, any_order());
        SignalQueue other(fresh, {SIGUSR1});
        fresh.spawn([&] {
            ::raise(SIGUSR1);
            verdict.expect(other.wait(kSoon).ok());
        });
        fresh.run();
        verdict.exit();
    }
    in_coroutine([&] { expect_success(pid); });
}

TEST(Forks, ASignalToTheParentDoesNotArriveInTheChild) {
    SignalQueue signals(loop, {SIGUSR1, SIGUSR2});
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(signals.wait(kSoon).value() == SIGUSR2);  // and not the parent's
            verdict.expect(signals.pending(SIGUSR1) == 0);
            verdict.exit();
        }
        ::raise(SIGUSR1);
        CHECK_EQUAL(SIGUSR1, signals.wait(kSoon).value());
        ::kill(pid, SIGUSR2);
        expect_success(pid);
    });
}

TEST(Forks, SocketsWorkInTheChildAndStillDoInTheParentWhenTheChildHasClosedThem) {
    Connection connection = unix_connection(loop);
    in_coroutine([&] {
        connection.peer_sends("x");
        CHECK_EQUAL("x", received(connection.socket, kSoon));
        (void)received(connection.socket, 1ms);  // registered, and nothing to be had
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(received(connection.socket, kSoon) == "to the child");
            connection.socket.close();
            verdict.expect(!this_evthread::delay(1ms));
            verdict.exit();
        }
        connection.peer_sends("to the child");
        expect_success(pid);
        EvThread reader = go([&] { CHECK_EQUAL("to the parent", received(connection.socket, kSoon)); });
        this_evthread::yield();
        connection.peer_sends("to the parent");
        CHECK(!reader.join(kSoon));
    });
}

TEST(Forks, TheParentMayCloseWhatTheChildGoesOnWith) {
    Connection connection = unix_connection(loop);
    in_coroutine([&] {
        (void)received(connection.socket, 1ms);
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(received(connection.socket, kSoon) == "after");
            verdict.exit();
        }
        connection.socket.close();
        connection.peer_sends("after");
        expect_success(pid);
    });
}

TEST(Forks, OthersEndCanceledInTheChildAndGoOnInTheParent) {
    Connection connection = unix_connection(loop);
    EvThread other = go("other", [&] {
        std::string buffer(10, '\0');
        const IoResult got = connection.socket.recv(buffer, kSoon);
        if (got.canceled()) {
            CancelShield shield(10s);  // not for a copy
            (void)connection.socket.send_all("bye", 1s);
        } else {
            (void)connection.socket.send_all("served", 1s);
        }
    });
    in_coroutine([&] {
        this_evthread::yield();
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(!other.join(kSoon));
            verdict.expect(loop.thread_count() == 1);
            verdict.exit();
        }
        expect_success(pid);
        CHECK(!other.finished());
        connection.peer_sends("x");
        CHECK(!other.join(kSoon));
        CHECK_EQUAL("served", connection.peer_gets());
    });
}

// Forks while `others` do what they do, which they must survive being canceled at in the child.
class BesideFixture : public TEST_GROUP_CppUTestGroupForks {
  public:
    template <class... Others>
    void fork_beside(Others... others) {
        std::vector<EvThread> threads;
        (threads.push_back(go("other", others)), ...);
        in_coroutine([&] {
            CHECK(!this_evthread::delay(1ms));
            const pid_t pid = fork_child(loop).value();
            if (pid == 0) {
                Verdict verdict;
                for (EvThread& other : threads) verdict.expect(!other.join(kSoon));
                verdict.expect(loop.thread_count() == 1);
                verdict.exit();
            }
            expect_success(pid);
            for (EvThread& other : threads) {
                CHECK(!other.finished());
                other.cancel();
                CHECK(!other.join(kSoon));
            }
        });
    }
    // Also in the child, where no CHECK may fail.
    static void must(bool good) {
        if (!good) std::abort();
    }
    static void sleep_well() {
        (void)this_evthread::delay(Deadline::never);
        this_evthread::yield();
    }
};

TEST_GROUP_BASE(ForksBeside, BesideFixture){};

TEST(ForksBeside, ABundleThatEndsWaitsForItsChildrenInTheChildToo) {
    fork_beside([&] {
        Bundle bundle(loop);
        for (int i = 0; i < 3; ++i) bundle.go("child", &sleep_well);
        (void)bundle.wait(Deadline::never);
    });
}

TEST(ForksBeside, ABundleThatIsClosedWaitsForItsChildrenInTheChildToo) {
    fork_beside([&] {
        Bundle bundle(loop);
        bundle.go("child", [&] {
            Bundle inner(loop);
            inner.go("grandchild", &sleep_well);
            (void)inner.wait(Deadline::never);
        });
        (void)bundle.wait(Deadline::never);
        must(bundle.close(Deadline::never).ok() && bundle.empty());
    });
}

TEST(ForksBeside, ABundleWithChildrenThatHadNoStackYet) {
    fork_beside([&] {
        Bundle bundle(loop);
        for (int i = 0; i < 30; ++i) bundle.go("child", &sleep_well);
        (void)bundle.wait(Deadline::never);
    });
}

TEST(ForksBeside, ABundleThatWasEndingAlready) {
    fork_beside([&] {
        {
            Bundle bundle(loop);
            bundle.go("child", [] {
                const CancelShield shield(1h);
                (void)this_evthread::delay(100ms);
            });
            this_evthread::yield();
        }
        (void)this_evthread::delay(Deadline::never);
    });
}

TEST(ForksBeside, CoroutinesAtAConditionGetTheirMutexBack) {
    Mutex mutex;
    Condition condition;
    const auto wait = [&] {
        MutexLock lock(mutex, Deadline::never);
        if (!lock) return;
        must(condition.wait(mutex, Deadline::never) == NetError::canceled && mutex.held());
        this_evthread::yield();
    };
    fork_beside(wait, wait, wait);
}

TEST(ForksBeside, ARelayOfTwoStreamsWaitsForItsCoroutines) {
    Connection one = unix_connection(loop);
    Connection two = unix_connection(loop);
    fork_beside([&] {
        nutils::ByteStream& left = one.socket;
        nutils::ByteStream& right = two.socket;
        (void)relay(left, right, Deadline::never);
    });
}

TEST(Forks, AShieldThatWasUpInAnotherCoroutineEndsInTheChild) {
    const Shared ended;
    EvThread other = go("other", [&] {
        const CancelShield outer(1h);
        {
            const CancelShield inner(1h);
            (void)this_evthread::delay(300ms);
        }
        if (this_evthread::delay(100ms)) ended.add();
    });
    in_coroutine([&] {
        this_evthread::yield();
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(!other.join(150ms));
            verdict.expect(ended.get() == 1);
            verdict.exit();
        }
        expect_success(pid);
        other.cancel();
        CHECK(!other.join(kSoon));
        CHECK_EQUAL(1, ended.get());  // the parent's shields held
    });
}

TEST(Forks, SpawnsThatWaitForAStackNeverStartInTheChild) {
    const Shared started;
    StackPool few({.count = 1});
    EvLoop tight(few, any_order());
    EvThread first = tight.spawn("first", [&] {
        EvThread second = tight.spawn("second", [&] { started.add(); });
        const pid_t pid = fork_child(tight).value();
        if (pid == 0) {
            Verdict verdict;
            verdict.expect(second.finished());
            verdict.expect(tight.thread_count() == 1);
            verdict.exit();
        }
        int status = 0;
        CHECK_EQUAL(pid, ::waitpid(pid, &status, 0));
        CHECK_EQUAL(0, status);
    });
    tight.run();
    CHECK_EQUAL(1, started.get());
}

TEST(Forks, AnAcceptorServesInBoth) {
    const Shared in_child;
    auto acceptor = EvTcpAcceptor::listen(loop, SockAddr::loopback(0), [&](EvSocket socket) {
                        (void)socket.send_all("served", 1s);
                    }).value();
    const SockAddr address = acceptor.local_address();
    in_coroutine([&] {
        const pid_t pid = fork_child(loop).value();
        if (pid == 0) {
            Verdict verdict;
            while (acceptor.accepted() == 0) (void)this_evthread::delay(1ms);
            (void)this_evthread::delay(5ms);
            verdict.exit();
        }
        acceptor.pause();
        EvSocket client = EvSocket::connect(loop, address, kSoon).value();
        CHECK_EQUAL("served", received(client, kSoon));
        expect_success(pid);
        acceptor.resume();
        EvSocket second = EvSocket::connect(loop, address, kSoon).value();
        CHECK_EQUAL("served", received(second, kSoon));
        acceptor.close();
    });
}

TEST(Forks, WorksInAnAdoptedBase) {
    event_base* const base = event_base_new();
    {
        StackPool pool({.count = 4, .pages = 16});
        EvLoop adopted(pool, base, any_order());
        int code = -1;
        bool timer = false;
        EvThread forker = adopted.spawn([&] {
            const pid_t pid = fork_child(adopted).value();
            if (pid == 0) {
                Verdict verdict;
                verdict.expect(!this_evthread::delay(2ms));
                verdict.exit();
            }
            timer = !this_evthread::delay(2ms);
            code = ChildProcess::adopt(adopted, pid).value().wait(kSoon).value().code;
        });
        event_base_dispatch(base);
        CHECK(timer);
        CHECK_EQUAL(0, code);
    }
    event_base_free(base);
}

TEST(Forks, WithoutDescriptorsThereIsAnErrorAndNoChild) {
    faults.fail("timerfd_create", EMFILE);
    CHECK(fork_child(loop).error() == std::errc::too_many_files_open);
    faults.fail("eventfd", ENFILE);
    CHECK(fork_child(loop, [] { return 0; }).error() == std::errc::too_many_files_open_in_system);
    CHECK_EQUAL("", children.left());
}

TEST(Forks, AChildThatCannotLeaveItsParentsLoopEndsOrderly) {
    const LogCapture log;  // the child's line is its own
    faults.fail("dup3", EBUSY);
    std::string end;
    in_coroutine([&] { end = fork_child(loop, [] { return 0; })->wait(kSoon).value().to_string(); });
    CHECK_EQUAL("exited with 1", end);
}

TEST(Forks, WhatIsPrintedIsPrintedOnce) {
    const TempDir folder;
    std::FILE* const file = std::fopen(folder.file("out").c_str(), "we");
    std::fputs("before\n", file);
    in_coroutine([&] {
        ChildProcess child = fork_child(loop, [&] {
                                 std::fputs("child\n", file);
                                 return 0;
                             }).value();
        expect_success(child);
    });
    std::fputs("after\n", file);
    std::fclose(file);
    std::ifstream written(folder.file("out"));
    std::string text(std::istreambuf_iterator<char>(written), {});
    CHECK_EQUAL("before\nchild\nafter\n", text);
}

// ---- the safe form: with a main function ----

TEST(Forks, MainsReturnIsTheExitCode) {
    in_coroutine([&] {
        ChildProcess child = fork_child(loop, [] { return 7; }).value();
        CHECK_EQUAL(7, child.wait(kSoon).value().code);
    });
}

TEST(Forks, MainRunsOutsideOfCoroutinesOnAStackOfTheThreadsSize) {
    in_coroutine([&] {
        ChildProcess child = fork_child(loop, [&] {
                                 Verdict verdict;
                                 verdict.expect(!this_evthread::in_evthread());
                                 volatile char much[1 << 20];  // more than all coroutine stacks have
                                 for (std::size_t i = 0; i < sizeof much; i += 512) much[i] = 1;
                                 verdict.expect(much[512] == 1);
                                 return verdict.code();
                             }).value();
        expect_success(child);
    });
}

TEST(Forks, MainAlsoRunsWhenItWasForkedOutsideOfCoroutines) {
    ChildProcess early = fork_child(loop, [] { return 3; }).value();
    std::optional<ChildProcess> posted;
    loop.post([&] { posted = fork_child(loop, [] { return 4; }).value(); });
    in_coroutine([&] {
        CHECK_EQUAL(3, early.wait(kSoon).value().code);
        while (!posted) this_evthread::yield();
        CHECK_EQUAL(4, posted->wait(kSoon).value().code);
    });
}

TEST(Forks, MainMayRunAFreshLoop) {
    SignalQueue parents(loop, {SIGUSR1});
    in_coroutine([&] {
        ChildProcess child = fork_child(loop, [] {
                                 Verdict verdict;
                                 StackPool pool({.count = 4, .pages = 16});
                                 EvLoop fresh(pool, any_order());
                                 SignalQueue signals(fresh, {SIGUSR1});
                                 EvThread worker = fresh.spawn([&] {
                                     verdict.expect(!this_evthread::delay(1ms));
                                     ::raise(SIGUSR1);
                                     verdict.expect(signals.wait(kSoon).value() == SIGUSR1);
                                     Connection connection = unix_connection(fresh);
                                     EvThread peer = fresh.spawn(
                                         [&] { (void)nutils::send_some(connection.peer.get(), "hello"); });
                                     verdict.expect(received(connection.socket, kSoon) == "hello");
                                 });
                                 fresh.run();
                                 verdict.expect(worker.finished());
                                 return verdict.code();
                             }).value();
        expect_success(child);
        CHECK_EQUAL(0, parents.pending(SIGUSR1));
    });
}

TEST(Forks, AnExceptionOutOfMainIsLoggedAndTheCodeIsOne) {
    const nutils::PipeEnds ends = nutils::make_pipe().value();
    in_coroutine([&] {
        ChildProcess child = fork_child(loop, [&]() -> int {
                                 ::dup2(ends.writing.get(), STDERR_FILENO);
                                 throw std::runtime_error("no configuration");
                             }).value();
        CHECK_EQUAL(1, child.wait(kSoon).value().code);
    });
    char said[512] = {};
    CHECK(::read(ends.reading.get(), said, sizeof said - 1) > 0);
    STRCMP_CONTAINS("no configuration", said);
}

TEST(Forks, OtherCoroutinesDoNotRunInTheChild) {
    const Shared runs;
    EvThread ready = go([&] { runs.add(); });  // behind the one that forks
    in_coroutine([&] {
        EvThread fresh = go([&] { runs.add(); });
        ChildProcess child = fork_child(loop, [] {
                                 StackPool pool({.count = 2, .pages = 16});
                                 EvLoop own(pool, any_order());
                                 own.spawn([] { (void)this_evthread::delay(2ms); });
                                 own.run();
                                 return 0;
                             }).value();
        expect_success(child);
    });
    CHECK_EQUAL(2, runs.get());
}

TEST(Forks, OtherCoroutinesDoNotRunInTheChildOfAShuffledLoopEither) {
    const Shared runs;
    StackPool pool({.count = 40, .pages = 16});
    EvLoop shuffled(pool, {.shuffle_seed = 7});
    for (int i = 0; i < 30; ++i) shuffled.spawn([&] { runs.add(); });
    int code = -1;
    shuffled.spawn([&] {
        ChildProcess child = fork_child(shuffled, [] { return 0; }).value();
        code = child.wait(kSoon).value().code;
    });
    shuffled.run();
    CHECK_EQUAL(0, code);
    CHECK_EQUAL(30, runs.get());
}

TEST(Forks, NoDestructorOfTheParentsObjectsRunsInTheChild) {
    const Shared destroyed;
    in_coroutine([&] {
        struct Guard {
            const Shared& counter;
            ~Guard() { counter.add(); }
        };
        const Guard guard{destroyed};
        ChildProcess child = fork_child(loop, [] { return 0; }).value();
        expect_success(child);
        CHECK_EQUAL(0, destroyed.get());
    });
}

TEST(Forks, WhatTheLoopWatchesIsClosedInTheChildSoThatTheParentsCloseEndsTheConnection) {
    Connection connection = unix_connection(loop);
    nutils::PipeEnds ends = nutils::make_pipe().value();
    in_coroutine([&] {
        (void)received(connection.socket, 1ms);
        ChildProcess child = fork_child(loop, [&] {
                                 ends.writing.reset();
                                 char byte;
                                 (void)nutils::read_some(ends.reading.get(), {&byte, 1});  // until told
                                 return 0;
                             }).value();
        connection.socket.close();
        EvSocket peer(loop, std::move(connection.peer));
        char byte;
        CHECK(peer.recv({&byte, 1}, kSoon).eof());
        ends.writing.reset();
        expect_success(child);
    });
}

TEST(Forks, WhatIsToBeKeptIsKept) {
    Connection connection = unix_connection(loop);
    in_coroutine([&] {
        (void)received(connection.socket, 1ms);
        const int fd = connection.socket.fd();
        ChildProcess child =
            fork_child(loop, [fd] { return nutils::send_some(fd, "from the child") ? 0 : 1; }, {.keep = {fd}})
                .value();
        expect_success(child);
        CHECK_EQUAL("from the child", connection.peer_gets());
    });
}

TEST(Forks, SignalsTheParentsLoopWatchedHaveTheirOldDispositionInTheChild) {
    SignalWatch watch(loop, {SIGTERM}, [](int) {});
    nutils::PipeEnds ends = nutils::make_pipe().value();
    in_coroutine([&] {
        ChildProcess child = fork_child(loop, [&] {
                                 ends.writing.reset();
                                 char byte;
                                 (void)nutils::read_some(ends.reading.get(), {&byte, 1});
                                 return 0;
                             }).value();
        CHECK(!child.kill(SIGTERM));
        CHECK_EQUAL(SIGTERM, child.wait(kSoon).value().signal);
    });
}

TEST(Forks, ASignalHeldBackDuringTheForkIsNotLost) {
    SignalQueue signals(loop, {SIGUSR1});
    in_coroutine([&] {
        for (int round = 0; round < 20; ++round) {
            const pid_t self = ::getpid();
            const pid_t sender = ::fork();
            if (sender == 0) {
                ::kill(self, SIGUSR1);
                ::_exit(0);
            }
            ChildProcess child = fork_child(loop, [] { return 0; }).value();
            CHECK_EQUAL(SIGUSR1, signals.wait(kSoon).value());
            expect_success(child);
            ChildProcess done = ChildProcess::adopt(loop, sender).value();
            expect_success(done);
        }
        CHECK_EQUAL(0, signals.pending(SIGUSR1));
    });
}

TEST(Forks, AChildLearnsThatItsParentHasDied) {
    nutils::PipeEnds alive = nutils::make_pipe().value();
    nutils::PipeEnds ready = nutils::make_pipe().value();
    in_coroutine([&] {
        ChildProcess parent = fork_child(loop, [&] {
                                  StackPool pool({.count = 2, .pages = 16});
                                  EvLoop own(pool, any_order());
                                  alive.reading.reset();
                                  auto child =
                                      fork_child(own,
                                                 [&] {
                                                     (void)nutils::write_some(ready.writing.get(), "r");
                                                     ::alarm(patience(30U));
                                                     for (;;) ::pause();
                                                     return 0;
                                                 },
                                                 {.when_parent_dies = SIGTERM});
                                  for (;;) ::pause();
                                  return 0;
                              }).value();
        alive.writing.reset();
        ready.writing.reset();
        EvPipe told(loop, std::move(ready.reading));
        EvPipe end(loop, std::move(alive.reading));
        char byte;
        CHECK_EQUAL(1, told.recv({&byte, 1}, kSoon).bytes);
        CHECK(!parent.kill(SIGKILL));
        CHECK(end.recv({&byte, 1}, kSoon).eof());  // nobody is left who could write
        CHECK(parent.wait(kSoon));
    });
}

TEST(Forks, WorksWithMainInAnAdoptedBase) {
    event_base* const base = event_base_new();
    {
        StackPool pool({.count = 4, .pages = 16});
        EvLoop adopted(pool, base, any_order());
        int code = -1;
        adopted.spawn([&] {
            ChildProcess child = fork_child(adopted, [] { return 5; }).value();
            code = child.wait(kSoon).value().code;
        });
        event_base_dispatch(base);
        CHECK_EQUAL(5, code);
    }
    event_base_free(base);
}

TEST(Forks, EachAllocationMayFail) {
    std::size_t tried = 0;
    {
        const std::function<int()> main = [] { return 0; };
        tried = for_each_failing_allocation([&] { const auto child = fork_child(loop, main); });
    }
    CHECK(tried > 0);
    until([&] { return children.left().empty(); });
}

TEST(Forks, EachSystemCallMayFail) {
    long started = 0, refused = 0;
    const std::function<int()> main = [] { return 0; };
    (void)for_each_failing_call(EMFILE, [&] { ++(fork_child(loop, main) ? started : refused); });
    CHECK(started > 0);
    CHECK(refused > 0);
    until([&] { return children.left().empty(); });
}

TEST(Forks, ASiblingIsNobodysToWaitForInTheChild) { forks_beside_a_sibling(); }

TEST(Forks, ASiblingIsNobodysToWaitForWithoutPidfdsEither) {
    faults.fail("syscall", ENOSYS, FaultInjection::kAlways);
    forks_beside_a_sibling();
}

TEST(Forks, WithoutAMainFunctionAborts) {
    STRCMP_CONTAINS("main function", abort_message([&] { (void)fork_child(loop, nullptr); }).c_str());
}

TEST(Forks, OnAnotherThreadThanTheLoopsAborts) {
    loop.run_ready();
    STRCMP_CONTAINS("used on another OS thread",
                    abort_message([&] { std::thread([&] { (void)fork_child(loop); }).join(); }).c_str());
}

#endif
