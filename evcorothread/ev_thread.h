// EvThread: a coroutine thread of an EvLoop, seen from outside; and this_evthread, seen from inside.
#pragma once

#include <cstdint>
#include <exception>
#include <string_view>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

class EvLoop;
struct PendingSpawn;
struct ShieldedWait;

// A coroutine thread's life; the loop enforces that there is no other transition:
//
//   waiting_for_stack ──▶ ready ──▶ running ──park──▶ parked ──wake──▶ ready
//                                      ├──yield──▶ ready
//                                      └──function returns or throws──▶ finished
enum class EvThreadState : std::uint8_t { waiting_for_stack, ready, running, parked, finished };

EVC_API const char* to_string(EvThreadState state);

// A handle to one coroutine thread, from EvLoop::spawn. The loop owns the thread; the handle only looks, asks
// and waits. Dropping it detaches: the thread goes on.
//
//   EvThread fetcher = loop.spawn("fetch", [&] { page = fetch(); });
//   if (fetcher.join(500ms) == std::errc::timed_out) fetcher.cancel();
//
// Owner:  whoever keeps it; movable (not while a join waits on it). Thread: the loop's.
// Cost:   a pointer each way; no allocation, nothing shared. The stack goes back when the function returns,
// whether
//         the handle lives or not.
class EVC_API EvThread {
  public:
    EvThread() = default;  // nobody: finished
    EvThread(EvThread&& other) noexcept;
    EvThread& operator=(EvThread&& other) noexcept;
    ~EvThread() {
        if (core_ != nullptr || pending_ != nullptr) unlink();
    }

    // Waits until the thread's function has returned.
    // Before:   called in another coroutine of the same loop; no other join of this thread is waiting.
    // Suspends: unless it has finished.
    // Errors:   timed_out, canceled (this coroutine, not the joined one). Rethrows, once, the exception that
    // left the
    //           thread's function.
    [[nodiscard]] std::error_code join(Deadline deadline);

    // Asks it to stop: every wait of that thread returns `canceled`, now and from then on, until its function
    // returns (see CancelShield). Sticky; never suspends; on a finished thread nothing.
    void cancel();

    [[nodiscard]] EvThreadState state() const;
    [[nodiscard]] bool finished() const { return state() == EvThreadState::finished; }
    // What it was spawned as, cut to 31 bytes; empty when finished.
    [[nodiscard]] std::string_view name() const;
    // Unique in its loop, never reused; 0 when finished or waiting for a stack.
    [[nodiscard]] std::uint64_t id() const;

  private:
    friend class EvLoop;
    friend struct LoopCore;
    friend struct ThreadCore;
    friend struct PendingSpawn;
    explicit EvThread(ThreadCore& core) noexcept;
    explicit EvThread(PendingSpawn& pending) noexcept;
    void link_to_this() noexcept;
    void unlink() noexcept;

    ThreadCore* core_ = nullptr;       // points back here while the thread lives
    PendingSpawn* pending_ = nullptr;  // instead, while it waits for a stack
    WaitPoint* joiner_ = nullptr;
    std::exception_ptr thrown_;
};

// The current coroutine thread. Before: called in one, except in_evthread(); anything else aborts with a
// clear line.
namespace this_evthread {

// Is there a current coroutine thread?
EVC_API bool in_evthread();

// Lets every other ready coroutine run once, and I/O be looked at. Suspends: when others are ready.
EVC_API void yield();

// Waits for the time to pass. Errors: canceled; never timed_out.
[[nodiscard]] EVC_API std::error_code delay(Deadline until);

// Has somebody called cancel()? True also under a CancelShield.
EVC_API bool canceled();

EVC_API std::string_view name();
EVC_API std::uint64_t id();
EVC_API EvLoop& loop();

// Bytes of stack left below here, down to the guard.
EVC_API std::size_t stack_left();

}  // namespace this_evthread

// While it lives, waits of this coroutine go on although it is canceled, until the shield's own deadline: for
// the last I/O of a clean-up.
//
//   CancelShield shield(1s);
//   (void)socket.send_all("bye\r\n", 1s);
//
// Nests; a local of the shielded coroutine.
class EVC_API CancelShield {
  public:
    explicit CancelShield(Deadline deadline);
    CancelShield(const CancelShield&) = delete;
    CancelShield& operator=(const CancelShield&) = delete;
    ~CancelShield();

  private:
    friend ShieldedWait shielded(const ThreadCore& self, Deadline deadline);
    friend bool shield_over(const ThreadCore& self);
    friend void void_shields(ThreadCore& thread);
    CancelShield* outer_;
    Deadline deadline_;
};

}  // namespace evcorothread
