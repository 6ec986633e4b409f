// The C face: stacks, the loop and its coroutine threads.
#include "evcorothread/evthread.h"

#include <cstring>
#include <memory>
#include <new>

#include "evcorothread/evthread_internal.h"
#include "nutils/net_error.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

namespace evcorothread::c_face {

OwnedByLoop::OwnedByLoop(EVLOOP& its_loop) : loop(its_loop) { its_loop.owned.push_back(*this); }

int errno_of_exception() noexcept {
    try {
        throw;
    } catch (const std::bad_alloc&) {
        return ENOMEM;
    } catch (const std::system_error& error) {
        return nutils::to_errno(error.code());
    } catch (...) {
        return EIO;
    }
}

}  // namespace evcorothread::c_face

// ---- STACKS ----

int CTHREAD_libinit() noexcept { return 0; }

namespace {

int make_stacks(STACKS* stacks, int count, int pages, bool on_demand) noexcept {
    if (stacks == nullptr) return fail(EINVAL);
    *stacks = {};  // nothing to be used by mistake when this fails
    if (count <= 0 || pages <= 0) return fail(EINVAL);
    return guarded(-1, [&] {
        stacks->impl = new Stacks({.count = static_cast<std::size_t>(count),
                                   .pages = static_cast<std::size_t>(pages),
                                   .on_demand = on_demand});
        return 0;
    });
}

Stacks* impl_of(const STACKS* stacks) {
    return stacks != nullptr ? static_cast<Stacks*>(stacks->impl) : nullptr;
}

}  // namespace

int STACKS_init(STACKS* stacks, int count, int pages) noexcept {
    return make_stacks(stacks, count, pages, false);
}

int STACKS_init_on_demand(STACKS* stacks, int count, int pages) noexcept {
    return make_stacks(stacks, count, pages, true);
}

int STACKS_in_use(const STACKS* stacks) noexcept {
    const Stacks* const impl = impl_of(stacks);
    return impl != nullptr ? static_cast<int>(impl->pool.in_use()) : fail(EINVAL);
}

int STACKS_destroy(STACKS* stacks) noexcept {
    Stacks* const impl = impl_of(stacks);
    if (impl == nullptr) return fail(EINVAL);
    if (impl->loops > 0) return fail(EBUSY);
    delete impl;
    *stacks = {};
    return 0;
}

// ---- EVLOOP ----

tagEVLOOP::~tagEVLOOP() {
    // Nothing new comes; but the handles stay, for the coroutines that end now.
    acceptors.for_each([](EVTCPACCEPTOR& each) { each.acceptor->close(); });
    timers.for_each([](EVTIMER& each) { each.timer.stop(); });
    loop.shutdown(Deadline::never);
    while (!acceptors.empty()) delete &acceptors.front();
    while (!timers.empty()) delete &timers.front();
    while (!unstarted.empty()) delete &unstarted.front();
    while (!owned.empty()) delete &owned.front();
    --stacks.loops;
}

EVLOOP* EVLOOP_init(STACKS* stacks) noexcept {
    Stacks* const impl = impl_of(stacks);
    if (impl == nullptr) return fail_null(EINVAL);
    return guarded<EVLOOP*>(nullptr, [&] { return new tagEVLOOP(*impl); });
}

int EVLOOP_run(EVLOOP* loop) noexcept {
    // The first run decides which OS thread is the loop's.
    if (loop == nullptr || (loop->ran && !loop->loop.on_loop_thread())) return fail(EINVAL);
    if (loop->running || this_evthread::in_evthread()) return fail(EBUSY);
    loop->running = loop->ran = true;
    const int result = guarded(-1, [&] {
        loop->loop.run();
        return 0;
    });
    loop->running = false;
    return result;
}

int EVLOOP_break(EVLOOP* loop) noexcept {
    if (loop == nullptr) return fail(EINVAL);
    loop->loop.stop();
    return 0;
}

int EVLOOP_free(EVLOOP* loop) noexcept {
    if (!usable(loop)) return fail(EINVAL);
    if (loop->running || this_evthread::in_evthread()) return fail(EBUSY);
    loop->running = true;  // for what the coroutine threads may still try
    delete loop;
    return 0;
}

// ---- EVTHREAD ----

tagEVTHREAD::tagEVTHREAD(EVLOOP& its_loop, EVTHREAD_PROC thread_proc, void* context,
                         std::string_view thread_name)
    : loop(its_loop), proc(thread_proc), user_ctx(context) {
    const std::size_t size = std::min(thread_name.size(), sizeof name - 1);
    std::memcpy(name, thread_name.data(), size);
    name[size] = '\0';
}

tagEVTHREAD::~tagEVTHREAD() {
    unlink();
    while (!timers.empty()) delete &timers.front();
    while (!sockets.empty()) delete &sockets.front();
}

void tagEVTHREAD::begin() {
    started = true;
    core = &ThreadCore::current();
}

void tagEVTHREAD::run(EVSOCKET* socket) {
    begin();
    proc(this, socket, user_ctx);
}

bool tagEVTHREAD::is_current() const {
    return core != nullptr && this_evthread::in_evthread() && core == &ThreadCore::current();
}

EVTHREAD* EVTHREAD_init(EVLOOP* loop, EVTHREAD_PROC thread_proc, void* user_ctx) noexcept {
    if (!usable(loop) || thread_proc == nullptr) return fail_null(EINVAL);
    return guarded<EVTHREAD*>(nullptr, [&] {
        auto* const thread = new tagEVTHREAD(*loop, thread_proc, user_ctx, "evthread");
        loop->unstarted.push_back(*thread);
        return thread;
    });
}

int EVTHREAD_start(EVTHREAD* thread, EVSOCKET* socket) noexcept {
    if (!usable(thread)) return fail(EINVAL);
    if (socket != nullptr && &socket->owner->loop != &thread->loop) return fail(EINVAL);
    if (thread->started) return fail(EBUSY);
    if (socket != nullptr && socket->state == tagEVSOCKET::State::connecting) return fail(EBUSY);
    return guarded(-1, [&] {
        thread->handle = thread->loop.loop.spawn(thread->name, [thread, socket] {
            const std::unique_ptr<EVTHREAD> owned(thread);
            thread->run(socket);
        });
        thread->started = true;
        thread->unlink();
        if (socket != nullptr) {
            socket->unlink();
            socket->owner = thread;
            thread->sockets.push_back(*socket);
        }
        return 0;
    });
}

int EVTHREAD_free(EVTHREAD* thread) noexcept {
    if (!usable(thread)) return fail(EINVAL);
    if (thread->started) return fail(EBUSY);
    delete thread;
    return 0;
}

int EVTHREAD_delay(EVTHREAD* thread, struct timeval delay) noexcept {
    if (thread == nullptr || !thread->is_current()) return fail(EINVAL);
    const std::error_code error = this_evthread::delay(deadline_of(delay));
    return error ? fail(error) : 0;
}

int EVTHREAD_yield(EVTHREAD* thread) noexcept {
    if (thread == nullptr || !thread->is_current()) return fail(EINVAL);
    this_evthread::yield();
    return 0;
}

int EVTHREAD_cancel(EVTHREAD* thread) noexcept {
    if (!usable(thread) || !thread->started) return fail(EINVAL);
    thread->canceled = true;
    if (thread->core != nullptr)
        thread->core->loop.cancel(*thread->core);
    else
        thread->handle.cancel();
    return 0;
}

int EVTHREAD_is_canceled(const EVTHREAD* thread) noexcept {
    if (!usable(thread)) return fail(EINVAL);
    return thread->canceled || (thread->core != nullptr && thread->core->canceled()) ? 1 : 0;
}

int EVTHREAD_set_name(EVTHREAD* thread, const char* name) noexcept {
    if (!usable(thread) || name == nullptr) return fail(EINVAL);
    if (thread->started) return fail(EBUSY);
    const std::size_t size = ::strnlen(name, sizeof thread->name - 1);
    std::memcpy(thread->name, name, size);
    thread->name[size] = '\0';
    return 0;
}

const char* EVTHREAD_name(const EVTHREAD* thread) noexcept {
    return thread != nullptr ? thread->name : static_cast<const char*>(fail_null(EINVAL));
}

EVLOOP* EVTHREAD_loop(const EVTHREAD* thread) noexcept {
    return thread != nullptr ? &thread->loop : static_cast<EVLOOP*>(fail_null(EINVAL));
}
