// process::Workers: a parent that keeps N worker processes running over one listening socket.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>

#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/child_process.h"
#include "nutils/unique_fd.h"

namespace evcorothread::process {

// In a worker process: what it has to know. Handed to the worker's main function.
class EVC_API Worker {
  public:
    Worker(unsigned index, unsigned generation, nutils::UniqueFd listener, nutils::UniqueFd ready);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker();

    // 0 … count-1; a restarted or replaced worker has its predecessor's.
    [[nodiscard]] unsigned index() const { return index_; }
    // 0 for the first one of this index, then counting.
    [[nodiscard]] unsigned generation() const { return generation_; }

    // The listening socket that all workers share, once: for EvTcpAcceptor::adopt.
    [[nodiscard]] nutils::UniqueFd take_listener() { return std::move(listener_); }

    // Tells the parent that this worker serves now. Idempotent; never suspends.
    void ready();

  private:
    unsigned index_, generation_;
    nutils::UniqueFd listener_, ready_;
};

// What happens to workers, for statistics and tests; all of it is logged as well.
struct WorkerEvent {
    enum class Kind {
        started,   // forked
        ready,     // said so
        told,      // sent SIGTERM
        killed,    // sent SIGKILL: it took too long
        ended,     // reaped: see status
        reloaded,  // SIGHUP: every worker has been replaced (or the first failure ended it: see failed)
        failed,    // SIGHUP: a new worker did not become ready; the old ones go on
    };
    Kind kind;
    unsigned index = 0;
    pid_t pid = 0;
    ExitStatus status{};
};

struct WorkersOptions {
    unsigned count = 0;  // 0: as many as CPUs this process may use

    // From SIGTERM until those that have not ended get SIGKILL.
    Duration drain = std::chrono::seconds(30);

    // How long a new worker may take to call Worker::ready(). One that replaces another on SIGHUP is given up
    // then, and the old one goes on; one that was started is only complained about.
    Duration ready_within = std::chrono::seconds(10);
    // Workers that never call ready() count as ready when they are forked: nothing tells then whether a
    // replacement works.
    bool ready_at_start = false;

    // A worker that ends by itself is started again at once; when that one ends, too, after `first_pause`,
    // then twice that, … `longest_pause` at most. A run of `good_run` starts over.
    Duration first_pause = std::chrono::milliseconds(100);
    Duration longest_pause = std::chrono::seconds(30);
    Duration good_run = std::chrono::seconds(10);

    // Called in the parent on SIGHUP, before workers are replaced: reads the configuration, which the new
    // ones then have, being forked. False: it is no good, the old ones go on. Must not wait.
    std::function<bool()> reload{};
    // Called in the parent; must not wait.
    std::function<void(const WorkerEvent&)> on_event{};
};

// Usage, the whole of a server on all cores:
//
//   int main() {
//       process::Workers workers(nutils::listen_stream(SockAddr::any(9999)).value(), [](process::Worker&
//       self) {
//           corothread::StackPool stacks({.count = 1000});
//           EvLoop loop(stacks);
//           auto acceptor = EvTcpAcceptor::adopt(loop, self.take_listener(), echo).value();
//           SignalWatch stop(loop, {SIGTERM}, [&](int) { acceptor.close(); });
//           self.ready();
//           loop.run();         // after SIGTERM: until the last connection has ended
//           return 0;
//       });
//       return workers.run();
//   }
//
// The parent (run()):
//   a worker ends       it is reaped, however many die at once, and started again: at once, with growing
//                       pauses when it keeps dying (see WorkersOptions).
//   SIGTERM, SIGINT     every worker gets SIGTERM: stop accepting, finish, return. Those that have not ended
//                       after `drain` get SIGKILL. run() returns when none is left.
//   SIGHUP              workers are replaced one by one: the new one is forked, and only when it is ready the
//                       old one gets SIGTERM and may drain; the next one's turn comes when it has ended,
//                       `drain` later at most. The socket listens all the time, so nobody is refused. If a
//                       new one does not become ready, it is taken back, and those not yet replaced go on as
//                       they are.
//   the parent dies     even by SIGKILL: the kernel sends every worker SIGTERM.
//
// The worker: a fork (see fork_child) that runs the main function and ends with what it returns. SIGTERM is
// its to watch, and ends it at once if it does not. SIGINT and SIGHUP are ignored in it unless it watches
// them: a terminal sends them to all processes, and the parent is the one to act on them. Descriptors that
// the application opened are there; the parent's own are closed.
//
// Owner:   main(), in a process with one OS thread: no other may exist when run() is called, here or later.
// Work:    run() has a loop of its own, and blocks.
class EVC_API Workers {
  public:
    // Returns the process's exit code. Must not return before SIGTERM has told it, or it is started again.
    using Main = std::function<int(Worker& self)>;

    // `listener` may be empty, when workers share none. Before: main is one.
    Workers(nutils::UniqueFd listener, Main main, WorkersOptions options = {});
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers();

    // Keeps the workers running until SIGTERM or SIGINT; returns when none is left. Once.
    // After:  0 when all of them ended by themselves in time, 1 when some had to be killed: an exit code.
    // Errors: std::system_error when the loop or the signals are not to be had. A fork that fails is treated
    //         like a worker that dies.
    int run();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace evcorothread::process
