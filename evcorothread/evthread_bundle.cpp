// The C face: bundles.
#include "evcorothread/evthread_bundle.h"

#include "evcorothread/bundle.h"
#include "evcorothread/evthread_internal.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

struct tagEVBUNDLE final : OwnedByLoop {
    tagEVBUNDLE(EVLOOP& its_loop, Deadline deadline)
        : OwnedByLoop(its_loop), bundle(its_loop.loop, deadline) {}

    Bundle bundle;
    bool waited_for = false;
    bool ending = false;
};

namespace {

// A child's life, on its own coroutine.
std::error_code run_child(EVLOOP& loop, EVBUNDLE_PROC proc, void* user_ctx) {
    tagEVTHREAD thread(loop, nullptr, user_ctx, this_evthread::name());
    thread.begin();
    errno = 0;
    if (proc(&thread, user_ctx) != -1) return {};
    const int number = errno;
    if (number == ECANCELED) return nutils::NetError::canceled;
    return {number != 0 ? number : EIO, std::generic_category()};
}

bool may_wait_for(const EVBUNDLE* bundle) {
    return usable(bundle) && (bundle->bundle.empty() || may_wait(bundle));
}

// Runs `wait` as the only one who waits.
template <class Wait>
int wait_alone(EVBUNDLE* bundle, Wait&& wait) {
    if (!may_wait_for(bundle)) return fail(EINVAL);
    if (bundle->waited_for) return fail(EBUSY);
    bundle->waited_for = true;
    const int result = guarded(-1, wait);
    bundle->waited_for = false;
    return result;
}

}  // namespace

EVBUNDLE* EVBUNDLE_init(EVLOOP* loop, struct timeval deadline) noexcept {
    if (!usable(loop)) return fail_null(EINVAL);
    return guarded<EVBUNDLE*>(nullptr, [&] { return new tagEVBUNDLE(*loop, deadline_of(deadline)); });
}

int EVBUNDLE_go(EVBUNDLE* bundle, const char* name, EVBUNDLE_PROC proc, void* user_ctx) noexcept {
    if (!usable(bundle) || proc == nullptr) return fail(EINVAL);
    if (bundle->ending) return fail(EBUSY);
    return guarded(-1, [&] {
        bundle->bundle.go(name != nullptr ? name : "child",
                          [&loop = bundle->loop, proc, user_ctx] { return run_child(loop, proc, user_ctx); });
        return 0;
    });
}

int EVBUNDLE_wait(EVBUNDLE* bundle, struct timeval timeout) noexcept {
    return wait_alone(bundle, [&] {
        const cutils::Result<void> waited = bundle->bundle.wait(deadline_of(timeout));
        return waited ? 0 : fail(waited.error().code());
    });
}

int EVBUNDLE_wait_any(EVBUNDLE* bundle, struct timeval timeout) noexcept {
    return wait_alone(bundle, [&] {
        const cutils::Result<std::size_t> left = bundle->bundle.wait_any(deadline_of(timeout));
        if (left) return static_cast<int>(*left);
        const std::error_code error = left.error().code();
        return error == nutils::NetError::closed ? fail(ECHILD) : fail(error);
    });
}

int EVBUNDLE_cancel(EVBUNDLE* bundle) noexcept {
    if (!usable(bundle)) return fail(EINVAL);
    bundle->bundle.cancel();
    return 0;
}

int EVBUNDLE_close(EVBUNDLE* bundle, struct timeval timeout) noexcept {
    return wait_alone(bundle, [&] {
        const cutils::Result<void> closed = bundle->bundle.close(deadline_of(timeout));
        return closed ? 0 : fail(closed.error().code());
    });
}

int EVBUNDLE_size(const EVBUNDLE* bundle) noexcept {
    return usable(bundle) ? static_cast<int>(bundle->bundle.size()) : fail(EINVAL);
}

int EVBUNDLE_free(EVBUNDLE* bundle) noexcept {
    if (!usable(bundle)) return fail(EINVAL);
    EVLOOP& loop = bundle->loop;
    const bool waits = may_wait_in(loop);
    if (!bundle->bundle.empty() && !waits && (loop.running || this_evthread::in_evthread()))
        return fail(EINVAL);
    if (bundle->waited_for) return fail(EBUSY);
    bundle->waited_for = bundle->ending = true;
    // The destructor waits for the children, here or by running the loop.
    const bool runs = !waits && !loop.running;
    if (runs) loop.running = true;
    delete bundle;
    if (runs) loop.running = false;
    return 0;
}
