// The C face: a parent with worker processes.
#include "evcorothread/evthread_internal.h"
#include "evcorothread/evthread_process.h"
#include "evcorothread/workers.h"
#include "nutils/listen_stream.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_options.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

struct tagEVWORKER {
    process::Worker& worker;
};

namespace {

Duration limit_of(const timeval& time) { return is_never(time) ? Duration::max() : duration_of(time); }

}  // namespace

int EVWORKER_index(const EVWORKER* worker) noexcept {
    return worker != nullptr ? static_cast<int>(worker->worker.index()) : fail(EINVAL);
}

int EVWORKER_generation(const EVWORKER* worker) noexcept {
    return worker != nullptr ? static_cast<int>(worker->worker.generation()) : fail(EINVAL);
}

int EVWORKER_take_listener(EVWORKER* worker) noexcept {
    if (worker == nullptr) return fail(EINVAL);
    nutils::UniqueFd listener = worker->worker.take_listener();
    return listener ? listener.release() : fail(EBADF);
}

int EVWORKER_ready(EVWORKER* worker) noexcept {
    if (worker == nullptr) return fail(EINVAL);
    worker->worker.ready();
    return 0;
}

int EVWORKERS_listen(const SOCKADDR* address, int backlog, SOCKADDR* bound) noexcept {
    if (address == nullptr || backlog < 0) return fail(EINVAL);
    const nutils::SockAddr local = from_c(*address);
    if (local.is_none()) return fail(EINVAL);
    return guarded(-1, [&] {
        auto listener = nutils::listen_stream(local, {.backlog = backlog});
        if (!listener) return fail(listener.error().code());
        if (bound != nullptr) {
            const auto where = nutils::SockAddr::local_of(listener->get());
            if (!where) return fail(where.error().code());
            to_c(*where, *bound);
        }
        return listener->release();
    });
}

int EVWORKERS_run(int count, int listener, EVWORKER_PROC proc, void* user_ctx) noexcept {
    return EVWORKERS_run_ex(count, listener, proc, user_ctx, EVTIMEOUT_ms(30'000), EVTIMEOUT_ms(10'000),
                            nullptr);
}

int EVWORKERS_run_ex(int count, int listener, EVWORKER_PROC proc, void* user_ctx, struct timeval drain,
                     struct timeval ready_within, int (*reload)(void* user_ctx)) noexcept {
    if (count < 0 || proc == nullptr || listener < -1 || (listener >= 0 && nutils::check_listens(listener)))
        return fail(EINVAL);
    process::WorkersOptions options{.count = static_cast<unsigned>(count),
                                    .drain = limit_of(drain),
                                    .ready_within = limit_of(ready_within)};
    if (options.drain <= Duration::zero() || options.ready_within <= Duration::zero()) return fail(EINVAL);
    if (t_here.loop != nullptr) return fail(EBUSY);
    return guarded(-1, [&] {
        nutils::UniqueFd shared(listener);
        if (reload != nullptr) options.reload = [reload, user_ctx] { return reload(user_ctx) == 0; };
        const auto work = [proc, user_ctx](process::Worker& self) {
            EVWORKER worker{self};
            return proc(&worker, user_ctx);
        };
        return process::Workers(std::move(shared), work, std::move(options)).run();
    });
}
