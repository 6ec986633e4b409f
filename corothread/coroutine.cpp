#include "corothread/coroutine.h"

#include <cstdint>
#include <new>
#include <system_error>

#include "corothread/switch_internal.h"
#include "cutils/log.h"

namespace corothread {

const char* to_string(CoroutineState state) {
    switch (state) {
        case CoroutineState::created: return "created";
        case CoroutineState::running: return "running";
        case CoroutineState::suspended: return "suspended";
        case CoroutineState::finished: return "finished";
    }
    return "?";
}

struct CoroutineBase::Block {
    StackPool& pool;
    Stack stack;
    const BodyType& type;
    void* body;

    // Where the coroutine, and whoever resumed it, left off; the resumer's side leads to the block.
    struct Side : Context {
        Block* block;
    };
    Context context{};
    Side resumer{};
    ThreadLocals locals{};
    CoroutineState state = CoroutineState::created;
    const char* os_thread = nullptr;  // that resumed it first
    bool killing = false;
    bool ended = false;  // the body is over; the stack waits to be left
    void* in = nullptr;
    void* out = nullptr;
    std::exception_ptr thrown{};

    // The one place where the state changes: legal transitions only (see the picture in the header).
    void move_to(CoroutineState next) {
        using enum CoroutineState;
        const bool legal = (state == created && (next == running || next == finished)) ||
                           (state == running && (next == suspended || next == finished)) ||
                           (state == suspended && next == running);
        EVC_CHECK(legal, "a coroutine is resumed while it runs, or after it has finished");
        state = next;
    }
    [[noreturn]] static void entry(Transfer transfer);
};

namespace {
// Tells OS threads apart, by its address.
__thread char t_os_thread __attribute__((tls_model("initial-exec")));

char* align_down(char* p, std::size_t alignment) {
    return reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(p) & ~(alignment - 1));
}
}  // namespace

CoroutineBase::Block* CoroutineBase::create(StackPool& pool, const BodyType& type, void*& body_memory) {
    const Stack stack = pool.take();
    if (!stack)
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again),
                                "Coroutine: no free stack in the pool");
    sanitizer::cleared(stack.bottom, stack.size);
    char* const block_memory = align_down(stack.top() - sizeof(Block), alignof(Block));
    char* const body = align_down(block_memory - type.size, type.alignment < 16 ? 16 : type.alignment);
    EVC_CHECK(body > stack.bottom + stack.size / 2,
              "what a coroutine captures takes more than half of its stack");
    auto* const block = ::new (block_memory) Block{pool, stack, type, body};
    block->resumer.block = block;
    sanitizer::created(block->context.sanitizer, stack.bottom, stack.size);
    block->context.left_off =
        evc_make_fcontext(body, static_cast<std::size_t>(body - stack.bottom), &Block::entry);
    mark_outermost(block->context.left_off);
    body_memory = body;
    return block;
}

void CoroutineBase::discard(Block* block) {
    StackPool& pool = block->pool;
    const Stack stack = block->stack;
    sanitizer::destroyed(block->context.sanitizer);
    block->~Block();
    pool.give(stack);
}

void CoroutineBase::Block::entry(Transfer transfer) {
    is_outermost();
    Block& block = *static_cast<Side*>(transfer.data)->block;  // who jumps here first is its resumer
    arrive(block.context, transfer);
    try {
        block.type.run(block.body, block);
    } catch (const CoroutineKilled&) {
        if (!block.killing) block.thrown = std::current_exception();
    } catch (...) {
        block.thrown = std::current_exception();
    }
    block.ended = true;
    switch_for_good(block.context, block.resumer);
}

void CoroutineBase::resume_with(void* in, void* out) {
    EVC_CHECK(block_ != nullptr, "a coroutine is resumed after it has finished, or after it was moved away");
    Block& block = *block_;
    block.move_to(CoroutineState::running);
    block.in = in;
    block.out = out;
    if (block.os_thread == nullptr) {
        block.os_thread = &t_os_thread;
        block.locals = ThreadLocals::of_this_thread();
    }
    EVC_CHECK(block.os_thread == &t_os_thread,
              "a coroutine is resumed, or destroyed while it is suspended, on another OS thread than before");
    switch_to(block.resumer, block.context, block.locals);
    if (!block.ended) return;
    block.move_to(CoroutineState::finished);
    const std::exception_ptr thrown = std::move(block.thrown);
    discard(std::exchange(block_, nullptr));
    if (thrown) std::rethrow_exception(thrown);
}

bool CoroutineBase::yield_in(Block& block) {
    block.move_to(CoroutineState::suspended);
    switch_to(block.context, block.resumer, block.locals);
    return !block.killing;
}

void* CoroutineBase::input_of(Block& block) { return block.in; }
void* CoroutineBase::output_of(Block& block) {
    // Before anything is written there: it may have been a local of a resume() that is over.
    EVC_CHECK(block.state == CoroutineState::running, "a coroutine's yield is called while it does not run");
    return block.out;
}

CoroutineState CoroutineBase::state() const {
    return block_ == nullptr ? CoroutineState::finished : block_->state;
}

void CoroutineBase::kill() {
    if (block_ == nullptr) return;
    if (block_->state == CoroutineState::created) {
        block_->type.destroy(block_->body);
        block_->move_to(CoroutineState::finished);
        return discard(std::exchange(block_, nullptr));
    }
    block_->killing = true;
    for (int attempts = 0; block_ != nullptr; ++attempts) {
        EVC_CHECK(attempts < 1000,
                  "a killed coroutine goes on yielding: let CoroutineKilled pass, or return");
        resume_with(nullptr, nullptr);
    }
}

CoroutineBase& CoroutineBase::operator=(CoroutineBase&& other) noexcept {
    if (this != &other) {
        CoroutineBase dying(std::move(*this));
        block_ = std::exchange(other.block_, nullptr);
    }
    return *this;
}

CoroutineBase::~CoroutineBase() {
    try {
        kill();
    } catch (const std::exception& error) {
        cutils::log(cutils::LogLevel::error, "an exception left a coroutine that was being destroyed: %s",
                    error.what());
    } catch (...) {
        cutils::log(cutils::LogLevel::error, "an exception left a coroutine that was being destroyed");
    }
}

}  // namespace corothread
