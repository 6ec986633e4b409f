#include "evcorothread/workers.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "cutils/log.h"
#include "evcorothread/child_process.h"
#include "evcorothread/ev_pipe.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/signal_watch.h"
#include "nutils/byte_buffer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/evcorothread/process_support.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/fd_leak_check.h"

using namespace test_support;
using namespace evcorothread::process;
using Kind = WorkerEvent::Kind;

namespace {

[[maybe_unused]] constexpr Deadline kSoon = 30s;

// What the parent says of its workers, with its clock.
struct Event {
    Kind kind;
    unsigned index;
    pid_t pid;
    int signal;
    TimePoint at;
};

// A server of lines, in a worker: answers each with its process id; "last PID" when it is about to end.
[[maybe_unused]] int serve_lines(Worker& self) {
    StackPool pool({.count = 64, .pages = 16});
    EvLoop loop(pool, any_order());
    bool draining = false;
    auto acceptor = EvTcpAcceptor::adopt(loop, self.take_listener(), [&](EvSocket socket) {
                        nutils::ByteBuffer input(64);
                        while (const IoResult line = socket.recv_until(input, "\n", 64, kSoon)) {
                            input.consume(line.bytes);
                            const bool last = draining;
                            const std::string answer =
                                (last ? "last " : "more ") + std::to_string(::getpid()) + "\n";
                            if (!socket.send_all(answer, kSoon) || last) return;
                        }
                    }).value();
    const SignalWatch stop(loop, {SIGTERM}, [&](int) {
        draining = true;
        acceptor.close();
    });
    self.ready();
    loop.run();
    return 0;
}

// Waits for SIGTERM and nothing else.
[[maybe_unused]] int idle(Worker& self) {
    StackPool pool({.count = 1, .pages = 16});
    EvLoop loop(pool, any_order());
    const EvLoop::Hold hold(loop);
    const SignalWatch stop(loop, {SIGTERM}, [&](int) { loop.stop(); });
    self.ready();
    loop.run();
    return 0;
}

}  // namespace

// Not under TSan: it holds a signal back for whichever coroutine ran when it came, until that one makes a
// system call; a worker that is told to stop may never hear of it. Each of these processes has one OS thread.
#ifndef TEST_SUPPORT_TSAN

TEST_GROUP_BASE(WorkerProcesses, RealTimeFixture) {
    NoChildrenLeft children;
    SockAddr address = SockAddr::loopback(0);
    ChildProcess parent;
    EvPipe events_pipe;
    nutils::ByteBuffer events_input{4096};
    std::vector<Event> events;

    // Starts the parent: a process of its own. `prepare` runs in it first.
    void start(Workers::Main main, WorkersOptions options, std::function<void()> prepare = {}) {
        UniqueFd listener = nutils::listen_stream(address).value();
        address = SockAddr::local_of(listener.get()).value();
        nutils::PipeEnds ends = nutils::make_pipe().value();
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::alarm(100);
            cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
            options.on_event = [&ends](const WorkerEvent& event) {
                char line[128];
                std::snprintf(line, sizeof line, "%d %u %d %d %lld\n", static_cast<int>(event.kind),
                              event.index, static_cast<int>(event.pid), event.status.signal,
                              static_cast<long long>(cutils::monotonic_now().time_since_epoch().count()));
                (void)nutils::write_some(ends.writing.get(), line);
            };
            if (prepare) prepare();
            int code = 99;
            const FdLeakCheck descriptors;
            {
                Workers workers(std::move(listener), std::move(main), std::move(options));
                code = workers.run();
            }
            if (!descriptors.leaked().empty()) code = 98;
            if (!children_of(::getpid()).empty()) code = 97;
            ::_exit(code);
        }
        events_pipe = EvPipe(loop, std::move(ends.reading));
        parent = ChildProcess::adopt(loop, pid).value();
    }

    // The next event that the parent tells of.
    Event next_event() {
        const IoResult line = events_pipe.recv_until(events_input, "\n", 128, kSoon);
        CHECK_TEXT(bool(line), "no event came");
        int kind = 0, pid = 0, signal = 0;
        unsigned index = 0;
        long long at = 0;
        const std::string text(events_input.readable().substr(0, line.bytes));
        CHECK_EQUAL(5, std::sscanf(text.c_str(), "%d %u %d %d %lld", &kind, &index, &pid, &signal, &at));
        events_input.consume(line.bytes);
        events.push_back({static_cast<Kind>(kind), index, pid, signal, TimePoint(Duration(at))});
        return events.back();
    }
    [[nodiscard]] std::size_t count(Kind kind) const {
        return static_cast<std::size_t>(
            std::count_if(events.begin(), events.end(), [&](const Event& e) { return e.kind == kind; }));
    }
    // Until so many events of a kind have come since the beginning; returns the last of them.
    Event until_event(Kind kind, std::size_t times) {
        while (count(kind) < times) (void)next_event();
        return *std::find_if(events.rbegin(), events.rend(), [&](const Event& e) { return e.kind == kind; });
    }
    [[nodiscard]] std::vector<pid_t> pids_of(Kind kind) const {
        std::vector<pid_t> pids;
        for (const Event& e : events)
            if (e.kind == kind) pids.push_back(e.pid);
        return pids;
    }

    // Ends the parent as its owner would, and checks that nothing is left of it.
    void stop(int expected_code = 0, int signal = SIGTERM) {
        CHECK(!parent.kill(signal));
        ended_with(expected_code);
    }
    void ended_with(int expected_code) {
        const ExitStatus status = parent.wait(kSoon).value();
        CHECK_EQUAL(expected_code, status.code);
        CHECK_EQUAL(0, status.signal);
    }

    // One request; what comes back, or "" when the connection breaks.
    static std::string ask(EvSocket & socket, nutils::ByteBuffer & input) {
        if (!socket.send_all("who?\n", kSoon)) return "";
        const IoResult line = socket.recv_until(input, "\n", 64, kSoon);
        if (!line) return "";
        std::string answer(input.readable().substr(0, line.bytes - 1));
        input.consume(line.bytes);
        return answer;
    }
    std::string ask_once() {
        EvSocket socket = EvSocket::connect(loop, address, kSoon).value();
        nutils::ByteBuffer input(64);
        return ask(socket, input);
    }
    static pid_t pid_in(const std::string& answer) {
        return answer.size() > 5 ? std::atoi(answer.c_str() + 5) : 0;
    }

    void teardown() override {
        if (parent.pid() != 0 && !parent.status()) (void)parent.kill(SIGKILL);
        events_pipe.close();
        RealTimeFixture::teardown();
        until([&] { return children.left().empty(); });
    }
};

TEST(WorkerProcesses, AsManyAsAskedAreStartedAndServe) {
    start(serve_lines, {.count = 3});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 3);
        CHECK_EQUAL(3, children_of(parent.pid()).size());
        CHECK(pid_in(ask_once()) != 0);
        stop();
    });
}

TEST(WorkerProcesses, WithoutANumberThereIsOneForEachCpu) {
    start(idle, {});
    in_coroutine([&] {
        cpu_set_t set;
        ::sched_getaffinity(0, sizeof set, &set);
        (void)until_event(Kind::ready, static_cast<std::size_t>(CPU_COUNT(&set)));
        CHECK_EQUAL(CPU_COUNT(&set), children_of(parent.pid()).size());
        stop();
    });
}

TEST(WorkerProcesses, AKilledOneUnderLoadBreaksItsOwnConnectionsOnlyAndIsBackWithinASecond) {
    start(serve_lines, {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        bool done = false;
        pid_t victim = 0;
        int answers = 0, broken = 0, broken_elsewhere = 0, unfinished = 0;
        const auto client = [&] {
            while (!done) {
                auto socket = EvSocket::connect(loop, address, kSoon);
                if (!socket) return void(++broken_elsewhere);
                nutils::ByteBuffer input(64);
                pid_t server = 0;
                while (!done) {
                    const std::string answer = ask(*socket, input);
                    if (answer.empty()) {
                        // Killed before it had said who it is: it may have been the victim, once.
                        ++(server == victim || server == 0 ? broken : broken_elsewhere);
                        break;
                    }
                    server = pid_in(answer);
                    if (victim == 0) victim = server;
                    ++answers;
                }
            }
            --unfinished;
        };
        std::vector<EvThread> load;
        for (int i = 0; i < 10; ++i) {
            ++unfinished;
            load.push_back(go("client", client));
        }
        while (answers < 500) CHECK(!this_evthread::delay(1ms));
        const TimePoint killed_at = loop.precise_now();
        CHECK_EQUAL(0, ::kill(victim, SIGKILL));
        const Event back = until_event(Kind::ready, 3);
        CHECK_TEXT(back.at - killed_at < 1s, "it is not back within a second");
        const int before = answers;
        while (answers < before + 500) CHECK(!this_evthread::delay(1ms));
        done = true;
        for (EvThread& thread : load) CHECK(!thread.join(kSoon));
        CHECK_EQUAL(0, unfinished);
        CHECK(broken > 0);
        CHECK_EQUAL(0, broken_elsewhere);
        const std::vector<pid_t> now = children_of(parent.pid());
        CHECK_EQUAL(2, now.size());
        for (const pid_t pid : now) CHECK(state_of(pid) != 'Z');
        CHECK(std::find(now.begin(), now.end(), victim) == now.end());
        stop();
    });
}

TEST(WorkerProcesses, SigtermUnderLoadLosesNoRequestInFlight) {
    start(serve_lines, {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        int answers = 0, finished = 0, lost = 0, connected = 0;
        std::vector<EvThread> load;
        for (int i = 0; i < 12; ++i)
            load.push_back(go("client", [&] {
                EvSocket socket = EvSocket::connect(loop, address, kSoon).value();
                nutils::ByteBuffer input(64);
                for (bool first = true;; first = false) {
                    const std::string answer = ask(socket, input);
                    connected += first ? 1 : 0;
                    if (answer.empty()) return void(++lost);
                    ++answers;
                    if (answer.starts_with("last")) return void(++finished);
                }
            }));
        while (connected < 12 || answers < 1000) CHECK(!this_evthread::delay(1ms));
        const TimePoint begin = loop.precise_now();
        stop();
        CHECK(loop.precise_now() - begin < 30s);  // the deadline to drain
        for (EvThread& thread : load) CHECK(!thread.join(kSoon));
        CHECK_EQUAL(12, finished);
        CHECK_EQUAL(0, lost);
        (void)until_event(Kind::ended, 2);
        CHECK_EQUAL(0, count(Kind::killed));
    });
}

TEST(WorkerProcesses, SigintStopsThemAsWell) {
    start(idle, {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        for (const pid_t pid : children_of(parent.pid())) ::kill(pid, SIGINT);  // as a terminal does
        stop(0, SIGINT);
        (void)until_event(Kind::ended, 2);
        for (const Event& event : events) CHECK_EQUAL(0, event.signal);  // it was not that which ended them
    });
}

TEST(WorkerProcesses, ManyThatDieAtOnceAreAllReapedAndReplaced) {
    start(idle, {.count = 12});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 12);
        for (const pid_t pid : children_of(parent.pid())) ::kill(pid, SIGKILL);
        (void)until_event(Kind::ready, 24);
        (void)until_event(Kind::ended, 12);
        const std::vector<pid_t> now = children_of(parent.pid());
        CHECK_EQUAL(12, now.size());
        for (const pid_t pid : now) CHECK(state_of(pid) != 'Z');
        stop();
    });
}

TEST(WorkerProcesses, WithoutPidfdsManyThatDieAtOnceAreAllReapedAndReplaced) {
    FaultInjection faults;
    start(idle, {.count = 12},
          [&] { faults.fail("syscall", ENOSYS, FaultInjection::kAlways); });  // in the parent's process
    in_coroutine([&] {
        (void)until_event(Kind::ready, 12);
        for (const pid_t pid : children_of(parent.pid())) ::kill(pid, SIGKILL);
        (void)until_event(Kind::ready, 24);
        const std::vector<pid_t> now = children_of(parent.pid());
        CHECK_EQUAL(12, now.size());
        for (const pid_t pid : now) CHECK(state_of(pid) != 'Z');
        stop();
    });
}

TEST(WorkerProcesses, OneThatKeepsDyingIsRestartedAtOnceThenWithGrowingPauses) {
    start([](Worker&) { return 1; }, {.count = 1, .first_pause = 20ms, .longest_pause = 80ms});
    in_coroutine([&] {
        (void)until_event(Kind::started, 7);
        std::vector<Duration> pauses;
        for (std::size_t i = 1; i < events.size(); ++i)
            if (events[i].kind == Kind::started) pauses.push_back(events[i].at - events[i - 1].at);
        CHECK_EQUAL(6, pauses.size());
        const std::vector<Duration> at_least{0ms, 20ms, 40ms, 80ms, 80ms, 80ms};
        for (std::size_t i = 0; i < pauses.size(); ++i) CHECK(pauses[i] >= at_least[i]);
        stop();
    });
}

TEST(WorkerProcesses, AGoodRunStartsThePausesOver) {
    // Every run is a good one: it never waits for the hour.
    start([](Worker&) { return 1; }, {.count = 1, .first_pause = 1h, .longest_pause = 1h, .good_run = 0s});
    in_coroutine([&] {
        (void)until_event(Kind::started, 5);
        stop();
    });
}

TEST(WorkerProcesses, SigtermDuringAPauseEndsItAtOnce) {
    start([](Worker&) { return 1; }, {.count = 1, .first_pause = 1h, .longest_pause = 1h});
    in_coroutine([&] {
        (void)until_event(Kind::ended, 2);
        stop();
    });
}

TEST(WorkerProcesses, SighupReplacesOneByOneAndNobodyIsRefused) {
    start(serve_lines, {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        const std::vector<pid_t> old = pids_of(Kind::ready);
        bool done = false;
        int answers = 0, refused = 0;
        std::vector<EvThread> load;
        for (int i = 0; i < 4; ++i)
            load.push_back(go("client", [&] {
                while (!done) {
                    auto socket = EvSocket::connect(loop, address, kSoon);
                    nutils::ByteBuffer input(64);
                    const std::string answer = socket ? ask(*socket, input) : "";
                    if (answer.empty()) ++refused;
                    ++answers;
                }
            }));
        while (answers < 100) CHECK(!this_evthread::delay(1ms));
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::reloaded, 1);
        const int before = answers;
        while (answers < before + 100) CHECK(!this_evthread::delay(1ms));
        done = true;
        for (EvThread& thread : load) CHECK(!thread.join(kSoon));
        CHECK_EQUAL(0, refused);

        // The new one ready before the old one is told; the old one gone before the next new one.
        const std::vector<Kind> expected{Kind::started, Kind::ready,   Kind::told,
                                         Kind::ended,   Kind::started, Kind::ready,
                                         Kind::told,    Kind::ended,   Kind::reloaded};
        std::vector<Kind> happened;
        for (std::size_t i = 4; i < events.size(); ++i) happened.push_back(events[i].kind);
        CHECK(happened == expected);
        for (const pid_t pid : children_of(parent.pid()))
            CHECK(std::find(old.begin(), old.end(), pid) == old.end());
        stop();
    });
}

TEST(WorkerProcesses, ANewOneThatDoesNotWorkEndsTheReloadAndTheOldOnesGoOn) {
    start([](Worker& self) { return self.generation() == 0 ? serve_lines(self) : 1; }, {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        const std::vector<pid_t> old = children_of(parent.pid());
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::failed, 1);
        CHECK(children_of(parent.pid()) == old);
        CHECK(pid_in(ask_once()) != 0);
        stop();
    });
}

TEST(WorkerProcesses, ANewOneThatDoesNotBecomeReadyInTimeIsTakenBack) {
    start(
        [](Worker& self) {
            if (self.generation() > 0) {
                ::pause();  // SIGTERM ends it
                return 0;
            }
            return idle(self);
        },
        {.count = 1, .ready_within = 30ms});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 1);
        const std::vector<pid_t> old = children_of(parent.pid());
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::failed, 1);
        CHECK(children_of(parent.pid()) == old);
        stop();
    });
}

TEST(WorkerProcesses, SighupWhileOneIsUnderWayMakesAnotherRound) {
    start(idle, {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::ready, 3);  // it is under way
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::reloaded, 2);
        CHECK_EQUAL(6, count(Kind::ready));
        CHECK_EQUAL(2, children_of(parent.pid()).size());
        stop();
    });
}

TEST(WorkerProcesses, SigtermDuringAReloadEndsTheNewOnesToo) {
    start(
        [](Worker& self) {
            if (self.generation() > 0) {
                ::pause();
                return 0;
            }
            return idle(self);
        },
        {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::started, 3);
        stop();
    });
}

TEST(WorkerProcesses, AConfigurationThatIsNotTakenReplacesNobody) {
    start(idle, {.count = 2, .reload = [] { return false; }});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::failed, 1);
        CHECK_EQUAL(2, count(Kind::started));
        stop();
    });
}

TEST(WorkerProcesses, NewOnesHaveTheConfigurationThatReloadHasRead) {
    int configuration = 1;
    start(
        [&](Worker& self) {
            if (configuration != static_cast<int>(self.generation()) + 1) return 1;
            return idle(self);
        },
        {.count = 1, .reload = [&] {
             ++configuration;
             return true;
         }});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 1);
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::reloaded, 1);
        stop();
    });
}

TEST(WorkerProcesses, OneThatNeverSaysReadyMayCountAsReadyAtStart) {
    start(
        [](Worker&) {
            ::pause();
            return 0;
        },
        {.count = 1, .ready_at_start = true});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 1);
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::reloaded, 1);
        stop();
    });
}

TEST(WorkerProcesses, OneThatDoesNotEndInTimeIsKilledAndTheExitCodeSaysSo) {
    start(
        [](Worker& self) {
            ::signal(SIGTERM, SIG_IGN);
            self.ready();
            for (;;) ::pause();
            return 0;
        },
        {.count = 2, .drain = 30ms});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        stop(1);
        (void)until_event(Kind::ended, 2);
        CHECK_EQUAL(2, count(Kind::killed));
    });
}

TEST(WorkerProcesses, AParentThatIsKilledTakesItsWorkersAlong) {
    nutils::PipeEnds alive =
        nutils::make_pipe().value();  // written by nobody; its end says that all have ended
    start(serve_lines, {.count = 3});
    in_coroutine([&] {
        alive.writing.reset();
        EvPipe end(loop, std::move(alive.reading));
        (void)until_event(Kind::ready, 3);
        CHECK(!parent.kill(SIGKILL));
        char byte;
        CHECK(end.recv({&byte, 1}, kSoon).eof());
        CHECK_EQUAL(SIGKILL, parent.wait(kSoon).value().signal);
    });
}

TEST(WorkerProcesses, AForkThatFailsIsTriedAgain) {
    FaultInjection faults;
    start(idle, {.count = 1, .first_pause = 1ms},
          [&] { faults.fail("timerfd_create", EMFILE, 3, 1); });  // the parent's loop has its own
    in_coroutine([&] {
        (void)until_event(Kind::ready, 1);
        stop();
    });
}

TEST(WorkerProcesses, DescriptorsOfTheParentAreNotInTheWorker) {
    start(
        [](Worker& self) {
            // Its fresh loop would have the lowest free numbers; what is open beyond the listener and what
            // the test had open is its own loop's: epoll, timer, wake-up, signal pair.
            int pidfds = 0;
            for (int fd = 0; fd < 256; ++fd) {
                char target[64] = {};
                const std::string name = "/proc/self/fd/" + std::to_string(fd);
                if (::readlink(name.c_str(), target, sizeof target - 1) > 0)
                    pidfds += std::string_view(target).find("pidfd") != std::string_view::npos ? 1 : 0;
            }
            if (pidfds > 0) return 1;
            return idle(self);
        },
        {.count = 4});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 4);
        CHECK_EQUAL(0, count(Kind::ended));
        stop();
    });
}

TEST(WorkerProcesses, EachIsToldItsIndexAndGeneration) {
    const nutils::PipeEnds ends = nutils::make_pipe().value();
    start(
        [&](Worker& self) {
            const char told[2] = {static_cast<char>('0' + self.index()),
                                  static_cast<char>('0' + self.generation())};
            (void)nutils::write_some(ends.writing.get(), {told, 2});
            return idle(self);
        },
        {.count = 2});
    in_coroutine([&] {
        (void)until_event(Kind::ready, 2);
        CHECK(!parent.kill(SIGHUP));
        (void)until_event(Kind::reloaded, 1);
        std::string told(8, '\0');
        CHECK_EQUAL(8, nutils::read_some(ends.reading.get(), told).bytes);
        const std::set<std::string> all{told.substr(0, 2), told.substr(2, 2), told.substr(4, 2),
                                        told.substr(6, 2)};
        CHECK(all == std::set<std::string>({"00", "10", "01", "11"}));
        stop();
    });
}

TEST(WorkerProcesses, RunningTwiceAborts) {
    STRCMP_CONTAINS("called twice",
                    abort_message([] {
                        cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
                        Workers workers({}, idle, {.count = 1, .on_event = [](const WorkerEvent& event) {
                                                       if (event.kind == Kind::ready) ::raise(SIGTERM);
                                                   }});
                        (void)workers.run();
                        (void)workers.run();
                    }).c_str());
}

TEST(WorkerProcesses, NoMainFunctionAborts) {
    STRCMP_CONTAINS("main function", abort_message([] { Workers workers({}, nullptr); }).c_str());
}

#endif
