// What ASan, TSan and valgrind must be told about stacks and switches; nothing at all in ordinary builds.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define COROTHREAD_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define COROTHREAD_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define COROTHREAD_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define COROTHREAD_TSAN 1
#endif

#if COROTHREAD_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if COROTHREAD_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define COROTHREAD_VALGRIND 1
#endif

// Always inlined: TSan counts function entries and exits on the fiber that is current, so none may lie
// between a switch and its return.
namespace corothread::sanitizer {

// What the sanitizers know of one stack. Empty, and free, without them.
struct StackState {
#if COROTHREAD_ASAN
    const void* bottom = nullptr;
    std::size_t size = 0;
    void* fake_stack = nullptr;
#endif
#if COROTHREAD_TSAN
    void* fiber = nullptr;  // where it goes on: another coroutine's, when it was left from inside that one
    void* own = nullptr;
#endif
};

// A stack is about to be written to for a new coroutine: the last one's frames, which were left and never
// returned from, are no more.
[[gnu::always_inline]] inline void cleared([[maybe_unused]] char* bottom, [[maybe_unused]] std::size_t size) {
#if COROTHREAD_ASAN
    __asan_unpoison_memory_region(bottom, size);
#endif
}

// A stack carries a new coroutine.
[[gnu::always_inline]] inline void created([[maybe_unused]] StackState& state, [[maybe_unused]] char* bottom,
                                           [[maybe_unused]] std::size_t size) {
#if COROTHREAD_ASAN
    state.bottom = bottom;
    state.size = size;
#endif
#if COROTHREAD_TSAN
    state.fiber = state.own = __tsan_create_fiber(0);
#endif
}

// Right before the jump away from `from`, which will be back.
[[gnu::always_inline]] inline void leaving([[maybe_unused]] StackState& from,
                                           [[maybe_unused]] StackState& to) {
#if COROTHREAD_ASAN
    __sanitizer_start_switch_fiber(&from.fake_stack, to.bottom, to.size);
#endif
#if COROTHREAD_TSAN
    from.fiber =
        __tsan_get_current_fiber();  // each time: a coroutine may be resumed by different ones in turn
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

// Right before the last jump away from a stack that ends.
[[gnu::always_inline]] inline void leaving_for_good([[maybe_unused]] StackState& to) {
#if COROTHREAD_ASAN
    __sanitizer_start_switch_fiber(nullptr, to.bottom, to.size);
#endif
#if COROTHREAD_TSAN
    __tsan_switch_to_fiber(to.fiber, 0);
#endif
}

// Right after the jump: `self` runs (again), `from` is who jumped.
[[gnu::always_inline]] inline void arrived([[maybe_unused]] StackState& self,
                                           [[maybe_unused]] StackState& from) {
#if COROTHREAD_ASAN
    __sanitizer_finish_switch_fiber(self.fake_stack, &from.bottom, &from.size);
#endif
}

// The stack's coroutine has ended and something else runs.
[[gnu::always_inline]] inline void destroyed([[maybe_unused]] StackState& state) {
#if COROTHREAD_TSAN
    if (state.own != nullptr) __tsan_destroy_fiber(state.own);
    state.own = nullptr;
#endif
}

// Somebody (valgrind) wants to know each stack, and when it goes: a switch to what is mapped there later
// would be taken for one to a coroutine.
inline bool wants_stacks() {
#if COROTHREAD_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}
inline std::uint32_t mapped([[maybe_unused]] char* bottom, [[maybe_unused]] char* top) {
#if COROTHREAD_VALGRIND
    return static_cast<std::uint32_t>(VALGRIND_STACK_REGISTER(bottom, top));
#else
    return 0;
#endif
}
inline void unmapped([[maybe_unused]] std::uint32_t name) {
#if COROTHREAD_VALGRIND
    VALGRIND_STACK_DEREGISTER(name);
#endif
}

// How many times more stack code needs when it is built like this library is.
constexpr std::size_t stack_scale() {
#if COROTHREAD_ASAN
    return 8;
#elif COROTHREAD_TSAN
    return 4;
#elif !defined(__OPTIMIZE__)
    return 2;
#else
    return 1;
#endif
}

}  // namespace corothread::sanitizer
