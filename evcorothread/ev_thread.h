// EvThread: a coroutine thread of an EvLoop, seen from outside; and this_evthread, seen from inside.
#pragma once

#include <cstdint>
#include <exception>
#include <string_view>
#include <system_error>
#include <utility>

#include "cutils/check.h"
#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "evcorothread/wait_point.h"

namespace evcorothread {

class Bundle;
class CancelShield;
class EvLoop;
class EvThread;
struct PendingSpawn;
struct ShieldedWait;
struct SiblingTag;

// What a coroutine thread, with a stack or waiting for one, knows of those who look after it. For the classes
// of this folder.
struct ThreadLink : cutils::ListHook<SiblingTag> {  // among the children of its bundle
    EvThread* handle = nullptr;
    Bundle* bundle = nullptr;
    bool pending = false;  // a PendingSpawn, else a ThreadCore
};

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
//         whether the handle lives or not.
class EVC_API EvThread {
  public:
    EvThread() = default;  // nobody: finished
    EvThread(EvThread&& other) noexcept { take_over(other); }
    EvThread& operator=(EvThread&& other) noexcept {
        if (this == &other) return *this;
        unlink();
        take_over(other);
        return *this;
    }
    ~EvThread() { unlink(); }

    // Waits until the thread's function has returned.
    // Before:   called in another coroutine of the same loop; no other join of this thread is waiting.
    // Suspends: unless it has finished.
    // Errors:   timed_out, canceled (this coroutine, not the joined one). Rethrows, once, the exception that
    //           left the thread's function.
    [[nodiscard]] std::error_code join(Deadline deadline) {
        if (link_ != nullptr || thrown_) return join_unfinished(deadline);
        return {};
    }

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
    friend struct ThreadReporter;
    explicit EvThread(ThreadLink& link) noexcept : link_(&link) { link.handle = this; }
    std::error_code join_unfinished(Deadline deadline);

    void unlink() const noexcept {
        EVC_CHECK(joiner_ == nullptr, "an EvThread is dropped while a join() waits on it");
        if (link_ != nullptr) link_->handle = nullptr;
    }
    // Before: nothing linked here.
    void take_over(EvThread& other) noexcept {
        EVC_CHECK(other.joiner_ == nullptr, "an EvThread is moved while a join() waits on it");
        link_ = std::exchange(other.link_, nullptr);
        if (link_ != nullptr) link_->handle = this;
        thrown_ = std::move(other.thrown_);
    }

    ThreadLink* link_ = nullptr;  // points back here while the thread lives
    WaitPoint* joiner_ = nullptr;
    std::exception_ptr thrown_;
};

// The current coroutine thread. Before: called in one, except in_evthread(); anything else aborts with a
// clear line.
namespace this_evthread {

// Is there a current coroutine thread?
EVC_API bool in_evthread();

// Lets every other ready coroutine run once, and I/O be looked at. (With EvLoopOptions::shuffle_seed the
// order is drawn, and this one's turn may come before some of theirs.) Suspends: when others are ready.
EVC_API void yield();

// Waits for the time to pass. Errors: canceled; timed_out when the deadline of its bundle came first.
[[nodiscard]] EVC_API std::error_code delay(Deadline until);

// Has somebody called cancel()? True also under a CancelShield.
EVC_API bool canceled();

// When every wait of this coroutine ends at the latest: its bundle's deadline, or never. See Bundle.
EVC_API Deadline deadline();

EVC_API std::string_view name();
EVC_API std::uint64_t id();
EVC_API EvLoop& loop();

// Bytes of stack left below here, down to the guard.
EVC_API std::size_t stack_left();

}  // namespace this_evthread

// While it lives, every wait of this coroutine, and of children it makes in bundles, ends at `deadline` at
// the latest, with timed_out: for code that takes no deadlines of its own.
//
//   DeadlineScope all(5s);
//   handle(request);            // whatever it waits for
//
// Nests: the earliest counts; but under a CancelShield made inside of it, it waits for the shield's end. A
// scope made under the shield counts at once. A local of the coroutine. Before: called in a coroutine thread.
class EVC_API DeadlineScope {
  public:
    explicit DeadlineScope(Deadline deadline);
    DeadlineScope(const DeadlineScope&) = delete;
    DeadlineScope& operator=(const DeadlineScope&) = delete;
    ~DeadlineScope();

  private:
    Deadline outer_;
    CancelShield* shield_ = nullptr;  // under which this is the first one, if it is
};

// While it lives, waits of this coroutine go on although it is canceled, or the deadline of its bundle, or of
// a DeadlineScope around, has passed, until the shield's own deadline: for the last I/O of a clean-up.
//
//   CancelShield shield(1s);
//   (void)socket.send_all("bye\r\n", 1s);
//
// Nests: the innermost counts. A local of the shielded coroutine.
class EVC_API CancelShield {
  public:
    explicit CancelShield(Deadline deadline) : CancelShield(deadline, false) {}
    CancelShield(const CancelShield&) = delete;
    CancelShield& operator=(const CancelShield&) = delete;
    ~CancelShield();

  private:
    friend class DeadlineScope;
    friend class LastingShield;
    friend ShieldedWait shielded(const ThreadCore& self, Deadline deadline);
    friend bool shield_over(const ThreadCore& self);
    friend void void_shields(ThreadCore& thread);
    CancelShield(Deadline deadline, bool lasts);

    CancelShield* outer_;
    Deadline deadline_;
    bool lasts_;            // in a forked child, too
    bool limited_ = false;  // by a DeadlineScope under it
};

}  // namespace evcorothread
