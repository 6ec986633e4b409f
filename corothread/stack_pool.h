// StackPool: the stacks of all coroutines of one loop, and the throttle: no free stack, no new work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "cutils/export.h"
#include "cutils/intrusive.h"

namespace corothread {

// A piece of memory to run on; it grows down from top(). Below bottom lies the guard.
struct Stack {
    char* bottom;
    std::size_t size;     // bytes, a multiple of the page size
    std::uint32_t index;  // which one of its pool
    [[nodiscard]] char* top() const { return bottom + size; }
    explicit operator bool() const { return bottom != nullptr; }
};

enum class GuardKind {
    automatic,  // markers where the kernel has them, else mprotect
    marker,     // MADV_GUARD_INSTALL, Linux >= 6.13: no VMA a guard, so a million stacks are fine
    mprotect,   // two VMAs a stack: limited by vm.max_map_count
};

// Hears of returned stacks while it has subscribed; see StackPool::subscribe.
class StackObserver : public cutils::ListHook<> {
  public:
    // A stack has come back. Called in the middle of whatever gave it back: only take note.
    virtual void stack_returned() = 0;

  protected:
    ~StackObserver() = default;
};

struct StackPoolOptions {
    std::size_t count = 1000;  // how many stacks at most: the limit on work in progress
    std::size_t pages = 16;    // usable pages a stack (usually 4 KiB each), the guard not counted
    // A frame with a local array steps over a guard narrower than the array. Made one wider where needed to
    // keep the tops of stacks an odd number of pages apart.
    std::size_t guard_pages = 4;
    // Free stacks that keep their memory; those beyond give it back to the kernel when they return.
    std::size_t keep = std::numeric_limits<std::size_t>::max();
    // Install guards as stacks are first needed. Otherwise at construction: all of them with mprotect, the
    // first 65,536 with markers.
    bool on_demand = false;
    GuardKind guard = GuardKind::automatic;
    bool scale = true;  // more pages in builds whose frames are larger: -O0 2 x, TSan 4 x, ASan 8 x
};

// What the stacks of a pool have been used for so far asks for.
struct StackAdvice {
    std::size_t deepest;  // bytes; the deepest of all stacks that still hold memory, in whole pages
    std::size_t size;     // bytes; of a stack
    std::size_t pages;    // what StackPoolOptions::pages should be
    std::string text;     // the same for people
};

// One mapping holds all stacks, each above its guard; memory is used only where a coroutine has touched it.
// Free stacks are reused last-in first-out, hot in the cache.
//
//   StackPool stacks({.count = 100, .pages = 5});   // 100 coroutines at most, 20 KiB each
//
// Owner:   the application; must outlive every loop and coroutine that uses it. Dies with all stacks
//          returned. Not movable.
// Thread:  one OS thread at a time, that of its loop.
// Errors:  std::system_error from the constructor, whose text says what to change: EINVAL for options that
//          make no sense, ENOMEM for address space, EMFILE when vm.max_map_count is too low for mprotect
//          guards. Exhaustion is not an error: take() returns none.
// Cost:    take and give about 1 ns; construction about 0.3 µs a guard (see on_demand).
class EVC_API StackPool {
  public:
    using Options = StackPoolOptions;

    explicit StackPool(Options options);
    StackPool(const StackPool&) = delete;
    StackPool& operator=(const StackPool&) = delete;
    ~StackPool();

    // A free stack, or none (false, its bottom null) when all are in use (or, on demand, when the kernel
    // refuses to guard another).
    [[nodiscard, gnu::always_inline]] Stack take() {
        if (free_count_ == 0 && !make_more()) [[unlikely]]
            return {nullptr, 0, 0};
        const std::uint32_t index = free_[--free_count_];
        if (free_count_ < clean_count_) [[unlikely]]
            took_clean_one();
        return stack(index);
    }

    // Gives a stack back. May be called while still running on it, if the very next thing is to switch away:
    // the memory stays as it is (stacks beyond `keep` are trimmed by the next give or trim).
    [[gnu::always_inline]] void give(const Stack& stack) {
        if (free_count_ - clean_count_ > options_.keep) [[unlikely]]
            trim(options_.keep);
        free_[free_count_++] = stack.index;
        if (!observers_.empty()) [[unlikely]]
            notify();
    }

    // Gives the memory of free stacks back to the kernel, but for the `keep` hottest. They stay usable.
    // Cost: about 1 µs a stack trimmed. Before: not running on a stack given back.
    void trim(std::size_t keep = 0);

    [[nodiscard]] std::size_t capacity() const { return options_.count; }
    [[nodiscard]] std::size_t in_use() const { return made_ - free_count_; }
    [[nodiscard]] std::size_t available() const { return options_.count - in_use(); }
    // The most that were ever in use at once.
    [[nodiscard]] std::size_t peak() const { return peak_; }
    // Units: bytes a stack, after scaling; the guard not counted.
    [[nodiscard]] std::size_t stack_size() const { return stack_bytes_; }
    [[nodiscard]] std::size_t guard_size() const { return guard_bytes_; }
    // What guards the stacks: never automatic.
    [[nodiscard]] GuardKind guard() const { return options_.guard; }

    // The stack of an index that take() has given.
    [[nodiscard]] Stack stack(std::uint32_t index) const {
        return {base_ + index * slot_bytes_ + guard_bytes_, stack_bytes_, index};
    }

    // How deep `stack` has ever been used since it was last trimmed, in whole pages, as the kernel sees it.
    // Units: bytes. Cost: one mincore(2).
    [[nodiscard]] std::size_t high_water(const Stack& stack) const;
    // The deepest of all stacks. Cost: one mincore(2) for each stack ever used.
    [[nodiscard]] std::size_t high_water() const;

    // How many pages what was seen so far asks for: half as much again as the deepest use, twice the size
    // when a stack was used to its last page. It cannot know what has not happened yet: ask after a day of
    // real work, or a test that reaches the deepest code. Cost: as high_water().
    //
    //   log("%s", pool.advise().text.c_str());   // "…: at most 9 of 16 pages used; pages = 14 would do"
    [[nodiscard]] StackAdvice advise() const;

    // From now on `observer` hears of every returned stack, until it leaves by observer.unlink().
    void subscribe(StackObserver& observer) { observers_.push_back(observer); }

  private:
    friend struct PoolList;
    bool make_more();
    void install_guards(std::size_t first, std::size_t count);
    void notify();
    // Never more than now were in use unless one was taken that had not been used since it was made or
    // trimmed.
    void took_clean_one() {
        clean_count_ = free_count_;
        if (in_use() > peak_) peak_ = in_use();
    }

    Options options_;
    std::size_t stack_bytes_ = 0;
    std::size_t guard_bytes_ = 0;
    std::size_t slot_bytes_ = 0;  // guard and stack
    char* base_ = nullptr;

    // free_[0, free_count_): indices of free stacks, the hottest last; the first clean_count_ of them hold no
    // memory.
    std::unique_ptr<std::uint32_t[]> free_;
    std::size_t free_count_ = 0;
    std::size_t clean_count_ = 0;
    std::size_t made_ = 0;  // stacks whose guards are in place: [0, made_)
    std::size_t peak_ = 0;
    cutils::List<StackObserver> observers_;
    StackPool* next_pool_ = nullptr;  // of all pools of the process
};

}  // namespace corothread
