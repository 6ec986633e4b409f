// CrossEvent: something that has happened or not, seen from every OS thread.
#pragma once

#include <memory>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

// Coroutines of any loop, and OS threads outside any loop, wait for it; whoever is there sets it.
//
//   CrossEvent ready;
//   std::thread loader([&] { load(); ready.set(); });
//   if (ready.wait(10s)) …                 // parks a coroutine, blocks an OS thread
//
// Within one loop, take the event of that loop: it costs a tenth.
//
// Owner:  the application; may be destroyed as soon as every wait has returned, even while the set() that
//         ended them returns. Thread: any.
class EVC_API CrossEvent {
  public:
    CrossEvent();
    CrossEvent(const CrossEvent&) = delete;
    CrossEvent& operator=(const CrossEvent&) = delete;
    ~CrossEvent();

    // Everybody goes on, now and until reset(). Never suspends; idempotent.
    void set();
    void reset();
    [[nodiscard]] bool is_set() const;

    // Waits until it is set.
    // Before:   in a coroutine, or outside any loop (there, the OS thread blocks).
    // Suspends: unless it is set.
    // Errors:   timed_out, canceled (in a canceled coroutine also when it is set).
    [[nodiscard]] std::error_code wait(Deadline deadline);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
