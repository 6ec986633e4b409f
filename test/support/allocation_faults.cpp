#include "test/support/allocation_faults.h"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "test/support/harness.h"
#include "test/support/sanitizers.h"

#include "CppUTest/MemoryLeakWarningPlugin.h"
#include "CppUTest/PlatformSpecificFunctions_c.h"
#include "CppUTest/TestMemoryAllocator.h"

namespace test_support {
namespace {

struct State {
    std::atomic<bool> armed{false};
    std::atomic<pthread_t> thread{};
    std::atomic<bool> all{false};
    std::atomic<std::size_t> nth{0};
    std::atomic<std::size_t> count{0};
    std::atomic<std::size_t> failed{0};
};
State g_state;

bool must_fail() {
    if (!g_state.armed || !pthread_equal(g_state.thread, pthread_self())) return false;
    const std::size_t number = ++g_state.count;
    if (!g_state.all && number != g_state.nth) return false;
    ++g_state.failed;
    return true;
}

// Where CppUTest watches memory, its allocator is what may fail. The name must stay: it says which delete
// fits.
class FailingAllocator : public TestMemoryAllocator {
  public:
    explicit FailingAllocator(const TestMemoryAllocator& like)
        : TestMemoryAllocator(like.name(), like.alloc_name(), like.free_name()) {}
    char* alloc_memory(size_t size, const char* file, size_t line) override {
        return must_fail() ? nullptr : TestMemoryAllocator::alloc_memory(size, file, line);
    }
};

// Where it does not (under a sanitizer), its operator new is this function.
void* (*g_malloc)(size_t) = nullptr;
void* failing_malloc(size_t size) { return must_fail() ? nullptr : g_malloc(size); }

void arm(bool all, std::size_t nth) {
    g_state.armed = false;
    g_state.thread = pthread_self();
    g_state.all = all;
    g_state.nth = nth;
    g_state.count = 0;
    g_state.failed = 0;
    g_state.armed = true;
}

}  // namespace

AllocationFaults::AllocationFaults() {
    if (!MemoryLeakWarningPlugin::areNewDeleteOverloaded()) {
        g_malloc = PlatformSpecificMalloc;
        PlatformSpecificMalloc = failing_malloc;
        return;
    }
    // For ever: blocks that they gave out remember them.
    static FailingAllocator one(*defaultNewAllocator());
    static FailingAllocator many(*defaultNewArrayAllocator());
    setCurrentNewAllocator(&one);
    setCurrentNewArrayAllocator(&many);
}

AllocationFaults::~AllocationFaults() {
    stop();
    if (g_malloc != nullptr) {
        PlatformSpecificMalloc = g_malloc;
        g_malloc = nullptr;
        return;
    }
    setCurrentNewAllocatorToDefault();
    setCurrentNewArrayAllocatorToDefault();
}

void AllocationFaults::fail_nth(std::size_t n) { arm(false, n); }
void AllocationFaults::fail_all() { arm(true, 0); }
void AllocationFaults::stop() { g_state.armed = false; }
std::size_t AllocationFaults::count() const { return g_state.count; }
std::size_t AllocationFaults::failed() const { return g_state.failed; }

}  // namespace test_support

// CppUTest does not know these, so here they are, for programs that allocate what is over-aligned.
void* operator new(std::size_t size, std::align_val_t alignment) {
    const auto step = static_cast<std::size_t>(alignment);
    void* const memory =
        test_support::must_fail() ? nullptr : std::aligned_alloc(step, (size + step - 1) / step * step);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
