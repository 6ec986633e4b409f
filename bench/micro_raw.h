// Raw jump_fcontext, called as plain C: the unit every other switch is measured in. It saves neither
// exception state nor errno, knows no scheduler, and its caller names the next context itself.
#pragma once

#include <benchmark/benchmark.h>
#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstdlib>
#include <vector>

#include "bench/call_depth.h"

namespace bench::raw {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

inline constexpr std::size_t kStackSize =
    std::size_t{20} * 1024;  // the five pages of the libraries' own examples

// `count` stacks side by side, unguarded, never huge pages: the memory layout every engine could have.
class Stacks {
  public:
    explicit Stacks(std::size_t count) : size_(count * kStackSize) {
        void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (memory == MAP_FAILED) std::abort();
        madvise(memory, size_, MADV_NOHUGEPAGE);
        base_ = static_cast<char*>(memory);
    }
    ~Stacks() { munmap(base_, size_); }
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;

    fcontext_t make(std::size_t index, void (*entry)(transfer_t)) {
        return make_fcontext(base_ + (index + 1) * kStackSize, kStackSize, entry);
    }

  private:
    std::size_t size_;
    char* base_;
};

// The × unit: two contexts, one jump to the other and one back.
inline void ping_pong(benchmark::State& state) {
    Stacks stacks(1);
    transfer_t other{stacks.make(0,
                                 [](transfer_t from) {
                                     for (;;) from = jump_fcontext(from.fctx, nullptr);
                                 }),
                     nullptr};
    for (auto _ : state) other = jump_fcontext(other.fctx, nullptr);
    state.SetItemsProcessed(state.iterations() * 2);
}

// Contexts that each jump to the next one; the benchmark's own is the first.
class Ring {
  public:
    explicit Ring(std::size_t count) : contexts_(count) {}

    void set(std::size_t index, fcontext_t context) { contexts_[index] = context; }

    [[gnu::always_inline]] inline void operator()() {
        current_ = current_ + 1 == contexts_.size() ? 0 : current_ + 1;
        came_back(jump_fcontext(contexts_[current_], this));
    }

    // Whoever is resumed files away the context of the one before it, which has just stopped.
    [[gnu::always_inline]] inline void came_back(transfer_t from) {
        contexts_[(current_ == 0 ? contexts_.size() : current_) - 1] = from.fctx;
    }

  private:
    std::vector<fcontext_t> contexts_;
    std::size_t current_ = 0;
};

template <int Calls>
void ring_member(transfer_t from) {
    Ring& ring = *static_cast<Ring*>(from.data);
    ring.came_back(from);
    for (;;) yield_rounds<Calls>(1000, ring);
}

template <int Calls>
void yield(benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    Stacks stacks(count);
    Ring ring(count);
    for (std::size_t i = 1; i < count; ++i) ring.set(i, stacks.make(i, ring_member<Calls>));
    const std::int64_t rounds = rounds_at_a_time(state.range(0));
    while (state.KeepRunningBatch(rounds)) yield_rounds<Calls>(rounds, ring);
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

// The calls of a deep yield without the yield: no switch can be cheaper than that.
struct Nothing {
    void operator()() const { asm volatile(""); }
};

template <int Calls>
void calls_alone(benchmark::State& state) {
    const Nothing nothing;
    while (state.KeepRunningBatch(1000)) yield_rounds<Calls>(1000, nothing);
    state.SetItemsProcessed(state.iterations());
}

// What taking a stack costs without a pool.
inline void stack_malloc(benchmark::State& state) {
    for (auto _ : state) {
        void* stack = std::malloc(kStackSize);
        benchmark::DoNotOptimize(stack);
        std::free(stack);
    }
    state.SetItemsProcessed(state.iterations());
}

inline void stack_mmap(benchmark::State& state) {
    for (auto _ : state) {
        void* stack =
            mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        benchmark::DoNotOptimize(stack);
        *(static_cast<char*>(stack) + kStackSize - 1) = 0;  // a stack is used: its first page comes in
        munmap(stack, kStackSize);
    }
    state.SetItemsProcessed(state.iterations());
}

}  // namespace bench::raw
