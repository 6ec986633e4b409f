// The switch: the only place where one stack is left for another. Internal to the libraries, and inlined
// there.
//
// What a switch keeps, per stack:
//   - the callee-saved registers and floating-point control words: jump_fcontext does that;
//   - the C++ exception state (the two words behind __cxa_get_globals()): without it, two coroutines that
//   suspend
//     inside `catch` rethrow each other's exceptions;
//   - errno.
// Coroutines never migrate between OS threads, so the addresses of the last two are looked up once a thread.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "corothread/sanitizer_internal.h"
#include "cutils/export.h"

namespace corothread {

// Boost.Context's fcontext layer, under its own symbol names: two pointers in, two pointers out.
struct Transfer {
    void* context;  // where the one who jumped left off
    void* data;     // what it handed over
};
extern "C" {
Transfer evc_jump_fcontext(void* to, void* data) __asm__("jump_fcontext");
void* evc_make_fcontext(void* stack_top, std::size_t size, void (*entry)(Transfer)) __asm__("make_fcontext");
}

// Itanium C++ ABI, 2.2.2: struct __cxa_eh_globals.
struct ExceptionState {
    void* caught_exceptions;
    unsigned int uncaught_exceptions;
    // One branch for both.
    [[nodiscard]] bool any() const {
        return (reinterpret_cast<std::uintptr_t>(caught_exceptions) | uncaught_exceptions) != 0;
    }
};

// Where this OS thread keeps what a switch must save.
struct ThreadLocals {
    ExceptionState* exceptions;
    int* error_number;
    EVC_API static ThreadLocals of_this_thread();
};

// One side of a switch: a stack that is not running, or the one that is.
struct Context {
    void* left_off = nullptr;
    [[no_unique_address]] sanitizer::StackState sanitizer;
};

// jump_fcontext is left by a jump, so entering it by a call would leave one return address too many in the
// CPU's return predictor, and every later return of the resumed coroutine would be mispredicted. Entering it
// by a jump keeps the predictor balanced: 7 ns instead of 44 for a coroutine that suspends five calls deep.
[[gnu::always_inline]] inline Transfer balanced_jump(void* to, void* data) {
#if defined(__x86_64__) && !defined(__SHSTK__)
    Transfer result;
    // Library code has no red zone below the stack pointer (-mno-red-zone), so pushing is safe and the
    // unwinder's picture of this frame is exact at label 1, where a suspended coroutine stands.
#if !COROTHREAD_NO_RED_ZONE
#error "include this header only in code built with -mno-red-zone (see build/rules.mk)"
#endif
    __asm__ volatile(
        "leaq 1f(%%rip), %%rax\n\t"
        "pushq %%rax\n\t"
        "jmp *jump_fcontext@GOTPCREL(%%rip)\n"
        "1:\n\t"
        : "=&a"(result.context), "=&d"(result.data), "+D"(to), "+S"(data)
        :
        : "rcx", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",
          "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "st", "st(1)",
          "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)"
#if defined(__AVX512F__)
          ,
          "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26",
          "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#endif
    );
    return result;
#else
    return evc_jump_fcontext(to, data);
#endif
}

// Marks what make_fcontext has made as where its stack begins. The entry function never returns, and what it
// would return to is code in the middle of make_fcontext, without unwind information: debuggers, profilers
// and backtrace() would go on into nowhere. Zero, as return address and as frame pointer, tells all of them
// to stop. Nothing is done to a frame that does not look as expected.
EVC_API void mark_outermost(void* start_frame);

// What make_fcontext writes at the top of a new stack, to be copied there instead: it stores the
// floating-point control words, which costs as much as a switch. Copies only what was seen to be the same
// wherever it lies.
class StartFrame {
  public:
    using Entry = void (*)(Transfer);

    EVC_API explicit StartFrame(Entry entry);

    // Where a stack whose top is `top`, a multiple of 16, is to be entered.
    [[gnu::always_inline]] inline void* place(char* top, std::size_t size) {
        if (!same_everywhere_) [[unlikely]]
            return evc_make_fcontext(top, size, entry_);
        char* const frame = top - kSize;
        // What follows the first word is aligned: no store straddles two cache lines.
        __builtin_memcpy(frame, bytes_, 8);
        __builtin_memcpy(frame + 8, bytes_ + 8, kSize - 8);
        return frame;
    }

  private:
    static constexpr std::size_t kSize = 0x48;  // x86-64; the constructor finds out whether it is so

    alignas(16) char bytes_[kSize];
    Entry entry_;
    bool same_everywhere_;
};

// In a coroutine's entry function: the same for those who go by unwind information. Nobody is above it.
[[gnu::always_inline]] inline void is_outermost() {
#if defined(__x86_64__)
    __asm__ volatile(".cfi_undefined rip");
#endif
}

// First thing on a stack that was just jumped to: the one who jumped is told where it left off.
[[gnu::always_inline]] inline void arrive([[maybe_unused]] Context& self, Transfer transfer) {
    Context& from = *static_cast<Context*>(transfer.data);
    from.left_off = transfer.context;
    sanitizer::arrived(self.sanitizer, from.sanitizer);
}

// Jumps, and keeps errno: in a register, and jump_fcontext keeps those.
[[gnu::always_inline]] inline void jump_to(Context& self, Context& to, const ThreadLocals& locals) {
    int& error_number = *locals.error_number;
    const int saved = error_number;
    sanitizer::leaving(self.sanitizer, to.sanitizer);
    arrive(self, balanced_jump(to.left_off, &self));
    error_number = saved;
}

// The same for a stack that leaves with exceptions in flight: rare, so out of line. Between switches the
// thread's exception state is always empty; who leaves with some takes it along, and puts it back.
EVC_API void switch_in_catch(Context& self, Context& to, const ThreadLocals& locals);

// Leaves `self`, which is running, for `to`. Returns when somebody switches to `self` again. `locals` are
// those of the OS thread that all of it happens on.
[[gnu::always_inline]] inline void switch_to(Context& self, Context& to, const ThreadLocals& locals) {
    if (locals.exceptions->any()) [[unlikely]]
        return switch_in_catch(self, to, locals);
    jump_to(self, to, locals);
}

// Leaves a stack that has ended; its memory must stay for as long as the jump takes.
[[noreturn, gnu::always_inline]] inline void switch_for_good(Context& self, Context& to) {
    sanitizer::leaving_for_good(to.sanitizer);
    balanced_jump(to.left_off, &self);
    __builtin_unreachable();
}

}  // namespace corothread
