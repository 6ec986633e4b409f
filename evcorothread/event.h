// Event: something that has happened, or not yet. Coroutines wait until it has.
#pragma once

#include <cstdint>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

struct SyncWaiter;

enum class EventReset : std::uint8_t {
    manual,     // set() lets everybody pass, until reset()
    automatic,  // set() lets one pass: the one that has waited longest, or the next that comes
};

// Usage:
//
//   Event configured("the configuration");
//   loop.spawn("reader", [&] { if (!configured.wait(5s)) serve(); });   // as many as you like
//   configured.set();                                                    // all of them go on
//
// Owner:  whoever holds it. Destroying it while coroutines wait at it is a bug and aborts; those that have
//         been let pass do not touch it any more.
// Thread: coroutines of one loop only. set() and reset() may be called outside a coroutine, too.
// Cancel: in a canceled coroutine wait() returns `canceled` even when it is set. One that was let pass and
//         canceled before it ran has passed, and wait() says so.
// Cost:   32 bytes, no allocation.
class EVC_API Event {
  public:
    // `reason`: see Mutex.
    explicit Event(EventReset mode, const char* reason = "event") : reason_(reason), mode_(mode) {}
    explicit Event(const char* reason = "event") : Event(EventReset::manual, reason) {}
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    ~Event();

    // Waits until it is set; with EventReset::automatic, it is not set any more afterwards.
    // Before:   called in a coroutine thread.
    // Suspends: unless it is set.
    // Errors:   timed_out, canceled.
    [[nodiscard]] std::error_code wait(Deadline deadline);

    // Lets those pass that wait now, even when reset() comes before they run, and those that come until then
    // (automatic: one of them, each time). Setting what is set changes nothing. Never suspends.
    void set();
    void reset() { set_ = false; }
    [[nodiscard]] bool is_set() const { return set_; }

  private:
    cutils::List<SyncWaiter> waiters_;
    const char* reason_;
    EventReset mode_;
    bool set_ = false;
};

}  // namespace evcorothread
