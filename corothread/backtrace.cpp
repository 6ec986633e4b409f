#include "corothread/backtrace.h"

#include <unwind.h>

#include <algorithm>
#include <cstdint>

#include "corothread/switch_internal.h"

namespace corothread {

// What the unwinder calls for each frame.
struct BacktraceWalk {
    Backtrace& into;
    std::size_t skip;
    const void* begin_behind = nullptr;  // record nothing before this frame has been seen

    void add(const void* frame) {
        if (begin_behind != nullptr) {
            if (frame == begin_behind) begin_behind = nullptr;
            return;
        }
        if (skip > 0) {
            --skip;
            return;
        }
        const std::size_t n = into.count_++;
        if (n < into.frames_.size()) {
            into.frames_[n] = frame;
            return;
        }
        // The outer part slides.
        auto* const outer = into.frames_.data() + Backtrace::kInner;
        std::move(outer + 1, outer + Backtrace::kOuter, outer);
        outer[Backtrace::kOuter - 1] = frame;
    }
    static _Unwind_Reason_Code next(_Unwind_Context* context, void* self) {
        int before_instruction = 0;
        const std::uintptr_t at = _Unwind_GetIPInfo(context, &before_instruction);
        if (at == 0) return _URC_END_OF_STACK;
        // A return address lies behind its call, where a signal came lies the instruction itself: one more,
        // so that all are the same to whoever looks.
        const std::uintptr_t frame = before_instruction != 0 ? at + 1 : at;
        static_cast<BacktraceWalk*>(self)->add(reinterpret_cast<const void*>(frame));
        return _URC_NO_REASON;
    }
    static void run(void* self) { _Unwind_Backtrace(&BacktraceWalk::next, self); }
};

Backtrace Backtrace::here(std::size_t skip) {
    Backtrace result;
    BacktraceWalk walk{result, skip + 1};
    _Unwind_Backtrace(&BacktraceWalk::next, &walk);
    return result;
}

void Backtrace::prepare() { (void)here(); }

#if defined(__x86_64__)

// Calls `function(argument)`, and tells the unwinder that the caller is the suspended stack: where
// jump_fcontext has put the registers of whoever it left is where this frame says that they are.
extern "C" {
[[gnu::visibility("hidden")]] void evc_call_above(const void* left_off, void (*function)(void*),
                                                  void* argument);
[[gnu::visibility("hidden")]] extern const char evc_called_above[];  // where that call returns to
}
__asm__(R"(
    .text
    .p2align 4
    .globl evc_call_above, evc_called_above
    .hidden evc_call_above, evc_called_above
    .type evc_call_above, @function
evc_call_above:
    .cfi_startproc
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    movq %rdi, %rbx
    .cfi_remember_state
    .cfi_def_cfa %rbx, 0x48
    .cfi_offset %rip, -8
    .cfi_offset %rbp, -16
    .cfi_offset %rbx, -24
    .cfi_offset %r15, -32
    .cfi_offset %r14, -40
    .cfi_offset %r13, -48
    .cfi_offset %r12, -56
    movq %rdx, %rdi
    callq *%rsi
evc_called_above:
    .cfi_restore_state
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    retq
    .cfi_endproc
    .size evc_call_above, . - evc_call_above
)");

Backtrace Backtrace::of_suspended(const void* left_off) {
    Backtrace result;
    BacktraceWalk walk{result, 0, evc_called_above};
    evc_call_above(left_off, &BacktraceWalk::run, &walk);
    return result;
}

#else

Backtrace Backtrace::of_suspended(const void*) { return {}; }

#endif

}  // namespace corothread
