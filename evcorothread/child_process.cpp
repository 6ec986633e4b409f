#include "evcorothread/child_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/signal_name_internal.h"
#include "evcorothread/signal_watch.h"
#include "nutils/net_error.h"

namespace evcorothread::process {
namespace {

std::error_code system_error(int number) { return {number, std::generic_category()}; }

int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

struct Waiter : cutils::ListHook<> {
    explicit Waiter(const WaitDetail& process) : point("a child process", process) {}
    DescribedPoint point;
};

ExitStatus status_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) return {.code = info.si_status};
    return {.signal = info.si_status, .core_dumped = info.si_code == CLD_DUMPED};
}

}  // namespace

std::string ExitStatus::to_string() const {
    if (signal == 0) return "exited with " + std::to_string(code);
    return "killed by " + signal_name(signal) + (core_dumped ? " (core dumped)" : "");
}

// One process until it is reaped. It belongs to its ChildProcess, and to the loop when that has gone.
struct ChildProcess::Impl final : ReadableListener, LoopCore::Leftover, LoopCore::ForkListener, WaitDetail {
    explicit Impl(EvLoop& l) : loop(l), pidfd(l.core(), -1) { pidfd.listener = this; }
    ~Impl() {
        LoopCore::Leftover::unlink();
        LoopCore::ForkListener::unlink();
        while (!waiters.empty()) waiters.pop_front().point.wake_closed();
    }

    // May throw when neither a pidfd nor SIGCHLD is to be had.
    void begin(pid_t child) {
        pid = child;
        pidfd.fd = open_pidfd(child);
        if (pidfd.fd >= 0 && !pidfd.ensure_registered()) return;
        pidfd.close();
        sigchld.emplace(loop, std::initializer_list<int>{SIGCHLD}, [this](int) { look(); });
        loop.core().fork_listeners.push_back(*this);
        reap();  // the signal may have come before anybody watched
    }

    void readable(FdWatch&) override { look(); }
    // In the child of a fork it is a sibling, whose end no SIGCHLD will tell: look finds that it is nobody's.
    void forked() override { look(); }

    // Several children that end at once make one SIGCHLD: each looks for itself, whoever it was.
    void look() {
        reap();
        if (ended && nobodys) delete this;
    }

    void reap() {
        if (ended) return;
        siginfo_t info = {};
        int result;
        do {
            result = pidfd.fd >= 0 ? ::waitid(P_PIDFD, static_cast<id_t>(pidfd.fd), &info, WEXITED | WNOHANG)
                                   : ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
        } while (result != 0 && errno == EINTR);
        if (result == 0 && info.si_pid == 0) return;  // not yet
        ended = true;
        if (result == 0)
            status = status_of(info);
        else
            error = system_error(errno);
        stop_watching();
        while (!waiters.empty()) waiters.pop_front().point.wake();
    }

    std::string wait_detail() const override { return "process " + std::to_string(pid); }

    void stop_watching() {
        pidfd.close();
        sigchld.reset();
        LoopCore::ForkListener::unlink();
    }

    // The ChildProcess has gone before the process.
    void leave_to_loop() {
        while (!waiters.empty()) waiters.pop_front().point.wake_closed();
        if (pid == 0 || ended) return delete this;
        nobodys = true;
        loop.core().leftovers.push_back(*this);
        look();
    }
    void loop_ends() override {
        reap();
        delete this;
    }

    EvLoop& loop;
    pid_t pid = 0;
    FdWatch pidfd;
    std::optional<SignalWatch> sigchld;  // where there is no pidfd
    bool ended = false;
    bool nobodys = false;
    ExitStatus status;
    std::error_code error;
    cutils::List<Waiter> waiters;
};

ChildProcess::ChildProcess() = default;
ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : impl_(std::exchange(other.impl_, nullptr)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      errors_(std::move(other.errors_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    if (this == &other) return *this;
    if (impl_ != nullptr) impl_->leave_to_loop();
    impl_ = std::exchange(other.impl_, nullptr);
    input_ = std::move(other.input_);
    output_ = std::move(other.output_);
    errors_ = std::move(other.errors_);
    return *this;
}

ChildProcess::~ChildProcess() {
    if (impl_ != nullptr) impl_->leave_to_loop();
}

ChildProcess ChildProcess::prepare(EvLoop& loop) {
    loop.core().check_thread();
    ChildProcess child;
    child.impl_ = new Impl(loop);
    return child;
}

std::error_code ChildProcess::begin(pid_t pid) {
    std::error_code error;
    try {
        impl_->begin(pid);
        return {};
    } catch (const std::system_error& failed) {
        error = failed.code();
    } catch (const std::bad_alloc&) {
        error = std::make_error_code(std::errc::not_enough_memory);
    }
    // Nobody could be told of its end: it must not begin.
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    impl_->pid = 0;
    return error;
}

cutils::Result<ChildProcess> ChildProcess::adopt(EvLoop& loop, pid_t pid) {
    siginfo_t info = {};
    if (pid <= 0 || ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return cutils::Error(system_error(ECHILD), "adopting process " + std::to_string(pid));
    ChildProcess child = prepare(loop);
    if (const std::error_code error = child.begin(pid))
        return cutils::Error(error, "watching process " + std::to_string(pid));
    return child;
}

pid_t ChildProcess::pid() const { return impl_ != nullptr ? impl_->pid : 0; }

cutils::Result<ExitStatus> ChildProcess::wait(Deadline deadline) {
    if (impl_ == nullptr) return std::error_code(nutils::NetError::closed);
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(&self.loop == &impl_->loop.core(), "a ChildProcess is used by a coroutine of another loop");
    if (!impl_->ended) {
        Waiter waiter(*impl_);
        impl_->waiters.push_back(waiter);
        const Wake cause = waiter.point.wait(deadline);
        waiter.unlink();  // *this may be gone: then it is out already
        if (cause != Wake::event) return to_error(cause);
    }
    if (impl_->error) return cutils::Error(impl_->error, "somebody else has reaped the process");
    return impl_->status;
}

std::optional<ExitStatus> ChildProcess::status() const {
    if (impl_ == nullptr || !impl_->ended || impl_->error) return std::nullopt;
    return impl_->status;
}

std::error_code ChildProcess::kill(int signal) {
    if (impl_ == nullptr || impl_->pid == 0 || impl_->ended) return system_error(ESRCH);
    const int pidfd = impl_->pidfd.fd;  // not even somebody else's mistake in reaping hits a stranger
    if (pidfd >= 0) {
        if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return {};
        // Some sandboxes know pidfds and not this call.
        if (errno != ENOSYS && errno != EPERM) return system_error(errno);
    }
    return ::kill(impl_->pid, signal) == 0 ? std::error_code() : system_error(errno);
}

pid_t ChildProcess::release() {
    if (impl_ == nullptr) return 0;
    EVC_CHECK(impl_->waiters.empty(), "ChildProcess::release() while a coroutine waits on it");
    const pid_t pid = impl_->ended ? 0 : impl_->pid;
    delete std::exchange(impl_, nullptr);
    return pid;
}

}  // namespace evcorothread::process
