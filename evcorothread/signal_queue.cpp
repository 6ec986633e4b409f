#include "evcorothread/signal_queue.h"

#include <array>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "cutils/intrusive.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/signal_name_internal.h"
#include "evcorothread/signal_watch.h"
#include "nutils/net_error.h"

namespace evcorothread {
namespace {

// A signal number and how often it has come; queued while that is more than never.
struct Arrival : cutils::ListHook<> {
    std::size_t count = 0;
};

struct Waiter : cutils::ListHook<> {
    explicit Waiter(const WaitDetail& which) : point("a signal", which) {}
    DescribedPoint point;
    int signal = 0;
};

}  // namespace

struct SignalQueue::Impl final : WaitDetail {
    Impl(EvLoop& l, std::span<const int> signals)
        : loop(l),
          watched(signals.begin(), signals.end()),
          watch(l, signals, [this](int signal) { arrived(signal); }) {}
    ~Impl() {
        while (!waiters.empty()) waiters.pop_front().point.wake_closed();
        while (!arrivals.empty()) arrivals.pop_front();
    }

    void arrived(int signal) {
        // Handed over, not left to be fetched: a try_wait() in between would take it from who waited longest.
        // Who has been woken otherwise, by a cancel in the same pass, and has not run yet, gets none.
        while (!waiters.empty()) {
            Waiter& first = waiters.pop_front();
            if (!first.point.wake()) continue;
            first.signal = signal;
            return;
        }
        Arrival& arrival = of(signal);
        if (arrival.count++ == 0) arrivals.push_back(arrival);
    }

    std::optional<int> take() {
        if (arrivals.empty()) return std::nullopt;
        Arrival& first = arrivals.pop_front();
        if (--first.count > 0) arrivals.push_back(first);
        return static_cast<int>(&first - table.data());
    }

    std::string wait_detail() const override {
        std::string all;
        for (const int signal : watched) all.append(all.empty() ? "" : ", ").append(signal_name(signal));
        return all;
    }

    Arrival& of(int signal) { return table[static_cast<std::size_t>(signal)]; }

    EvLoop& loop;
    const std::vector<int> watched;
    std::array<Arrival, _NSIG> table{};
    cutils::List<Arrival> arrivals;
    cutils::List<Waiter> waiters;
    SignalWatch watch;
};

SignalQueue::SignalQueue(EvLoop& loop, std::span<const int> signals)
    : impl_(std::make_unique<Impl>(loop, signals)) {}
SignalQueue::~SignalQueue() = default;

cutils::Result<int> SignalQueue::wait(Deadline deadline) {
    const ThreadCore& self = ThreadCore::current();
    EVC_CHECK(&self.loop == &impl_->loop.core(), "a SignalQueue is used by a coroutine of another loop");
    if (self.canceled() && shield_over(self)) return std::error_code(nutils::NetError::canceled);
    if (const std::optional<int> signal = impl_->take()) return *signal;
    Waiter waiter(*impl_);
    impl_->waiters.push_back(waiter);
    const Wake cause = waiter.point.wait(deadline);
    waiter.unlink();  // *impl_ may be gone: then it is out already
    if (cause != Wake::event) return to_error(cause);
    return waiter.signal;
}

std::optional<int> SignalQueue::try_wait() { return impl_->take(); }

std::size_t SignalQueue::pending(int signal) const {
    return signal > 0 && signal < _NSIG ? impl_->of(signal).count : 0;
}

}  // namespace evcorothread
