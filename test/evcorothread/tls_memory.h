// OpensslMemory: what OpenSSL allocates, counted, and refused when a test says so.
#pragma once

#include <cstddef>

namespace test_support {

// One at a time; faults hit only the thread that made it.
//
//   OpensslMemory memory;
//   memory.fail_nth(7);
//   attempt();
//   memory.stop();
class OpensslMemory {
  public:
    OpensslMemory();
    ~OpensslMemory();
    OpensslMemory(const OpensslMemory&) = delete;
    OpensslMemory& operator=(const OpensslMemory&) = delete;

    // The n-th allocation from now on fails (1: the next); later ones succeed.
    void fail_nth(std::size_t n);
    void stop();
    [[nodiscard]] bool failed() const;

    // Blocks that OpenSSL holds now, in all threads.
    [[nodiscard]] static long blocks();
};

}  // namespace test_support
