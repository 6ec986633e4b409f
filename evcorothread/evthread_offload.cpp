// The C face: work for OS threads.
#include "evcorothread/evthread_offload.h"

#include <memory>

#include "evcorothread/evthread_internal.h"
#include "evcorothread/offload.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

struct tagEVOFFLOAD {
    explicit tagEVOFFLOAD(const OffloadOptions& options) : pool(options) {}
    OffloadPool pool;
};

namespace {

// The context, for as long as it may be in use: first it is the job's, then the result's, so it ends where
// those do. (A context that is null is none to drop.)
struct Drop {
    void (*drop)(void*);
    void operator()(void* user_ctx) const {
        if (drop != nullptr) drop(user_ctx);
    }
};
using Context = std::unique_ptr<void, Drop>;

// Offload: offload() or try_offload().
template <class Offload>
int call(EVOFFLOAD* pool, EVOFFLOAD_PROC proc, void* user_ctx, void (*drop)(void*), const timeval& timeout,
         Offload&& offload_it) {
    if (pool == nullptr || proc == nullptr) return fail(EINVAL);
    if (t_here.loop != nullptr && !this_evthread::in_evthread()) return fail(EINVAL);
    return guarded(-1, [&] {
        auto job = [proc, context = Context(user_ctx, Drop{drop})]() mutable {
            proc(context.get());
            return std::move(context);
        };
        cutils::Result<Context> done = offload_it(pool->pool, std::move(job), deadline_of(timeout));
        if (!done) return fail(done.error().code());
        (void)done->release();
        return 0;
    });
}

}  // namespace

EVOFFLOAD* EVOFFLOAD_init(int threads, int queue) noexcept {
    if (threads <= 0 || queue < 0) return fail_null(EINVAL);
    return guarded<EVOFFLOAD*>(nullptr, [&] {
        return new tagEVOFFLOAD(
            {.threads = static_cast<std::size_t>(threads), .queue = static_cast<std::size_t>(queue)});
    });
}

int EVOFFLOAD_call(EVOFFLOAD* pool, EVOFFLOAD_PROC proc, void* user_ctx, void (*drop)(void*),
                   struct timeval timeout) noexcept {
    return call(pool, proc, user_ctx, drop, timeout, [](OffloadPool& p, auto&& job, Deadline deadline) {
        return offload(p, std::forward<decltype(job)>(job), deadline);
    });
}

int EVOFFLOAD_try_call(EVOFFLOAD* pool, EVOFFLOAD_PROC proc, void* user_ctx, void (*drop)(void*),
                       struct timeval timeout) noexcept {
    return call(pool, proc, user_ctx, drop, timeout, [](OffloadPool& p, auto&& job, Deadline deadline) {
        return try_offload(p, std::forward<decltype(job)>(job), deadline);
    });
}

int EVOFFLOAD_free(EVOFFLOAD* pool) noexcept {
    if (pool == nullptr) return fail(EINVAL);
    delete pool;
    return 0;
}
