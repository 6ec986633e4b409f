// CrossSemaphore: a number of permits, shared by every OS thread.
#pragma once

#include <cstddef>
#include <memory>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

// Limits what all loops of a group do together: calls to a database, say.
//
//   CrossSemaphore calls(20);
//   if (const auto error = calls.acquire(2s)) return error;
//   const cutils::ScopeExit done([&] { calls.release(); });
//
// First come, first served: a permit that is given back goes to who has waited longest, be it a coroutine or
// an OS thread.
//
// Owner: the application; must outlive its waits. Thread: any.
class EVC_API CrossSemaphore {
  public:
    explicit CrossSemaphore(std::size_t permits);
    CrossSemaphore(const CrossSemaphore&) = delete;
    CrossSemaphore& operator=(const CrossSemaphore&) = delete;
    ~CrossSemaphore();

    // Takes a permit.
    // Before:   in a coroutine, or outside any loop (there, the OS thread blocks).
    // Suspends: when there is none, or others wait.
    // Errors:   timed_out, canceled (in a canceled coroutine also when there are permits); then none was
    //           taken.
    [[nodiscard]] std::error_code acquire(Deadline deadline);
    // The same, or false. Never suspends.
    [[nodiscard]] bool try_acquire();

    // Gives permits back, or makes new ones. Never suspends; by anybody.
    void release(std::size_t permits = 1);

    [[nodiscard]] std::size_t available() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
