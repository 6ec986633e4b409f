// LoopGroup: a loop for every CPU, each on an OS thread of its own; and servers that run on all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "corothread/stack_pool.h"
#include "cutils/deadline.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/group_listener.h"
#include "evcorothread/offload.h"

namespace evcorothread {

struct LoopGroupOptions {
    std::size_t loops = 0;                        // 0: as many as CPUs that this process may use
    corothread::StackPoolOptions stacks{};        // of each loop
    bool pin = false;                             // each loop to one of those CPUs
    std::optional<std::uint64_t> shuffle_seed{};  // of each loop: see EvLoopOptions
    std::string name = "loop";                    // what tools show the threads as: loop-0, loop-1, …
    OffloadOptions offload{};                     // of offload_pool()
};

// Usage:
//
//   LoopGroup group({.stacks = {.count = 1000}});
//   group.start().value();
//   GroupListener listener = group.listen(SockAddr::any(9999), [](EvSocket socket) { … }).value();
//   …                                        // until the application wants to end
//   group.shutdown(30s);                     // no more connections; those that are there may finish
//
// A coroutine stays on the loop on which it was spawned; sockets, timers and all the rest belong to one loop,
// and using them on another OS thread aborts. What loops have to say to one another goes by post(),
// SharedChannel, CrossEvent, CrossMutex, CrossSemaphore.
//
// Connections: a thread of its own accepts and hands each to the loop that has the fewest, in turn among
//          equals: so they are spread evenly, whatever the loops are busy with. With SO_REUSEPORT
//          (AcceptOptions::reuse_port) each loop accepts for itself, and the kernel spreads by a hash:
//          cheaper for many short connections, and only roughly even.
// Signals: the group's threads block them (but for faults): they go to the threads of the application.
// Owner:   the application. Thread: any, for all calls, unless they say otherwise; not two of start, shutdown
//          and join at a time.
// End:     the destructor stops, as stop(), and waits; it blocks its OS thread.
class EVC_API LoopGroup {
  public:
    using Options = LoopGroupOptions;

    explicit LoopGroup(Options options = {});
    LoopGroup(const LoopGroup&) = delete;
    LoopGroup& operator=(const LoopGroup&) = delete;
    ~LoopGroup();

    // Makes the loops and runs them. `init` is called for each, on its thread, outside any coroutine: it must
    // not wait (spawn for that).
    // Before: not running. Not on a loop of its own.
    // After:  all loops run, and every `init` has returned. They run until stop() or shutdown(), whether they
    //         have work or not.
    // Errors: no memory for stacks, no descriptors, no threads; nothing runs then. The first exception that
    //         leaves an `init` is rethrown, once all loops have ended again.
    cutils::Result<void> start(std::function<void(EvLoop& loop, std::size_t index)> init = {});

    // How many loops there are, or will be.
    [[nodiscard]] std::size_t size() const;
    // Before: between start() and the end of join() or shutdown().
    [[nodiscard]] EvLoop& loop(std::size_t index) const;
    // One after the other.
    [[nodiscard]] EvLoop& next();
    // Which of them the calling code runs on, if any.
    [[nodiscard]] std::optional<std::size_t> here() const;

    // EvLoop::post, to one or to each. What is posted when they have ended is destroyed unrun.
    void post(std::size_t index, std::function<void()> f);
    void post_all(const std::function<void(EvLoop& loop, std::size_t index)>& f);

    // Serves at `address` on all loops. Port 0 takes a free one, see GroupListener::local_address().
    // Before: running.
    // Errors: of socket(2), bind(2), listen(2); the message names the address.
    [[nodiscard]] cutils::Result<GroupListener> listen(const nutils::SockAddr& address,
                                                       GroupListener::Handler handler,
                                                       GroupListenOptions options = {});
    [[nodiscard]] cutils::Result<GroupListener> listen_raw(const nutils::SockAddr& address,
                                                           GroupListener::RawHandler handler,
                                                           GroupListenOptions options = {});

    // Takes over a socket that listens already (socket activation, a parent's). Of the options, those about
    // listening are ignored; a socket file stays where it is. Before: running.
    // Errors: of getsockname(2). It is closed then.
    [[nodiscard]] cutils::Result<GroupListener> adopt_raw(nutils::UniqueFd listener,
                                                          GroupListener::RawHandler handler,
                                                          GroupListenOptions options = {});

    // Calls `f` on the thread of each loop when that has run for the last time, before what is left there is
    // canceled: for those who keep something on it (a timer, a server's connections), which must go before
    // the loop does. Forgotten once called; before that, by forget(). Before: running.
    std::uint64_t at_end(std::function<void(EvLoop& loop, std::size_t index)> f);
    void forget(std::uint64_t at_end);

    // OS threads for blocking work of all loops; none before the first job.
    [[nodiscard]] OffloadPool& offload_pool();

    // Stops listening, and lets each loop end when it runs out of work. Returns at once.
    void drain();
    // Stops listening, cancels all coroutines, and ends the loops. Returns at once.
    void stop();

    // Waits until every loop has ended: somebody else calls drain() or stop(). Then nothing is left of them.
    // Before:   not on a loop of its own (it would wait for itself).
    // Suspends: a coroutine of another loop; blocks an OS thread outside any.
    // Errors:   timed_out, canceled.
    [[nodiscard]] std::error_code join(Deadline deadline);

    // drain(), and, at the deadline, stop(); then waits until the last coroutine has returned. Returns
    // whether none had to be canceled. Before, Suspends: as join.
    bool shutdown(Deadline deadline);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread
