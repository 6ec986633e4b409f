// The C face: signals and processes.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cutils/log.h"
#include "evcorothread/evthread_process.h"
#include "test/evcorothread/c_face_fixture.h"
#include "test/evcorothread/process_support.h"
#include "test/support/fault_injection.h"

using namespace c_face_test;

TEST_GROUP_BASE(CFaceSignal, CFace){
    EVSIGNAL *
    watch(std::initializer_list<int> numbers){
        EVSIGNAL* const signals = EVSIGNAL_init(loop, numbers.begin(), static_cast<int>(numbers.size()));
CHECK(signals != nullptr);
return signals;
}
}
;

TEST(CFaceSignal, IsSomethingToWaitFor) {
    Outcome first, second;
    EVSIGNAL* const signals = watch({SIGUSR1, SIGUSR2});
    start([&](EVTHREAD*, EVSOCKET*) {
        first = EVSIGNAL_wait(signals, soon());
        second = EVSIGNAL_wait(signals, soon());
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        ::raise(SIGUSR2);
        EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        ::raise(SIGUSR1);
    });
    run_loop();
    CHECK_OUTCOME(SIGUSR2, 0, first);
    CHECK_OUTCOME(SIGUSR1, 0, second);
}

TEST(CFaceSignal, IsTriedFor) {
    Outcome before, after;
    EVSIGNAL* const signals = watch({SIGUSR1});
    start([&](EVTHREAD* self, EVSOCKET*) {
        before = EVSIGNAL_try_wait(signals);
        ::raise(SIGUSR1);
        EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        after = EVSIGNAL_try_wait(signals);
    });
    run_loop();
    CHECK_OUTCOME(-1, EAGAIN, before);
    CHECK_OUTCOME(SIGUSR1, 0, after);
}

TEST(CFaceSignal, TimesOutAndEndsWhenFreed) {
    Outcome timed_out, freed;
    EVSIGNAL* const signals = watch({SIGUSR1});
    start([&](EVTHREAD*, EVSOCKET*) {
        timed_out = EVSIGNAL_wait(signals, EVTIMEOUT_ms(1));
        freed = EVSIGNAL_wait(signals, EVTIMEOUT_never());
    });
    start([&](EVTHREAD* self, EVSOCKET*) {
        while (timed_out.result == -2) EVTHREAD_delay(self, EVTIMEOUT_ms(1));
        EVTHREAD_yield(self);
        EVSIGNAL_free(signals);
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, timed_out);
    CHECK_OUTCOME(-1, EBADF, freed);
}

TEST(CFaceSignal, RefusesNonsense) {
    const int kill = SIGKILL;
    CHECK_FAILS_NULL(EINVAL, EVSIGNAL_init(nullptr, &kill, 1));
    CHECK_FAILS_NULL(EINVAL, EVSIGNAL_init(loop, nullptr, 1));
    CHECK_FAILS_NULL(EINVAL, EVSIGNAL_init(loop, &kill, 0));
    CHECK_FAILS_NULL(EINVAL, EVSIGNAL_init(loop, &kill, 1));  // cannot be caught
    EVSIGNAL* const signals = watch({SIGUSR1});
    CHECK_FAILS(EINVAL, EVSIGNAL_wait(nullptr, soon()));
    CHECK_FAILS(EINVAL, EVSIGNAL_wait(signals, soon()));  // outside of any coroutine
    CHECK_FAILS(EINVAL, EVSIGNAL_try_wait(nullptr));
    CHECK_FAILS(EINVAL, EVSIGNAL_free(nullptr));
}

TEST_GROUP_BASE(CFaceProcess, CFace) {
    test_support::NoChildrenLeft children;
    int status = -1;
    Outcome waited;

    void wait_for(pid_t pid) {
        start([this, pid](EVTHREAD*, EVSOCKET*) { waited = EVPROCESS_wait(loop, pid, &status, soon()); });
        run_loop();
    }
    void teardown() override {
        CFace::teardown();
        CHECK_EQUAL("", children.left());
    }
};

TEST(CFaceProcess, EndsWithWhatItsProcedureReturns) {
    int code = 42;
    const pid_t pid = EVPROCESS_start(
        loop, [](void* ctx) { return *static_cast<int*>(ctx); }, &code);
    CHECK(pid > 0);
    wait_for(pid);
    CHECK_OUTCOME(0, 0, waited);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(42, WEXITSTATUS(status));
}

TEST(CFaceProcess, IsThereToWaitForEvenIfItHasEndedBeforeItsStartReturned) {
    static bool slow = false;
    static const int registered = ::pthread_atfork(
        nullptr,
        [] {
            siginfo_t info;
            if (slow) (void)::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        },
        nullptr);
    CHECK_EQUAL(0, registered);
    test_support::FaultInjection faults;
    faults.fail("syscall", ENOSYS, test_support::FaultInjection::kAlways);  // no pidfds
    slow = true;
    const pid_t pid = EVPROCESS_start(
        loop, [](void*) { return 3; }, nullptr);
    slow = false;
    CHECK(pid > 0);
    wait_for(pid);
    CHECK_OUTCOME(0, 0, waited);
    CHECK_EQUAL(3, WEXITSTATUS(status));
}

TEST(CFaceProcess, TellsOfTheSignalThatEndedIt) {
    const pid_t pid = EVPROCESS_start(
        loop, [](void*) { return ::raise(SIGKILL); }, nullptr);
    wait_for(pid);
    CHECK_OUTCOME(0, 0, waited);
    CHECK(WIFSIGNALED(status));
    CHECK_EQUAL(SIGKILL, WTERMSIG(status));
}

TEST(CFaceProcess, CanBeWaitedForAgainAfterATimeout) {
    Outcome first;
    const pid_t pid = EVPROCESS_start(
        loop,
        [](void*) {
            ::alarm(60);
            return ::pause();
        },
        nullptr);
    start([&](EVTHREAD*, EVSOCKET*) {
        first = EVPROCESS_wait(loop, pid, nullptr, EVTIMEOUT_ms(1));
        ::kill(pid, SIGKILL);
        waited = EVPROCESS_wait(loop, pid, &status, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, ETIMEDOUT, first);
    CHECK_OUTCOME(0, 0, waited);
    CHECK(WIFSIGNALED(status));
}

TEST(CFaceProcess, ForksHereAndBothLoopsGoOn) {
    const pid_t pid = EVPROCESS_fork(loop);
    if (pid == 0) {
        ::alarm(60);
        EVTIMER_start(EVTIMER_init_one_shot_on_loop(
            loop, 1, EVTIMEOUT_ms(1), [](EVTIMER*, void*) { ::_exit(7); }, nullptr));
        EVLOOP_run(loop);
        ::_exit(8);
    }
    CHECK(pid > 0);
    wait_for(pid);
    CHECK_OUTCOME(0, 0, waited);
    CHECK_EQUAL(7, WEXITSTATUS(status));
}

TEST(CFaceProcess, RefusesNonsense) {
    const EVPROCESS_PROC proc = [](void*) { return 0; };
    CHECK_FAILS(EINVAL, EVPROCESS_start(nullptr, proc, nullptr));
    CHECK_FAILS(EINVAL, EVPROCESS_start(loop, nullptr, nullptr));
    CHECK_FAILS(EINVAL, EVPROCESS_fork(nullptr));
    CHECK_FAILS(EINVAL, EVPROCESS_wait(loop, 1, nullptr, soon()));  // outside of any coroutine
    Outcome no_pid, no_child;
    start([&](EVTHREAD*, EVSOCKET*) {
        no_pid = EVPROCESS_wait(loop, 0, nullptr, soon());
        no_child = EVPROCESS_wait(loop, ::getpid(), nullptr, soon());
    });
    run_loop();
    CHECK_OUTCOME(-1, EINVAL, no_pid);
    CHECK_OUTCOME(-1, ECHILD, no_child);
}

namespace {

struct Ending {
    EVTCPACCEPTOR* acceptor;
    EVSIGNAL* signals;
};

// A worker that tells everybody its process id, until SIGTERM.
int serve_pid(EVWORKER* worker, void*) {
    static const auto say = [](EVTHREAD*, EVSOCKET* socket, void*) {
        const std::string pid = std::to_string(::getpid());
        EVSOCKET_send(socket, pid.data(), pid.size(), 0, soon());
    };
    STACKS stacks;
    STACKS_init(&stacks, 10, 16);
    EVLOOP* const loop = EVLOOP_init(&stacks);
    const int term = SIGTERM;
    Ending ending{EVTCPACCEPTOR_init(
                      loop, EVWORKER_take_listener(worker),
                      [](int, EVTHREAD_PROC* proc, void**) {
                          *proc = say;
                          return 0;
                      },
                      -1, -1),
                  EVSIGNAL_init(loop, &term, 1)};
    if (EVWORKER_take_listener(worker) != -1 || errno != EBADF) return 9;
    if (EVWORKER_index(worker) > 1 || EVWORKER_generation(worker) < 0) return 9;
    EVTHREAD_start(EVTHREAD_init(
                       loop,
                       [](EVTHREAD*, EVSOCKET*, void* ctx) {
                           auto& e = *static_cast<Ending*>(ctx);
                           EVSIGNAL_wait(e.signals, EVTIMEOUT_never());
                           EVTCPACCEPTOR_close(e.acceptor);
                       },
                       &ending),
                   nullptr);
    EVWORKER_ready(worker);
    EVLOOP_run(loop);
    EVLOOP_free(loop);
    return STACKS_destroy(&stacks);
}

// Blocks until the server has said something, or gone.
std::string ask(const SOCKADDR& address) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{10, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    char text[32] = "";
    if (::connect(fd, SOCKADDR_saddr(&address), SOCKADDR_length(&address)) == 0)
        (void)!::recv(fd, text, sizeof text - 1, 0);
    ::close(fd);
    return text;
}

}  // namespace

TEST_GROUP_BASE(CFaceWorkers, CFace) {
    test_support::NoChildrenLeft children;
    SOCKADDR address{};
    int listener = -1;

    void setup() override {
        CFace::setup();
        SOCKADDR_parse(&address, "127.0.0.1:0");
        listener = EVWORKERS_listen(&address, 30, &address);
        CHECK(listener >= 0);
    }
    void teardown() override {
        if (listener >= 0) ::close(listener);
        CFace::teardown();
        CHECK_EQUAL("", children.left());
    }
    // A process with two workers.
    pid_t start_parent() {
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            ::alarm(60);
            cutils::set_log_sink([](cutils::LogLevel, std::string_view, void*) {});
            ::_exit(EVWORKERS_run(2, listener, serve_pid, nullptr));
        }
        ::close(listener);
        listener = -1;
        return pid;
    }
    static int end(pid_t parent) {
        ::kill(parent, SIGTERM);
        int status = -1;
        ::waitpid(parent, &status, 0);
        return status;
    }
};

TEST(CFaceWorkers, ServeTheSharedSocketUntilToldToEnd) {
    const pid_t parent = start_parent();
    const std::string served_by = ask(address);
    CHECK(test_support::eventually([&] { return test_support::children_of(parent).size() == 2; }));
    bool is_a_worker = false;
    for (const pid_t pid : test_support::children_of(parent)) is_a_worker |= std::to_string(pid) == served_by;
    CHECK(is_a_worker);
    CHECK_EQUAL(0, end(parent));
}

TEST(CFaceWorkers, AreStartedAgain) {
    const pid_t parent = start_parent();
    const std::string first = ask(address);
    ::kill(std::stoi(first), SIGKILL);
    CHECK(test_support::eventually([&] {
        const std::vector<pid_t> now = test_support::children_of(parent);
        return now.size() == 2 && std::find(now.begin(), now.end(), std::stoi(first)) == now.end();
    }));
    CHECK(!ask(address).empty());
    CHECK_EQUAL(0, end(parent));
}

TEST(CFaceWorkers, ListenWhereTheySay) {
    SOCKADDR taken = address;
    CHECK(SOCKADDR_port(&address) > 0);
    CHECK_FAILS(EADDRINUSE, EVWORKERS_listen(&taken, 30, nullptr));
}

TEST(CFaceWorkers, RefuseNonsense) {
    SOCKADDR none{};
    CHECK_FAILS(EINVAL, EVWORKERS_listen(nullptr, 30, nullptr));
    CHECK_FAILS(EINVAL, EVWORKERS_listen(&none, 30, nullptr));
    CHECK_FAILS(EINVAL, EVWORKERS_listen(&address, -1, nullptr));
    CHECK_FAILS(EINVAL, EVWORKERS_run(-1, listener, serve_pid, nullptr));
    CHECK_FAILS(EINVAL, EVWORKERS_run(1, listener, nullptr, nullptr));
    CHECK_FAILS(EINVAL, EVWORKERS_run(1, -2, serve_pid, nullptr));
    const Pair pair;
    CHECK_FAILS(EINVAL, EVWORKERS_run(1, pair.near, serve_pid, nullptr));  // does not listen
    ::close(pair.near);
    CHECK_FAILS(EINVAL, EVWORKERS_run_ex(1, listener, serve_pid, nullptr, EVTIMEOUT_ms(0), soon(), nullptr));
    CHECK_FAILS(EINVAL, EVWORKERS_run_ex(1, listener, serve_pid, nullptr, soon(), EVTIMEOUT_ms(-1), nullptr));
    Outcome inside;
    start([&](EVTHREAD*, EVSOCKET*) { inside = EVWORKERS_run(1, listener, serve_pid, nullptr); });
    run_loop();
    CHECK_OUTCOME(-1, EBUSY, inside);
    CHECK_FAILS(EINVAL, EVWORKER_index(nullptr));
    CHECK_FAILS(EINVAL, EVWORKER_generation(nullptr));
    CHECK_FAILS(EINVAL, EVWORKER_take_listener(nullptr));
    CHECK_FAILS(EINVAL, EVWORKER_ready(nullptr));
}
