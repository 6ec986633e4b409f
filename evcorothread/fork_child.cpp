#include "evcorothread/fork_child.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/fork_main_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/loop_watch_internal.h"

namespace evcorothread::process {
namespace {

// Holds signals back: between fork and the child's own signal pipe, the handler would tell the parent.
class SignalsHeld {
  public:
    SignalsHeld() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    SignalsHeld(const SignalsHeld&) = delete;
    SignalsHeld& operator=(const SignalsHeld&) = delete;
    ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_;
};

// Returns in both processes, in the child with a loop of its own. `in_child` runs there before signals come
// again. -1 and errno when there is no child.
template <class InChild>
cutils::Result<pid_t> fork_loop(LoopCore& core, bool watch_signals, InChild&& in_child) {
    core.check_thread();
    LoopCore::ForkSpares spares;
    if (const std::error_code error = core.make_spares(spares))
        return cutils::Error(error, "fork_child: descriptors for the child's loop");
    std::fflush(nullptr);
    const SignalsHeld held;
    std::vector<std::function<void()>> parents_posts;  // may post when they die: not under the lock
    std::unique_lock<std::mutex> loops = hold_list_of_loops();
    std::unique_lock<std::mutex> lock = core.inbox.hold();
    const pid_t pid = ::fork();
    const int error = errno;
    if (pid == 0) {
        core.after_fork(std::move(spares), watch_signals);
        parents_posts = core.inbox.take_posted();
        lock.unlock();
        loops.unlock();
        in_child();
        return pid;
    }
    lock.unlock();
    if (pid < 0) return cutils::Error({error, std::generic_category()}, "fork_child: fork");
    return pid;
}

[[noreturn]] void run_main(const std::function<int()>& main) {
    int code = EXIT_FAILURE;
    try {
        code = main();
    } catch (...) {
        log_exception("the main function of a forked process");
    }
    std::fflush(nullptr);
    ::_exit(code);
}

// Runs the child's main function on the loop's stack.
struct MainTask final : LaterTask {
    explicit MainTask(const std::function<int()>& f) : main(f) {}
    void run_later() override { run_main(main); }
    const std::function<int()>& main;
};

void die_with_parent(int signal, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, signal);
    if (::getppid() != parent) ::raise(signal);  // it was faster
}

}  // namespace

cutils::Result<pid_t> fork_child(EvLoop& loop) {
    LoopCore& core = loop.core();
    return fork_loop(core, true, [&core] { core.cancel_others(); });
}

cutils::Result<pid_t> fork_main(EvLoop& loop, const std::function<int()>& main, const ForkOptions& options) {
    EVC_CHECK(main != nullptr, "fork_child() with a main function that is none");
    LoopCore& core = loop.core();
    const pid_t parent = ::getpid();
    const cutils::Result<pid_t> pid = fork_loop(core, false, [&] { FdWatch::close_all(core, options.keep); });
    if (pid && *pid == 0) {
        if (options.when_parent_dies != 0) die_with_parent(options.when_parent_dies, parent);
        MainTask task(main);
        if (t_here.thread != nullptr) core.continue_alone(task);
        task.run_later();
    }
    return pid;
}

// A friend of ChildProcess.
struct Forking {
    static cutils::Result<ChildProcess> with_main(EvLoop& loop, const std::function<int()>& main,
                                                  const ForkOptions& options) {
        ChildProcess child = ChildProcess::prepare(loop);
        const cutils::Result<pid_t> pid = fork_main(loop, main, options);
        if (!pid) return pid.error();
        if (const std::error_code error = child.begin(*pid))
            return cutils::Error(error, "fork_child: watching the child");
        return child;
    }
};

cutils::Result<ChildProcess> fork_child(EvLoop& loop, const std::function<int()>& main,
                                        const ForkOptions& options) {
    return Forking::with_main(loop, main, options);
}

}  // namespace evcorothread::process
