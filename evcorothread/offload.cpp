#include "evcorothread/offload.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "cutils/check.h"
#include "evcorothread/cross_waiter_internal.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/quiet_thread_internal.h"

namespace evcorothread {

using nutils::NetError;

struct OffloadJob::Links : cutils::ListHook<OffloadJob::Links> {
    explicit Links(OffloadJob& j) : job(j) {}
    OffloadJob& job;
    CrossWaiter* waiter = nullptr;  // null: given up
    TimePoint came{};
    bool begun = false;
    bool asked_to_stop = false;
    int held = 0;  // by those who ask it to stop: it must not go
};
using Links = OffloadJob::Links;

OffloadJob::OffloadJob() : links(std::make_unique<Links>(*this)) {}
OffloadJob::~OffloadJob() = default;

// --- figures ---

Duration OffloadQueueTimes::mean() const {
    return count == 0 ? Duration::zero() : sum / static_cast<Duration::rep>(count);
}

Duration OffloadQueueTimes::percentile(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count)));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i + 1 < classes.size(); ++i) {
        seen += classes[i];
        if (seen >= wanted) return std::min<Duration>(std::chrono::microseconds(1LL << i), max);
    }
    return max;
}

namespace {
void note(OffloadQueueTimes& times, Duration queued) {
    const auto us = static_cast<std::uint64_t>(
        std::max<Duration::rep>(std::chrono::duration_cast<std::chrono::microseconds>(queued).count(), 0));
    ++times.classes[std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(us)),
                                          times.classes.size() - 1)];
    ++times.count;
    times.sum += queued;
    times.max = std::max(times.max, queued);
}
}  // namespace

// --- the pool ---

namespace {

// What threads and calls share; whoever is last out of the pool's end ends it.
//
// Jobs in the queue, and those that wait for room in it, stand in one line: to wait in the queue or for it is
// the same to whoever waits, and the order is right by itself.
class Shared {
  public:
    explicit Shared(OffloadOptions o) : options(std::move(o)) {}

    std::error_code run(const std::shared_ptr<Shared>& self, Links& links, bool wait_for_room,
                        Deadline deadline, bool& taken);
    std::error_code post(const std::shared_ptr<Shared>& self, std::unique_ptr<OffloadJob> job);
    void close();
    OffloadFigures figures();
    std::list<std::thread> take_threads();

  private:
    std::error_code enter(const std::shared_ptr<Shared>& self, Links& links, bool wait_for_room);
    void make_thread(const std::shared_ptr<Shared>& self);
    void serve();
    Links* next_job(std::unique_lock<std::mutex>& lock);
    void run_job(Links& links, std::unique_lock<std::mutex>& lock);
    void ask_to_stop(Links& links, std::unique_lock<std::mutex>& lock);
    void thread_ends();

    struct Job final : WaitDetail {
        Job(Shared& in, const Links& its) : shared(in), links(its) {}
        std::string wait_detail() const override { return shared.detail_of(links); }
        Shared& shared;
        const Links& links;
    };
    std::string detail_of(const Links& links);

    const OffloadOptions options;
    std::mutex mutex;
    std::condition_variable came;    // a job, or the end
    std::condition_variable let_go;  // of a job that was asked to stop
    cutils::List<Links, Links> line;
    std::size_t in_line = 0;
    cutils::List<Links, Links> running;
    std::size_t run_count = 0;
    std::size_t idle = 0;   // threads that wait for a job
    std::size_t alive = 0;  // threads
    std::list<std::thread> threads;
    std::list<std::thread> ended;  // to be joined
    OffloadFigures counts;
    bool closed = false;
};

std::error_code Shared::run(const std::shared_ptr<Shared>& self, Links& links, bool wait_for_room,
                            Deadline deadline, bool& taken) {
    const Job job(*this, links);
    CrossWaiter waiter("offloaded work", &job);
    std::unique_lock lock(mutex);
    links.waiter = &waiter;
    if (const std::error_code error = enter(self, links, wait_for_room)) return error;
    const Wake cause = waiter.wait(lock, deadline);
    if (cause == Wake::event || cause == Wake::closed) return to_error(cause);
    if (links.begun) {
        ++counts.abandoned;
        links.waiter = nullptr;
        taken = true;
        ask_to_stop(links, lock);
    } else {
        ++counts.withdrawn;
        links.unlink();
        --in_line;
    }
    return to_error(cause);
}

std::string Shared::detail_of(const Links& links) {
    const std::lock_guard lock(mutex);
    if (links.begun) return "has begun";
    std::size_t before = 0;
    (void)line.find_if([&](const Links& other) { return &other == &links || (++before, false); });
    return std::to_string(before) + " before it in line, for " + std::to_string(options.threads) +
           " OS threads";
}

// Whoever runs it, or closes, destroys it.
std::error_code Shared::post(const std::shared_ptr<Shared>& self, std::unique_ptr<OffloadJob> job) {
    const std::lock_guard lock(mutex);
    if (const std::error_code error = enter(self, *job->links, false)) return error;
    (void)job.release();
    return {};
}

// Into the line. With the lock held.
std::error_code Shared::enter(const std::shared_ptr<Shared>& self, Links& links, bool wait_for_room) {
    if (closed) return NetError::closed;
    // Jobs for which there is a thread are as good as begun.
    if (!wait_for_room && in_line >= options.queue + (options.threads - run_count)) {
        ++counts.refused;
        return NetError::busy;
    }
    if (idle <= in_line && alive < options.threads) {
        try {
            make_thread(self);
        } catch (const std::system_error& error) {
            if (alive == 0) return error.code();  // else another one will come to it
        }
    }
    links.came = cutils::monotonic_now();
    line.push_back(links);
    ++in_line;
    came.notify_one();
    return {};
}

// Without the lock: functions of the application may be registered with its stop token. The job stays
// meanwhile.
void Shared::ask_to_stop(Links& links, std::unique_lock<std::mutex>& lock) {
    if (std::exchange(links.asked_to_stop, true)) return;
    ++links.held;
    lock.unlock();
    links.job.ask_to_stop();
    lock.lock();
    --links.held;
    let_go.notify_all();
}

void Shared::close() {
    std::vector<std::unique_ptr<OffloadJob>> dropped;  // destroyed without the lock
    std::unique_lock lock(mutex);
    closed = true;
    came.notify_all();
    for (; in_line > 0; --in_line) {
        ++counts.withdrawn;
        Links& links = line.pop_front();
        if (links.waiter != nullptr)
            links.waiter->wake(Wake::closed);
        else
            dropped.emplace_back(&links.job);
    }
    for (Links* found;;) {
        found = nullptr;
        running.for_each([&](Links& links) {
            if (found == nullptr && !links.asked_to_stop) found = &links;
        });
        if (found == nullptr) break;
        ask_to_stop(*found, lock);
    }
    lock.unlock();
}

OffloadFigures Shared::figures() {
    const std::lock_guard lock(mutex);
    OffloadFigures figures = counts;
    figures.threads = alive;
    figures.running = run_count;
    figures.queued = std::min(in_line, options.queue);
    figures.waiting = in_line - figures.queued;
    return figures;
}

std::list<std::thread> Shared::take_threads() {
    const std::lock_guard lock(mutex);
    threads.splice(threads.end(), ended);
    return std::exchange(threads, {});
}

// With the lock held.
void Shared::make_thread(const std::shared_ptr<Shared>& self) {
    for (std::thread& thread : ended) thread.join();  // they have let go of the lock for good
    ended.clear();
    threads.emplace_back();
    try {
        threads.back() = start_quiet_thread(options.name, [self] { self->serve(); });
    } catch (...) {
        threads.pop_back();
        throw;
    }
    ++alive;
}

void Shared::serve() {
    std::unique_lock lock(mutex);
    while (Links* const links = next_job(lock)) run_job(*links, lock);
    thread_ends();
}

Links* Shared::next_job(std::unique_lock<std::mutex>& lock) {
    const Deadline until = Deadline(options.idle).resolved(cutils::monotonic_now());
    while (line.empty()) {
        if (closed || (!until.is_never() && until.at() <= cutils::monotonic_now())) return nullptr;
        ++idle;
        if (until.is_never())
            came.wait(lock);
        else
            came.wait_until(lock, until.at());
        --idle;
    }
    --in_line;
    return &line.pop_front();
}

void Shared::run_job(Links& links, std::unique_lock<std::mutex>& lock) {
    note(counts.queue_times, cutils::monotonic_now() - links.came);
    links.begun = true;
    running.push_back(links);
    ++run_count;
    lock.unlock();
    links.job.run();
    lock.lock();
    while (links.held > 0) let_go.wait(lock);
    links.unlink();
    --run_count;
    ++counts.done;
    if (links.waiter != nullptr) return links.waiter->wake();  // it is the waiter's now
    lock.unlock();
    links.job.abandoned();
    delete &links.job;
    lock.lock();
}

// With the lock held, for the last time. When the pool's end joins us, we are not in the list any more.
void Shared::thread_ends() {
    --alive;
    for (auto thread = threads.begin(); thread != threads.end(); ++thread) {
        if (thread->get_id() != std::this_thread::get_id()) continue;
        ended.splice(ended.end(), threads, thread);
        return;
    }
}

}  // namespace

struct OffloadPool::Impl {
    std::shared_ptr<Shared> shared;
};

OffloadPool::OffloadPool(Options options)
    : impl_(std::make_unique<Impl>(Impl{std::make_shared<Shared>(options)})) {
    EVC_CHECK(options.threads > 0, "an OffloadPool of no threads never runs anything");
}

OffloadPool::~OffloadPool() {
    close();
    for (std::thread& thread : impl_->shared->take_threads()) thread.join();
}

std::error_code OffloadPool::post(std::function<void()> function) {
    struct Posted final : OffloadJob {
        explicit Posted(std::function<void()> f) : function(std::move(f)) {}
        void run() noexcept override {
            try {
                function();
            } catch (...) {
                log_exception("a function posted to an offload pool");
            }
        }
        std::function<void()> function;
    };
    return impl_->shared->post(impl_->shared, std::make_unique<Posted>(std::move(function)));
}

void OffloadPool::close() { impl_->shared->close(); }

OffloadFigures OffloadPool::figures() const { return impl_->shared->figures(); }

std::error_code OffloadPool::run(OffloadJob& job, bool wait_for_room, Deadline deadline, bool& taken) {
    const std::shared_ptr<Shared> shared = impl_->shared;  // the pool may end while we wait
    return shared->run(shared, *job.links, wait_for_room, deadline, taken);
}

void detail::log_abandoned_exception(const std::exception_ptr& thrown) noexcept {
    try {
        std::rethrow_exception(thrown);
    } catch (...) {
        log_exception("an offloaded function for which nobody waited any more");
    }
}

}  // namespace evcorothread
