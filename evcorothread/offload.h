// OffloadPool and offload(): blocking code on a few OS threads of its own, while a coroutine waits for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/wait_point.h"
#include "nutils/net_error.h"

namespace evcorothread {

struct OffloadOptions {
    std::size_t threads = 4;                   // OS threads at most; each starts when there is a job for it
    std::size_t queue = 1024;                  // jobs that may be queued for one; see OffloadPool
    Duration idle = std::chrono::seconds(30);  // after so long without a job a thread ends
    std::string name = "offload";              // what tools show the threads as
};

// How long jobs were queued, in classes: below 1 µs, 2 µs, 4 µs, … the last one takes the rest.
struct EVC_API OffloadQueueTimes {
    std::array<std::uint64_t, 32> classes{};
    std::uint64_t count = 0;
    Duration sum{};
    Duration max{};

    [[nodiscard]] Duration mean() const;
    // At most so long for this share of all jobs (0.99: all but one of a hundred), as an upper bound: the
    // limit of its class, or the maximum.
    [[nodiscard]] Duration percentile(double share) const;
};

struct OffloadFigures {
    std::size_t threads = 0;  // that live; of those,
    std::size_t running = 0;  // so many have a job
    std::size_t queued = 0;
    std::size_t waiting = 0;          // for room in the queue
    std::uint64_t done = 0;           // jobs that have run to their end
    std::uint64_t abandoned = 0;      // of those and of the running: nobody waited for their end
    std::uint64_t withdrawn = 0;      // never ran: the deadline, a cancel, or close() came first
    std::uint64_t refused = 0;        // `busy`
    OffloadQueueTimes queue_times{};  // of those that have begun
};

struct OffloadJob;

// Half-sync/half-async: name resolution, disk, a library that blocks.
//
//   OffloadPool disk({.threads = 8});
//   …                                                                    // in a coroutine:
//   cutils::Result<std::string> page = offload(disk, [path] { return read_file(path); }, 2s);
//   if (page.ok()) …  else if (page.error() == NetError::timed_out) …
//
// The number of threads is bounded, and so is the queue: with it full, offload() waits for room, and
// try_offload() says `busy`. Jobs begin in the order in which they came.
//
// Owner:  the application, or a LoopGroup. Several loops, and OS threads outside any loop, may share one.
// End:    the destructor closes, and waits for the jobs that run: it blocks its OS thread. Coroutines that
//         wait for one then need not have run.
// Thread: any.
class EVC_API OffloadPool {
  public:
    using Options = OffloadOptions;

    explicit OffloadPool(Options options = {});
    OffloadPool(const OffloadPool&) = delete;
    OffloadPool& operator=(const OffloadPool&) = delete;
    ~OffloadPool();

    // No job begins any more: whoever waits for one that has not begun gets `closed`, and so do later calls.
    // Those that run are asked to stop (see offload) and go on. Idempotent; never suspends.
    void close();

    [[nodiscard]] OffloadFigures figures() const;

    // Runs `function` on a thread, and nobody waits for it: for callers that must not wait. An exception that
    // leaves it is logged. Errors: closed; busy, when the queue is full; of starting the first thread. After
    // an error, and when the pool closes before it has begun, it is destroyed without having run.
    [[nodiscard]] std::error_code post(std::function<void()> function);

    // For offload(): waits until it has run, or says why not. `taken`: it is the pool's now, which will
    // destroy it.
    std::error_code run(OffloadJob& job, bool wait_for_room, Deadline deadline, bool& taken);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// One call. Its memory is the heap's, so that it can outlive the call.
struct EVC_API OffloadJob {
    OffloadJob();
    OffloadJob(const OffloadJob&) = delete;
    OffloadJob& operator=(const OffloadJob&) = delete;
    virtual ~OffloadJob();
    virtual void run() noexcept = 0;        // on the pool's thread
    virtual void ask_to_stop() noexcept {}  // on any
    virtual void abandoned() noexcept {}    // has run, and nobody wants what came of it

    struct Links;
    const std::unique_ptr<Links> links;
};

namespace detail {

template <class F>
inline constexpr bool takes_stop_token = std::is_invocable_v<F&, std::stop_token>;

template <class F>
auto offload_result() {
    if constexpr (takes_stop_token<F>)
        return std::type_identity<std::invoke_result_t<F&, std::stop_token>>{};
    else
        return std::type_identity<std::invoke_result_t<F&>>{};
}
template <class F>
using OffloadReturn = typename decltype(offload_result<F>())::type;

// What offload() returns for a function that returns R.
template <class R>
struct OffloadResult {
    static_assert(!std::is_reference_v<R>,
                  "what is offloaded returns a value: what it refers to may be gone");
    using type = cutils::Result<R>;
    using stored = std::optional<R>;
};
template <>
struct OffloadResult<void> {
    using type = cutils::Result<void>;
    using stored = bool;
};
template <>
struct OffloadResult<std::error_code> {
    using type = cutils::Result<void>;
    using stored = std::error_code;
};
template <class R>
struct OffloadResult<cutils::Result<R>> {
    using type = cutils::Result<R>;
    using stored = std::optional<cutils::Result<R>>;
};

EVC_API void log_abandoned_exception(const std::exception_ptr& thrown) noexcept;

template <class F>
struct OffloadCall final : OffloadJob {
    using R = OffloadReturn<F>;
    using Returned = typename OffloadResult<R>::type;

    template <class G>
    explicit OffloadCall(G&& g) : function(std::in_place, std::forward<G>(g)) {}

    void run() noexcept override {
        try {
            if constexpr (std::is_void_v<R>)
                call();
            else if constexpr (std::is_same_v<R, std::error_code>)
                result = call();
            else
                result.emplace(call());
        } catch (...) {
            thrown = std::current_exception();
        }
        function.reset();  // what it owned ends here, too
    }
    R call() {
        if constexpr (takes_stop_token<F>)
            return (*function)(stop.get_token());
        else
            return (*function)();
    }
    void ask_to_stop() noexcept override {
        if constexpr (takes_stop_token<F>) stop.request_stop();
    }
    void abandoned() noexcept override {
        if (thrown) log_abandoned_exception(thrown);
    }

    Returned take() {
        if (thrown) std::rethrow_exception(std::exchange(thrown, nullptr));
        if constexpr (std::is_void_v<R>)
            return {};
        else if constexpr (std::is_same_v<R, std::error_code>)
            return result ? Returned(result) : Returned();
        else if constexpr (std::is_same_v<R, Returned>)
            return *std::move(result);
        else
            return Returned(*std::move(result));
    }

    struct Nothing {};
    std::optional<F> function;
    typename OffloadResult<R>::stored result{};
    std::exception_ptr thrown;
    [[no_unique_address]] std::conditional_t<takes_stop_token<F>, std::stop_source, Nothing> stop;
};

template <class F>
typename OffloadCall<std::decay_t<F>>::Returned offload(OffloadPool& pool, F&& function, bool wait_for_room,
                                                        Deadline deadline) {
    auto call = std::make_unique<OffloadCall<std::decay_t<F>>>(std::forward<F>(function));
    bool taken = false;
    const std::error_code error = pool.run(*call, wait_for_room, deadline, taken);
    if (taken) (void)call.release();
    if (error) return error;
    return call->take();
}

}  // namespace detail

// Runs `function` on a thread of the pool, and waits for what it returns.
//
// It may take a std::stop_token: then it is told when nobody waits for it any more, or the pool closes, and
// may end early.
//
// Before:   in a coroutine, or on an OS thread outside any loop (which blocks).
// Suspends: yes.
// After:    a Result of what it returned: T gives Result<T>; void and std::error_code give Result<void>;
//           Result<T> stays as it is. An exception that left it is rethrown here.
// Errors:   timed_out, canceled: at once. A function that has not begun never runs; one that runs cannot be
//           interrupted: it goes on, and what comes of it is destroyed on the pool's thread (an exception is
//           logged). closed: the pool was.
// Lifetime: `function` is moved to the heap, and what it uses it must own: it may outlive this call.
// Cost:     two allocations, two wake-ups of an OS thread: microseconds.
template <class F>
[[nodiscard]] auto offload(OffloadPool& pool, F&& function, Deadline deadline) {
    return detail::offload(pool, std::forward<F>(function), true, deadline);
}

// The same, but `busy` at once when the queue is full: for those who would rather refuse work than let it
// wait.
template <class F>
[[nodiscard]] auto try_offload(OffloadPool& pool, F&& function, Deadline deadline) {
    return detail::offload(pool, std::forward<F>(function), false, deadline);
}

}  // namespace evcorothread
