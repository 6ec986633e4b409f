// Bundle: coroutine threads that end before their owner does. Structured concurrency: whoever starts children
// waits for them, gets their failure, and can stop them all.
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/intrusive.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"

namespace evcorothread {

// What a child may be: a function that returns nothing, or an error that counts as its failure.
template <class F>
concept BundleChild = std::invocable<F> &&
    (std::is_void_v<std::invoke_result_t<F>> ||
     std::convertible_to<std::invoke_result_t<F>, cutils::Result<void>>);

// Usage:
//
//   Page page; Advert advert;
//   Bundle children(loop);
//   children.go("page", [&] { page = fetch_page(); });
//   children.go("advert", [&] { advert = fetch_advert(); });
//   if (!children.wait(500ms)) children.cancel();    // the grace period is over
//   // here, at the latest, both have ended: what they captured by reference was there all the time
//
// Failure: when a child throws, or returns an error, the others are canceled, and wait() rethrows, or
//          returns, the first failure once all have ended. `canceled` after cancel() is no failure. An
//          exception is also logged with the child's name, so it is not lost if nobody waits.
// Owner:   a local of whoever starts the children, or a member of an object whose background work they are:
//          declare it last, so that it ends first. Not movable.
// Thread:  its loop's. One coroutine at a time waits for it.
// Ends:    the destructor cancels the children and waits until they have ended: inside a coroutine it
//          suspends, cancel or no cancel; outside of any (a local of main) it runs the loop meanwhile. It
//          logs, once, the names of those that take longer than five seconds. To wait with a limit, call
//          close().
// Cost:    a child costs what EvLoop::spawn costs and no allocation; cancel() is linear in the children.
class EVC_API Bundle {
  public:
    explicit Bundle(EvLoop& loop) : Bundle(loop, Deadline::never) {}
    // Every wait in every child, and in the bundles they make, ends at `deadline` at the latest, with
    // `timed_out`. In a child of another bundle: at the earlier of the two.
    Bundle(EvLoop& loop, Deadline deadline);
    Bundle(const Bundle&) = delete;
    Bundle& operator=(const Bundle&) = delete;
    ~Bundle() {
        if (!children_.empty()) end_children();
    }

    // Starts a child. Like EvLoop::spawn it never suspends, the child does not start before the caller waits
    // or yields, and without a free stack the child waits its turn for one. After cancel() the child is
    // canceled from its first wait on.
    // Errors: std::bad_alloc, and no child.
    template <BundleChild F>
    void go(std::string_view name, F&& f) {
        using Body = std::decay_t<F>;
        if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
            Body body(std::forward<F>(f));
            adopt(loop_.spawn_body(name, EvLoop::kBody<Body>, &body));
        } else {
            go(name, [this, f = Body(std::forward<F>(f))]() mutable { returned(f()); });
        }
    }
    template <BundleChild F>
    void go(F&& f) {
        go({}, std::forward<F>(f));
    }
    // The same, or `busy` when there is no free stack (or others wait for one).
    template <BundleChild F>
    cutils::Result<void> try_go(std::string_view name, F&& f) {
        if (!loop_.stack_free_now()) return std::error_code(nutils::NetError::busy);
        go(name, std::forward<F>(f));
        return {};
    }

    // Waits until all children have ended. The bundle may then be used again.
    // Before:   called in a coroutine of the loop, or with no child left; nobody else waits on the bundle.
    // Suspends: while there are children.
    // Errors:   the first failure of a child (an exception is rethrown), once; timed_out, canceled (the
    //           caller) while children go on.
    cutils::Result<void> wait(Deadline deadline);

    // Waits until a child has ended that no earlier wait_any() has told of. Which one, and with what, the
    // child says itself: by what it captured.
    // After:    how many are left.
    // Suspends: while there is none.
    // Errors:   as wait, a failure as soon as all the others have ended; `closed` when all were told of.
    cutils::Result<std::size_t> wait_any(Deadline deadline);

    // Asks all children to stop, those that are yet to come too. Sticky; never suspends.
    void cancel();
    [[nodiscard]] bool canceled() const { return canceled_; }

    // cancel(), then waits until all have ended. Neither the caller's own cancel nor a deadline from outside
    // (its bundle's, a DeadlineScope's) cuts this wait short: what the children use must not go away under
    // them.
    // Suspends: while there are children.
    // Errors:   timed_out, and children are left: wait again, or let the destructor wait. Failures of the
    //           children are not reported any more.
    cutils::Result<void> close(Deadline deadline);

    // How many children have not ended.
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    // The deadline of the children's waits.
    [[nodiscard]] Deadline deadline() const { return Deadline(limit_); }
    [[nodiscard]] EvLoop& loop() const { return loop_; }

  private:
    friend struct ThreadCore;
    friend struct PendingSpawn;
    friend struct ThreadReporter;

    void adopt(ThreadLink& child) {
        child.bundle = this;
        children_.push_back(child);
        ++size_;
        if (special_) [[unlikely]]
            restrict(child);
    }
    void restrict(ThreadLink& child);
    void started(ThreadLink& pending, ThreadLink& thread);
    // Returns who is to be woken for that, or null.
    [[nodiscard]] WaitPoint* ended(ThreadLink& child) {
        child.unlink();
        --size_;
        ++ended_;
        return any_ || children_.empty() ? waiter_ : nullptr;
    }
    void failed(const std::exception_ptr& thrown);
    void returned(cutils::Result<void> result);
    void returned(std::error_code code) {
        if (code) returned(cutils::Result<void>(code));
    }
    Wake wait_for_event(bool any, Deadline deadline);
    Wake wait_for_all(Deadline deadline);
    cutils::Result<void> outcome();
    void end_children();
    void log_stragglers();

    EvLoop& loop_;
    cutils::List<ThreadLink, SiblingTag> children_;
    std::size_t size_ = 0;
    std::size_t ended_ = 0;  // and not told of by wait_any()
    WaitPoint* waiter_ = nullptr;
    bool any_ = false;      // what the waiter waits for: one, not all
    bool special_ = false;  // children are canceled, or limited
    bool canceled_ = false;
    bool stopping_ = false;  // because of a failure
    TimePoint limit_;
    std::exception_ptr thrown_;
    cutils::Result<void> error_;
};

}  // namespace evcorothread
