// AllocationFaults: operator new that fails when told to.
#pragma once

#include <cstddef>
#include <new>

namespace test_support {

// While one exists, allocations (new, new[], and inside libraries) can be made to fail: they throw
// std::bad_alloc or, nothrow, return null. Only those of the thread that made it.
//
//   AllocationFaults faults;
//   faults.fail_nth(1);
//   const auto error = buffer.append("x");      // only the code under test: CHECK may allocate, too
//   faults.stop();
//   CHECK(error == std::errc::not_enough_memory);
//
// Not for memory from malloc(3) or mmap(2).
class AllocationFaults {
  public:
    AllocationFaults();
    ~AllocationFaults();
    AllocationFaults(const AllocationFaults&) = delete;
    AllocationFaults& operator=(const AllocationFaults&) = delete;

    // The n-th allocation from now on fails (1: the next); later ones succeed.
    void fail_nth(std::size_t n);
    // Every allocation from now on fails.
    void fail_all();
    // No more failures. count() and failed() stay.
    void stop();

    // Allocations since fail_nth() or fail_all(), failed ones among them.
    [[nodiscard]] std::size_t count() const;
    [[nodiscard]] std::size_t failed() const;
};

// Runs `attempt` with its first allocation failing, then with its second, and so on until a run needs fewer.
// Returns how many runs met a failure. std::bad_alloc may leave `attempt`; whatever it made must be gone by
// then.
template <class F>
std::size_t for_each_failing_allocation(F&& attempt) {
    for (std::size_t n = 1;; ++n) {
        AllocationFaults faults;
        faults.fail_nth(n);
        try {
            attempt();
        } catch (const std::bad_alloc&) {
        }
        faults.stop();
        if (faults.failed() == 0) return n - 1;
    }
}

}  // namespace test_support
