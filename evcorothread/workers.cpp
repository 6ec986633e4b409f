#include "evcorothread/workers.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "corothread/stack_pool.h"
#include "cutils/check.h"
#include "cutils/intrusive.h"
#include "cutils/log.h"
#include "evcorothread/ev_pipe.h"
#include "evcorothread/fork_child.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/signal_queue.h"
#include "nutils/pipe_ops.h"

namespace evcorothread::process {

using namespace std::chrono_literals;
using cutils::log;
using cutils::LogLevel;
using Kind = WorkerEvent::Kind;

Worker::Worker(unsigned index, unsigned generation, nutils::UniqueFd listener, nutils::UniqueFd ready)
    : index_(index), generation_(generation), listener_(std::move(listener)), ready_(std::move(ready)) {}
Worker::~Worker() = default;

void Worker::ready() {
    if (ready_) (void)nutils::write_some(ready_.get(), "r");
    ready_.reset();
}

namespace {

// How long those killed may take to be gone: only one stuck in the kernel takes longer.
constexpr Duration kDying = 10s;

unsigned cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

// One worker process, from fork to reaping.
struct Process {
    unsigned slot = 0;
    ChildProcess child;
    EvPipe readiness;
    TimePoint started{};
    bool ready = false;
    bool told_to_stop = false;
    bool ended = false;
    [[nodiscard]] int pid() const { return static_cast<int>(child.pid()); }
};
using ProcessPtr = std::shared_ptr<Process>;

// One place for a worker: the one that serves, or nobody, and then how long to wait for the next.
struct Slot {
    ProcessPtr current;
    bool replacing = false;
    unsigned generation = 0;
    unsigned failures = 0;  // short runs in a row
};

struct Waiter : cutils::ListHook<> {
    WaitPoint point{"workers"};
};

}  // namespace

struct Workers::Impl {
    Impl(nutils::UniqueFd l, Main m, WorkersOptions o)
        : listener(std::move(l)), main(std::move(m)), options(std::move(o)) {
        EVC_CHECK(main != nullptr, "Workers with a main function that is none");
        slots.resize(options.count != 0 ? options.count : cpus());
        // For each worker its keeper, and two for each process: the one that serves, and its replacement.
        // Large stacks: the application reads its configuration on one of them.
        pool.emplace(corothread::StackPoolOptions{.count = slots.size() * 5 + 2, .pages = 64});
        loop.emplace(*pool);
    }

    // ---- what coroutines of the parent wait for: that something has changed ----

    template <class Predicate>
    bool wait_until(Predicate&& happened, Deadline deadline) {
        deadline = deadline.resolved(loop->precise_now());
        while (!happened()) {
            Waiter waiter;
            changes.push_back(waiter);
            const Wake cause = waiter.point.wait(deadline);
            waiter.unlink();
            if (cause != Wake::event) return happened();
        }
        return true;
    }
    void changed() {
        while (!changes.empty()) changes.pop_front().point.wake();
    }
    void tell(Kind kind, unsigned index = 0, pid_t pid = 0, ExitStatus status = {}) const {
        try {
            if (options.on_event) options.on_event({kind, index, pid, status});
        } catch (...) {
            log_exception("a function that is told of workers");
        }
    }

    // ---- one process ----

    // Forks; null when that fails, which is logged.
    ProcessPtr start(unsigned index) {
        try {
            return try_start(index);
        } catch (const std::bad_alloc&) {
            return not_started(index, std::make_error_code(std::errc::not_enough_memory));
        }
    }

    ProcessPtr try_start(unsigned index) {
        Slot& slot = slots[index];
        cutils::Result<nutils::PipeEnds> ends = nutils::make_pipe();
        if (!ends) return not_started(index, ends.error());
        auto process = std::make_shared<Process>();
        process->slot = index;
        process->readiness = EvPipe(*loop, std::move(ends->reading));
        const unsigned generation = slot.generation++;
        cutils::Result<ChildProcess> child = fork_child(
            *loop, [&, this] { return work(index, generation, *process, std::move(ends->writing)); },
            {.when_parent_dies = SIGTERM});
        if (!child) return not_started(index, child.error());
        process->child = *std::move(child);
        process->started = loop->precise_now();
        processes.push_back(process);
        log(LogLevel::info, "worker %u: process %d started", index, process->pid());
        tell(Kind::started, index, process->pid());
        if (options.ready_at_start)
            is_ready(*process);
        else
            loop->spawn("worker's readiness", [this, process] { await_ready(*process); });
        loop->spawn("worker's end", [this, process] { await_end(process); });
        return process;
    }

    static ProcessPtr not_started(unsigned index, const cutils::Error& error) {
        log(LogLevel::error,
            "worker %u cannot be started: %s; trying again (see ulimit -u, ulimit -n, free memory)", index,
            error.message().c_str());
        return nullptr;
    }

    // In the worker.
    int work(unsigned index, unsigned generation, Process& self, nutils::UniqueFd ready) {
        self.readiness.close();
        for (const ProcessPtr& other : processes) other->readiness.close();
        ::signal(SIGINT, SIG_IGN);
        ::signal(SIGHUP, SIG_IGN);
        Worker worker(index, generation, std::move(listener), std::move(ready));
        return main(worker);
    }

    void await_ready(Process& process) {
        char byte = 0;
        IoResult got = process.readiness.recv({&byte, 1}, options.ready_within);
        if (got.timed_out()) {
            log(LogLevel::warning,
                "worker %u: process %d has not said within %.1f s that it is ready; it must call "
                "Worker::ready() when it serves",
                process.slot, process.pid(), seconds(options.ready_within));
            got = process.readiness.recv({&byte, 1}, Deadline::never);
        }
        process.readiness.close();
        if (got) is_ready(process);
    }

    void is_ready(Process& process) {
        process.ready = true;
        tell(Kind::ready, process.slot, process.pid());
        changed();
    }

    void await_end(const ProcessPtr& process) {
        const cutils::Result<ExitStatus> status = process->child.wait(Deadline::never);
        process->ended = true;
        process->readiness.close();
        processes.erase(std::find(processes.begin(), processes.end(), process));
        Slot& slot = slots[process->slot];
        const Duration ran = loop->precise_now() - process->started;
        if (slot.current == process) {
            slot.current = nullptr;
            slot.failures = ran >= options.good_run ? 0 : slot.failures + 1;
        }
        const bool asked = process->told_to_stop;
        log(asked ? LogLevel::info : LogLevel::warning, "worker %u: process %d %s after %.1f s%s",
            process->slot, process->pid(),
            status ? status->to_string().c_str() : status.error().message().c_str(), seconds(ran),
            asked ? ", as it was told" : "; it was not told to, look for its own messages");
        tell(Kind::ended, process->slot, process->pid(), status ? *status : ExitStatus{});
        changed();
    }

    void tell_to_stop(Process& process) {
        if (process.told_to_stop || process.ended) return;
        process.told_to_stop = true;
        (void)process.child.kill(SIGTERM);
        tell(Kind::told, process.slot, process.pid());
    }

    void kill(Process& process) {
        killed = true;
        log(LogLevel::warning,
            "worker %u: process %d has not ended within %.1f s after SIGTERM and is killed; what it was "
            "doing "
            "is lost (see WorkersOptions::drain)",
            process.slot, process.pid(), seconds(options.drain));
        (void)process.child.kill(SIGKILL);
        tell(Kind::killed, process.slot, process.pid());
    }

    // SIGTERM, and SIGKILL when it takes too long.
    void end(Process& process) {
        tell_to_stop(process);
        if (wait_until([&] { return process.ended; }, options.drain)) return;
        kill(process);
        (void)wait_until([&] { return process.ended; }, kDying);
    }

    // ---- one place ----

    void keep(unsigned index) {
        Slot& slot = slots[index];
        const auto is_empty = [&] { return slot.current == nullptr && !slot.replacing; };
        while (!stopping) {
            const Duration pause = pause_before(slot);
            if (pause > 0ns)
                log(LogLevel::warning, "worker %u keeps ending: the next one starts in %.1f s", index,
                    seconds(pause));
            (void)wait_until([&] { return stopping || !is_empty(); }, pause);
            if (!stopping && is_empty()) {
                slot.current = start(index);
                if (slot.current == nullptr) {
                    ++slot.failures;
                    continue;
                }
            }
            (void)wait_until([&] { return stopping || is_empty(); }, Deadline::never);
        }
    }

    [[nodiscard]] Duration pause_before(const Slot& slot) const {
        if (slot.failures < 2) return 0ns;
        Duration pause = options.first_pause;
        for (unsigned i = 2; i < slot.failures && pause < options.longest_pause; ++i) pause *= 2;
        return std::min(pause, options.longest_pause);
    }

    // A new worker in the place of the one that serves. False when it is not up to it.
    bool replace(unsigned index) {
        Slot& slot = slots[index];
        slot.replacing = true;  // the keeper waits, even if the old one ends meanwhile
        const ProcessPtr fresh = start(index);
        const bool good =
            fresh != nullptr &&
            wait_until([&] { return stopping || fresh->ready || fresh->ended; }, options.ready_within) &&
            fresh->ready && !fresh->ended;
        if (good) {
            const ProcessPtr old = std::exchange(slot.current, fresh);
            if (old != nullptr) end(*old);
        } else if (fresh != nullptr && !stopping) {
            end(*fresh);
        }
        slot.replacing = false;
        changed();
        return good;
    }

    // ---- all of them ----

    void reload() {
        while (std::exchange(reload_wanted, false) && !stopping) {
            if (options.reload && !reload_configuration()) continue;
            bool good = true;
            for (unsigned i = 0; i < slots.size() && good && !stopping; ++i) good = replace(i);
            if (stopping) break;
            if (!good)
                log(LogLevel::error,
                    "SIGHUP: a new worker did not become ready, so the reload ends here; the workers not yet "
                    "replaced go on as they are. See what the new one said, then send SIGHUP again");
            tell(good ? Kind::reloaded : Kind::failed);
        }
        reloading = false;
        changed();
    }

    bool reload_configuration() {
        bool good = false;
        try {
            good = options.reload();
        } catch (const std::exception& error) {
            log(LogLevel::error, "SIGHUP: reloading ended by an exception: %s", error.what());
        }
        if (good) return true;
        log(LogLevel::error, "SIGHUP: the configuration was not taken; the workers go on as they are");
        tell(Kind::failed);
        return false;
    }

    void reload_soon() {
        reload_wanted = true;
        if (std::exchange(reloading, true)) return;
        loop->spawn("reload", [this] { reload(); });
    }

    void stop() {
        stopping = true;
        changed();
        for (const ProcessPtr& process : processes) tell_to_stop(*process);
        const auto none_left = [this] { return processes.empty(); };
        if (wait_until(none_left, options.drain)) return;
        for (const ProcessPtr& process : processes) kill(*process);
        if (wait_until(none_left, kDying)) return;
        log(LogLevel::error, "%zu workers cannot even be killed: see what they wait for (ps -o wchan)",
            processes.size());
        for (const ProcessPtr& process : processes) (void)process->child.release();
    }

    void supervise() {
        SignalQueue signals(*loop, {SIGTERM, SIGINT, SIGHUP});
        for (unsigned i = 0; i < slots.size(); ++i) loop->spawn("worker's keeper", [this, i] { keep(i); });
        for (;;) {
            const cutils::Result<int> signal = signals.wait(Deadline::never);
            if (signal && *signal == SIGHUP) {
                log(LogLevel::info, "SIGHUP: replacing the workers one by one");
                reload_soon();
                continue;
            }
            log(LogLevel::info, "%s: telling the workers to stop, %.1f s at most",
                signal && *signal == SIGINT ? "SIGINT" : "SIGTERM", seconds(options.drain));
            return stop();
        }
    }

    int run() {
        EVC_CHECK(!std::exchange(was_run, true), "Workers::run() is called twice");
        EvThread supervisor = loop->spawn("workers", [this] { supervise(); });
        loop->run();
        (void)supervisor.join(Deadline::never);  // it has ended; the exception it ended by, if any
        return killed ? 1 : 0;
    }

    nutils::UniqueFd listener;
    Main main;
    WorkersOptions options;
    std::optional<corothread::StackPool> pool;
    std::optional<EvLoop> loop;
    std::vector<Slot> slots;
    std::vector<ProcessPtr> processes;  // that have not been reaped
    cutils::List<Waiter> changes;
    bool was_run = false;
    bool stopping = false;
    bool reloading = false, reload_wanted = false;
    bool killed = false;
};

Workers::Workers(nutils::UniqueFd listener, Main main, WorkersOptions options)
    : impl_(std::make_unique<Impl>(std::move(listener), std::move(main), std::move(options))) {}
Workers::~Workers() = default;

int Workers::run() { return impl_->run(); }

}  // namespace evcorothread::process
