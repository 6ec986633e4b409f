// WaitGroup: waits until a number of things are done.
#pragma once

#include <cstddef>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

struct SyncWaiter;

// Usage:
//
//   WaitGroup pages;
//   for (auto& url : urls) {
//       pages.add();                                     // before the spawn, not in it: it runs later
//       loop.spawn("fetch", [&] { fetch(url); pages.done(); });
//   }
//   if (pages.wait(5s)) …                                // not all of them in time
//
// It counts, and nothing more: to cancel children and see their errors, use a bundle.
//
// Owner:  whoever holds it. Destroying it while coroutines wait at it is a bug and aborts; those that have
//         been woken do not touch it any more.
// Thread: coroutines of one loop only. add() and done() may be called outside a coroutine, too.
// Cancel: in a canceled coroutine wait() returns `canceled` even when nothing is open. One that was woken and
//         canceled before it ran returns no error.
// Cost:   32 bytes, no allocation.
class EVC_API WaitGroup {
  public:
    // `reason`: see Mutex.
    explicit WaitGroup(const char* reason = "wait group") : reason_(reason) {}
    WaitGroup(const WaitGroup&) = delete;
    WaitGroup& operator=(const WaitGroup&) = delete;
    ~WaitGroup();

    // So many more are open.
    void add(std::size_t count = 1);
    // One of them is done. The last one wakes all that wait, for good: that more are added before they run
    // changes nothing for them. Before: one is open.
    void done();

    // Waits until none is open.
    // Before:   called in a coroutine thread.
    // Suspends: while some are open.
    // Errors:   timed_out, canceled.
    [[nodiscard]] std::error_code wait(Deadline deadline);

    // How many are open.
    [[nodiscard]] std::size_t count() const { return count_; }

  private:
    std::size_t count_ = 0;
    cutils::List<SyncWaiter> waiters_;
    const char* reason_;
};

}  // namespace evcorothread
