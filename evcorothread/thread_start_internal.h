// How a coroutine thread begins: its control block, and what it runs, at the top of a stack, and its place
// among those that are ready. Inlined where it happens for every spawn, or for every request. Internal.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "corothread/sanitizer_internal.h"
#include "corothread/stack_pool.h"
#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

static_assert(sizeof(ThreadCore) % EvLoop::kBodyAlignment == 0);
// Tops of stacks lie whole pages apart and would all fall into the same few sets of the cache: spread them.
inline constexpr std::uint32_t kStackColours = 32;
inline constexpr std::size_t kColourStep = 64;

// memcpy of at most 31 bytes, without the call.
[[gnu::always_inline]] inline void copy_short(char* to, const char* from, std::size_t size) {
    const auto ends = [=]<class Word>(Word) {  // two words that may overlap
        Word first, last;
        std::memcpy(&first, from, sizeof first);
        std::memcpy(&last, from + size - sizeof last, sizeof last);
        std::memcpy(to, &first, sizeof first);
        std::memcpy(to + size - sizeof last, &last, sizeof last);
    };
    struct Sixteen {
        std::uint64_t halves[2];
    };
    if (size >= 16) return ends(Sixteen{});
    if (size >= 8) return ends(std::uint64_t{});
    if (size >= 4) return ends(std::uint32_t{});
    for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
}

inline std::uint8_t short_size(std::string_view name) {
    return static_cast<std::uint8_t>(std::min(name.size(), kMostName));
}
[[gnu::always_inline]] inline void copy_name(char* to, std::string_view name) {
    if (!name.empty()) copy_short(to, name.data(), short_size(name));
}

// A name that many threads get one after the other: cut once, and copied whole.
class ThreadName {
  public:
    explicit ThreadName(std::string_view name) : size_(short_size(name)) { copy_name(text_, name); }
    friend std::uint8_t short_size(const ThreadName& name) { return name.size_; }
    friend void copy_name(char* to, const ThreadName& name) {
        std::memcpy(to, name.text_, sizeof name.text_);
    }

  private:
    char text_[sizeof ThreadCore::name_text] = {};
    std::uint8_t size_;
};

template <class Name>
[[gnu::always_inline]] inline ThreadCore::ThreadCore(LoopCore& l, std::uint32_t stack,
                                                     const EvLoop::BodyType& t, const Name& thread_name)
    : ThreadHot(l, t, {l.born_with, short_size(thread_name), false, stack}, l.next_id++),
      TimerNode(&ThreadCore::on_deadline) {
    copy_name(name_text, thread_name);
}

template <class Name>
[[gnu::always_inline]] inline ThreadCore* LoopCore::start_here(const Name& name, const EvLoop::BodyType& type,
                                                               void* body) {
    const corothread::Stack stack = stacks.take();
    if (!stack) return nullptr;
    corothread::sanitizer::cleared(stack.bottom, stack.size);
    // Everything up here is a multiple of 64 bytes, as the top is.
    char* const core_memory = stack.top() - (stack.index % kStackColours) * kColourStep - sizeof(ThreadCore);
    char* const body_memory = core_memory - type.space;
    EVC_CHECK(type.space <= 64 || body_memory > stack.bottom + stack.size / 4,
              "what a coroutine captures takes most of its stack: capture a pointer, or make stacks larger");
    auto* const core = ::new (core_memory) ThreadCore(*this, stack.index, type, name);
    try {
        type.move(body_memory, body);
    } catch (...) {
        stacks.give(core->stack());
        throw;
    }
    corothread::sanitizer::created(core->context.sanitizer, stack.bottom, stack.size);
    core->context.left_off =
        start_frame.place(body_memory, static_cast<std::size_t>(body_memory - stack.bottom));
    threads.set(stack.index, core);
    make_ready(*core);
    return core;
}

}  // namespace evcorothread
