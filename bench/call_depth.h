// Runs something a given number of real calls further down, and returns through all of them.
//
// A switch that leaves by `jmp` puts the processor's return predictor out of step: every `ret` the resumed
// coroutine then executes is mispredicted. A benchmark that yields from the outermost function never sees
// that cost; servers, which yield from deep inside their code, always do.
#pragma once

#include <algorithm>
#include <cstdint>

namespace bench {

template <int Calls, class Body>
[[gnu::noinline]] void run_below(Body& body) {
    if constexpr (Calls == 1) {
        body();
    } else {
        run_below<Calls - 1>(body);
    }
    asm volatile("");  // something left to do after the call: a real return, not a tail jump
}

template <int Calls, class Body>
[[gnu::always_inline]] inline void run_calls_deep(Body&& body) {
    if constexpr (Calls == 0) {
        body();
    } else {
        run_below<Calls>(body);
    }
}

// `rounds` times Yield()(), the given number of calls deep. Every coroutine of a benchmark runs this very
// code, the one that holds the stopwatch too: were they suspended at different places, each return would be
// predicted from the other one's place, and a ring of two would measure that.
template <int Calls, class Yield>
[[gnu::noinline]] void yield_rounds(std::int64_t rounds, Yield& yield) {
    for (; rounds > 0; --rounds) run_calls_deep<Calls>(yield);
}

// How many rounds at a time: the stopwatch must not be looked at too often, nor too rarely.
inline std::int64_t rounds_at_a_time(std::int64_t coroutines) {
    return std::max<std::int64_t>(1, 20000 / coroutines);
}

}  // namespace bench
