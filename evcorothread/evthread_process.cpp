// The C face: signals and processes.
#include "evcorothread/evthread_process.h"

#include <sys/wait.h>

#include <cstdlib>
#include <span>

#include "evcorothread/child_process.h"
#include "evcorothread/evthread_internal.h"
#include "evcorothread/fork_child.h"
#include "evcorothread/fork_main_internal.h"
#include "evcorothread/signal_queue.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

// ---- EVSIGNAL ----

struct tagEVSIGNAL final : OwnedByLoop {
    tagEVSIGNAL(EVLOOP& its_loop, std::span<const int> numbers)
        : OwnedByLoop(its_loop), queue(its_loop.loop, numbers) {}
    SignalQueue queue;
};

EVSIGNAL* EVSIGNAL_init(EVLOOP* loop, const int* numbers, int count) noexcept {
    if (!usable(loop) || numbers == nullptr || count <= 0) return fail_null(EINVAL);
    return guarded<EVSIGNAL*>(nullptr, [&] {
        return new tagEVSIGNAL(*loop, {numbers, static_cast<std::size_t>(count)});
    });
}

int EVSIGNAL_wait(EVSIGNAL* signals, struct timeval timeout) noexcept {
    if (!may_wait(signals)) return fail(EINVAL);
    return guarded(-1, [&] {
        const cutils::Result<int> number = signals->queue.wait(deadline_of(timeout));
        return number ? *number : fail(number.error().code());
    });
}

int EVSIGNAL_try_wait(EVSIGNAL* signals) noexcept {
    if (!usable(signals)) return fail(EINVAL);
    const std::optional<int> number = signals->queue.try_wait();
    return number ? *number : fail(EAGAIN);
}

int EVSIGNAL_free(EVSIGNAL* signals) noexcept {
    if (!usable(signals)) return fail(EINVAL);
    delete signals;
    return 0;
}

// ---- EVPROCESS ----

namespace {

// As waitpid(2) would have put it.
int waitpid_status(const process::ExitStatus& status) {
    return status.code << 8 | status.signal | (status.core_dumped ? WCOREFLAG : 0);
}

}  // namespace

pid_t EVPROCESS_start(EVLOOP* loop, EVPROCESS_PROC proc, void* user_ctx) noexcept {
    if (!usable(loop) || proc == nullptr) return fail(EINVAL);
    return guarded(-1, [&]() -> pid_t {
        // Not watched here: what watches a process may reap it, and then its end could not be told any more.
        const cutils::Result<pid_t> pid =
            process::fork_main(loop->loop, [proc, user_ctx] { return proc(user_ctx); });
        return pid ? *pid : fail(pid.error().code());
    });
}

pid_t EVPROCESS_fork(EVLOOP* loop) noexcept {
    if (!usable(loop)) return fail(EINVAL);
    return guarded(-1, [&]() -> pid_t {
        const cutils::Result<pid_t> pid = process::fork_child(loop->loop);
        return pid ? *pid : fail(pid.error().code());
    });
}

int EVPROCESS_wait(EVLOOP* loop, pid_t pid, int* status, struct timeval timeout) noexcept {
    if (loop == nullptr || !may_wait_in(*loop) || pid <= 0) return fail(EINVAL);
    return guarded(-1, [&] {
        auto child = process::ChildProcess::adopt(loop->loop, pid);
        if (!child) return fail(child.error().code());
        const cutils::Result<process::ExitStatus> waited = child->wait(deadline_of(timeout));
        // It may have ended in the same pass in which the wait did.
        const std::optional<process::ExitStatus> ended = waited ? *waited : child->status();
        if (!ended) {
            (void)child->release();
            return fail(waited.error().code());
        }
        if (status != nullptr) *status = waitpid_status(*ended);
        return 0;
    });
}
