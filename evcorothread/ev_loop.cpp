#include "evcorothread/ev_loop.h"

#include <algorithm>
#include <cstring>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/bundle.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/net_error.h"

namespace evcorothread {

EvLoop::EvLoop(corothread::StackPool& stacks, Options options)
    : core_(std::make_unique<LoopCore>(*this, stacks, nullptr, options)) {}

EvLoop::EvLoop(corothread::StackPool& stacks, event_base* adopted, Options options) {
    EVC_CHECK(adopted != nullptr, "EvLoop is to adopt an event_base, and there is none");
    core_ = std::make_unique<LoopCore>(*this, stacks, adopted, options);
}

EvLoop::~EvLoop() {
    // In a coroutine of another loop it may be, once it has no coroutine any more.
    EVC_CHECK(t_here.thread == nullptr || (&t_here.thread->loop != core_.get() && core_->thread_count == 0),
              "an EvLoop is destroyed inside one of its coroutines");
    do {
        if (core_->thread_count > 0) shutdown(Deadline::never);
        core_->inbox.drop();
    } while (core_->thread_count > 0);
}

namespace {
void check_runnable(const LoopCore& core) {
    EVC_CHECK(t_here.thread == nullptr, "EvLoop::run() is called inside a coroutine");
    EVC_CHECK(core.owned, "the application runs an adopted event_base, not EvLoop::run()");
    EVC_CHECK(!core.running, "EvLoop::run() is called while it runs");
}
}  // namespace

void EvLoop::run() {
    check_runnable(*core_);
    core_->bind_thread();
    core_->running = true;
    while (!core_->stopping.load(std::memory_order_acquire) && core_->has_work()) core_->pass(true);
    core_->stopping.store(false, std::memory_order_release);
    core_->running = false;
}

void EvLoop::run_ready() {
    check_runnable(*core_);
    core_->bind_thread();
    core_->running = true;
    for (std::uint64_t before = ~core_->io_events; core_->anything_ready() || core_->io_events != before;) {
        before = core_->io_events;
        core_->pass(false);
    }
    core_->running = false;
}

void EvLoop::advance(Duration step) {
    EVC_CHECK(core_->virtual_time, "EvLoop::advance() moves a virtual clock; this loop has a real one");
    const TimePoint end = core_->virtual_now + step;
    run_ready();
    for (TimePoint next = core_->timers.next_due(); next <= end; next = core_->timers.next_due()) {
        core_->advance_to(next);
        run_ready();
    }
    core_->advance_to(end);
    run_ready();
}

void EvLoop::stop() {
    core_->stopping.store(true, std::memory_order_release);
    if (core_->on_thread())
        core_->inbox.ring_here();  // also in a signal handler, which must not lock
    else
        core_->inbox.ring();
}

bool EvLoop::shutdown(Deadline deadline) { return core_->shutdown(deadline); }

bool EvLoop::stack_free_now() const { return core_->stack_free_now(); }

void EvLoop::post(std::function<void()> f) { core_->inbox.post(std::move(f)); }

TimePoint EvLoop::now() const { return core_->now(); }
TimePoint EvLoop::precise_now() const { return core_->precise_now(); }
corothread::StackPool& EvLoop::stacks() const { return core_->stacks; }
event_base* EvLoop::base() const { return core_->base; }
std::size_t EvLoop::thread_count() const { return core_->thread_count; }
bool EvLoop::on_loop_thread() const { return core_->on_thread(); }

void EvLoop::for_each_thread(const std::function<void(const ThreadInfo&)>& visit) const {
    core_->threads.for_each([&visit](ThreadCore& t) {
        visit(
            {t.id, t.name(), t.state(), t.waiting != nullptr ? t.waiting->reason() : nullptr, t.canceled()});
    });
}

EvLoop::Hold::Hold(EvLoop& loop) : loop_(loop) {
    loop_.core().check_thread();
    loop_.core().add_work();
}
EvLoop::Hold::~Hold() {
    loop_.core().check_thread_while_running();
    loop_.core().drop_work();
}

// --- spawns that wait for a stack ---

PendingSpawn& PendingSpawn::create(LoopCore& loop, std::string_view name, const EvLoop::BodyType& type,
                                   void* body) {
    constexpr std::align_val_t alignment{EvLoop::kBodyAlignment};
    constexpr std::size_t offset =
        (sizeof(PendingSpawn) + EvLoop::kBodyAlignment - 1) / EvLoop::kBodyAlignment * EvLoop::kBodyAlignment;
    void* const memory = ::operator new(offset + type.space, alignment);
    auto* const pending = ::new (memory) PendingSpawn;
    pending->pending = true;
    pending->loop = &loop;
    pending->type = &type;
    pending->name_size = static_cast<std::uint8_t>(std::min(name.size(), sizeof pending->name_text));
    std::copy_n(name.data(), pending->name_size, pending->name_text);
    try {
        type.move(static_cast<char*>(memory) + offset, body);
    } catch (...) {
        pending->destroy();
        throw;
    }
    pending->body = static_cast<char*>(memory) + offset;
    loop.wait_for_stack(*pending);
    return *pending;
}

void PendingSpawn::destroy() {
    if (body != nullptr) type->destroy(body);
    this->~PendingSpawn();
    ::operator delete(this, std::align_val_t(EvLoop::kBodyAlignment));
}

// Whoever looks after it sees an end, or an exception that left it.
void PendingSpawn::forget() {
    ThreadCore::tell_end(*this);
    loop->drop_thread();
    destroy();
}

void PendingSpawn::loop_ends() {
    cutils::log(cutils::LogLevel::warning, "coroutine \"%.*s\" never had a stack: its loop ends",
                static_cast<int>(name_size), name_text);
    drop();
}

void PendingSpawn::drop() {
    loop->leave_queue(*this);
    forget();
}

void PendingSpawn::stack_available() {
    ThreadCore* thread = nullptr;
    try {
        thread = loop->start_thread(name(), *type, body);
    } catch (...) {  // the function cannot be moved to its stack: it ends before it has begun
        log_exception("coroutine", name());
        if (handle != nullptr) handle->thrown_ = std::current_exception();
        if (bundle != nullptr) bundle->failed(std::current_exception());
        return forget();
    }
    if (thread == nullptr) return loop->wait_for_stack(*this);
    if (canceled) thread->flags |= kCanceled;
    if (handle != nullptr) {
        thread->handle = handle;
        handle->link_ = thread;
    }
    if (bundle != nullptr) bundle->started(*this, *thread);
    destroy();
}

}  // namespace evcorothread
