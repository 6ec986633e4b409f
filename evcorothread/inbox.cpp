#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "evcorothread/inbox_internal.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

namespace {
// A batch larger than this does not keep its memory.
constexpr std::size_t kKeep = 4096;
}  // namespace

// With the lock held: something is there.
void Inbox::came() {
    const bool first = !pending_.load(std::memory_order_relaxed);
    pending_.store(true, std::memory_order_relaxed);
    if (knows_sleep_ ? !asleep_.load(std::memory_order_relaxed) : !first) return;
    asleep_.store(false, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

void Inbox::post(std::function<void()> function) {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
    came();
}

void Inbox::deliver(Delivery& delivery) {
    const std::lock_guard lock(mutex_);
    delivered_.push_back(delivery);
    came();
}

void Inbox::ring() {
    const std::lock_guard lock(mutex_);
    came();
}

void Inbox::ring_here() {
    const int error = errno;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
    errno = error;
}

void Inbox::withdraw(Delivery& delivery) {
    const std::lock_guard lock(mutex_);
    delivery.unlink();
}

bool Inbox::may_sleep() {
    const std::lock_guard lock(mutex_);
    if (pending_.load(std::memory_order_relaxed)) return false;
    asleep_.store(true, std::memory_order_relaxed);
    return true;
}

void Inbox::empty() {
    std::vector<std::function<void()>> functions = std::move(spare_);
    {
        const std::lock_guard lock(mutex_);
        pending_.store(false, std::memory_order_relaxed);
        functions.swap(posted_);
        while (!delivered_.empty()) delivered_.pop_front().point.wake();
    }
    const unsigned forks = forks_;
    for (auto& function : functions) {
        if (forks_ != forks) break;  // the one before has forked, here is the child: they are the parent's
        try {
            function();
        } catch (...) {
            log_exception("a posted function");
        }
    }
    functions.clear();
    if (functions.capacity() <= kKeep) spare_ = std::move(functions);
}

void Inbox::drop() {
    for (std::vector<std::function<void()>> unrun;; unrun.clear()) {  // not under the lock
        const std::lock_guard lock(mutex_);
        unrun.swap(posted_);
        if (unrun.empty()) return;
    }
}

}  // namespace evcorothread
