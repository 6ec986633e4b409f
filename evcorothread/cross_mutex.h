// CrossMutex: a lock that coroutines of several loops, and OS threads, take turns with.
#pragma once

#include <memory>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

// For what is held across a wait: while a coroutine holds it, its loop serves others. For a few instructions
// without a wait among them a std::mutex is right, in a coroutine, too.
//
//   if (const auto error = journal_lock.lock(5s)) return error;
//   const cutils::ScopeExit unlock([&] { journal_lock.unlock(); });
//   (void)journal.send_all(record, 5s);
//
// First come, first served: unlock() hands it to who has waited longest. Not recursive. A coroutine may
// unlock what another one has locked.
//
// Owner: the application; must outlive its waits. Thread: any.
class EVC_API CrossMutex {
  public:
    CrossMutex();
    CrossMutex(const CrossMutex&) = delete;
    CrossMutex& operator=(const CrossMutex&) = delete;
    // Before: unlocked.
    ~CrossMutex();

    // Before:   in a coroutine, or outside any loop (there, the OS thread blocks).
    // Suspends: while it is locked.
    // Errors:   timed_out, canceled (in a canceled coroutine also when it is free); then it is not ours.
    [[nodiscard]] std::error_code lock(Deadline deadline);
    // The same, or false. Never suspends.
    [[nodiscard]] bool try_lock();
    // Before: locked. Never suspends.
    void unlock();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
