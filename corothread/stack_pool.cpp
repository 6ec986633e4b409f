#include "corothread/stack_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "corothread/pool_list_internal.h"
#include "corothread/sanitizer_internal.h"
#include "corothread/stack_guard_internal.h"
#include "cutils/check.h"
#include "cutils/log.h"

namespace corothread {
namespace {

// Guards cost a quarter of a second for a million stacks. A pool that large gets its first ones at
// construction, and the rest, a step at a time, when they are first needed: a marker fails only when there is
// no memory for page tables.
constexpr std::size_t kAtConstruction = 65536;
constexpr std::size_t kStep = 512;
constexpr std::size_t kMprotectStep = 64;  // a call each

std::size_t page_size() {
    static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

[[noreturn]] void fail(int code, const std::string& what) {
    throw std::system_error(code, std::generic_category(), "StackPool: " + what);
}

void check_options(const StackPoolOptions& options) {
    if (options.count == 0 || options.count > std::numeric_limits<std::uint32_t>::max())
        fail(EINVAL, "count must be 1 to 4294967295, not " + std::to_string(options.count));
    if (options.pages == 0 || options.pages > (std::size_t{1} << 30))
        fail(EINVAL, "pages must be 1 to 2^30, not " + std::to_string(options.pages));
    if (options.guard_pages == 0 || options.guard_pages > (std::size_t{1} << 20))
        fail(EINVAL, "guard_pages must be 1 to 2^20, not " + std::to_string(options.guard_pages));
}

// mprotect guards split the mapping: better to say at once that it cannot work than to fail at the 32,745th
// stack.
void check_map_count(std::size_t count) {
    constexpr long kSpare = 1000;  // for the rest of the program
    long limit = 0;
    const long left = guard::mappings_left(limit);
    if (left < 0) return;  // no /proc: let mprotect itself tell
    const auto needed = static_cast<long>(2 * count) + kSpare;
    if (needed <= left) return;
    fail(EMFILE, std::to_string(count) + " stacks with mprotect guards need " + std::to_string(needed) +
                     " memory mappings and " + std::to_string(left) +
                     " are left; raise the limit with `sysctl -w " +
                     "vm.max_map_count=" + std::to_string(limit - left + needed) +
                     "`, use fewer stacks, or run Linux 6.13 or later, which guards without mappings");
}

GuardKind choose_guard(GuardKind wanted, std::size_t count) {
    if (wanted == GuardKind::automatic)
        wanted = guard::markers_available() ? GuardKind::marker : GuardKind::mprotect;
    if (wanted == GuardKind::mprotect) check_map_count(count);
    return wanted;
}

}  // namespace

StackPool::StackPool(Options options) : options_(options) {
    check_options(options_);
    const std::size_t page = page_size();
    const std::size_t pages = options_.pages * (options_.scale ? sanitizer::stack_scale() : 1);
    // An odd number of pages from one stack to the next: the tops of stacks that lie a multiple of eight
    // pages apart, say, would share an eighth of the TLB, and switching among 500 coroutines would cost half
    // as much again.
    if ((pages + options_.guard_pages) % 2 == 0) ++options_.guard_pages;
    stack_bytes_ = pages * page;
    guard_bytes_ = options_.guard_pages * page;
    slot_bytes_ = guard_bytes_ + stack_bytes_;
    options_.guard = choose_guard(options_.guard, options_.count);
    // Behind them, what valgrind calls each stack.
    free_ =
        std::make_unique_for_overwrite<std::uint32_t[]>(options_.count * (sanitizer::wants_stacks() ? 2 : 1));

    std::size_t bytes = 0;
    void* memory = MAP_FAILED;
    if (!__builtin_mul_overflow(slot_bytes_, options_.count, &bytes))
        memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        fail(ENOMEM, "no address space for " + std::to_string(options_.count) + " stacks of " +
                         std::to_string(slot_bytes_) +
                         " bytes; use fewer or smaller ones, or look at `ulimit -v` and " +
                         "vm.overcommit_memory");
    base_ = static_cast<char*>(memory);
    // A huge page under a stack would make every coroutine cost 2 MiB. Kernels without huge pages refuse:
    // fine.
    ::madvise(base_, bytes, MADV_NOHUGEPAGE);
    try {
        if (!options_.on_demand) make_more();
    } catch (...) {
        ::munmap(base_, bytes);
        throw;
    }
    PoolList::enter(*this);
}

StackPool::~StackPool() {
    PoolList::leave(*this);
    EVC_CHECK(in_use() == 0, "a StackPool dies while stacks are in use: end its coroutines and loops first");
    sanitizer::cleared(base_, peak_ * slot_bytes_);  // whoever gets these addresses next
    if (sanitizer::wants_stacks())
        for (std::size_t i = 0; i < made_; ++i) sanitizer::unmapped(free_[options_.count + i]);
    ::munmap(base_, slot_bytes_ * options_.count);
}

// Brings more stacks into being; false when all there may be are there.
bool StackPool::make_more() {
    if (made_ == options_.count) return false;
    const std::size_t left = options_.count - made_;
    const bool markers = options_.guard == GuardKind::marker;
    std::size_t count = left;
    if (options_.on_demand)
        count = std::min(left, markers ? kStep : kMprotectStep);
    else if (markers)
        count = std::min(left, made_ == 0 ? kAtConstruction : kStep);
    try {
        install_guards(made_, count);
    } catch (const std::system_error& error) {
        if (made_ == 0 && !options_.on_demand) throw;
        cutils::log(cutils::LogLevel::error, "%s", error.what());
        return false;
    }
    // The lowest addresses on top: they are used first. Only called when none is free.
    for (std::size_t i = 0; i < count; ++i) free_[i] = static_cast<std::uint32_t>(made_ + count - 1 - i);
    free_count_ = clean_count_ = count;
    made_ += count;
    return true;
}

void StackPool::install_guards(std::size_t first, std::size_t count) {
    const auto install =
        options_.guard == GuardKind::marker ? guard::install_markers : guard::install_mprotect;
    std::size_t done = 0;
    if (const std::error_code error =
            install(base_ + first * slot_bytes_, guard_bytes_, slot_bytes_, count, done))
        throw std::system_error(error, "StackPool: guarding stack " + std::to_string(first + done) + " of " +
                                           std::to_string(options_.count) + " failed; see vm.max_map_count");
    if (!sanitizer::wants_stacks()) return;
    for (std::size_t i = first; i < first + count; ++i) {
        const Stack made = stack(static_cast<std::uint32_t>(i));
        free_[options_.count + i] = sanitizer::mapped(made.bottom, made.top());
    }
}

void StackPool::trim(std::size_t keep) {
    while (free_count_ - clean_count_ > keep) {
        const Stack cold = stack(free_[clean_count_++]);
        ::madvise(cold.bottom, cold.size, MADV_DONTNEED);
    }
}

std::size_t StackPool::high_water(const Stack& stack) const {
    const std::size_t page = page_size();
    std::vector<unsigned char> resident(stack.size / page);
    if (::mincore(stack.bottom, stack.size, resident.data()) != 0) return 0;
    const auto deepest =
        std::find_if(resident.begin(), resident.end(), [](unsigned char r) { return (r & 1) != 0; });
    return static_cast<std::size_t>(resident.end() - deepest) * page;
}

std::size_t StackPool::high_water() const {
    std::size_t deepest = 0;
    for (std::size_t i = 0; i < made_; ++i)
        deepest = std::max(deepest, high_water(stack(static_cast<std::uint32_t>(i))));
    return deepest;
}

StackAdvice StackPool::advise() const {
    const std::size_t deepest = high_water();
    const std::size_t page = page_size();
    const std::size_t used = deepest / page;
    const std::size_t scale = std::max<std::size_t>(stack_bytes_ / (options_.pages * page), 1);
    const std::size_t wanted = deepest == stack_bytes_ ? 2 * used : used + (used + 1) / 2;
    const std::size_t pages = std::max<std::size_t>((wanted + scale - 1) / scale, 2);
    std::string text = "stacks of " + std::to_string(options_.pages) + " pages";
    if (scale > 1) text += " (times " + std::to_string(scale) + " in this build)";
    text += ": at most " + std::to_string(used) + " of " + std::to_string(stack_bytes_ / page) + " used; ";
    if (deepest == 0)
        return {0, stack_bytes_, options_.pages, text + "nothing has run yet, so there is nothing to advise"};
    text += "pages = " + std::to_string(pages);
    text += deepest == stack_bytes_   ? ", or more: the deepest has used all there is"
            : pages > options_.pages  ? " would leave room for half as much again"
            : pages == options_.pages ? " is right"
                                      : " would do";
    return {deepest, stack_bytes_, pages, text};
}

void StackPool::notify() {
    observers_.for_each([](StackObserver& observer) { observer.stack_returned(); });
}

}  // namespace corothread
