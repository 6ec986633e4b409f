#include "evcorothread/ev_timer.h"

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

namespace {

// Which the end of time stops.
TimePoint later_by(TimePoint time, Duration period) { return Deadline(period).resolved(time).at(); }

}  // namespace

struct EvTimer::Impl final : cutils::TimerNode {
    Impl(LoopCore& l, std::function<void()> f)
        : TimerNode(&Impl::on_due),
          loop(l),
          room(l),
          function(std::make_shared<std::function<void()>>(std::move(f))) {
        loop.check_thread();
    }
    ~Impl() { stop(); }

    void start(TimePoint due) {
        loop.check_thread();
        if (!armed()) loop.add_work();
        loop.timers.arm(*this, due);
        loop.kick();
    }
    void stop() {
        loop.check_thread_while_running();
        if (armed()) loop.drop_work();
        loop.timers.remove(*this);
    }

    static void on_due(cutils::TimerNode& node) {
        auto& self = static_cast<Impl&>(node);
        // Before the call: the function may destroy its own timer.
        const std::shared_ptr<std::function<void()>> function = self.function;
        LoopCore& loop = self.loop;
        if (self.period > Duration::zero()) {
            const TimePoint now = loop.precise_now();
            self.next = later_by(self.next, self.period);
            if (self.next <= now) {
                const Duration missed = (now - self.next) / self.period * self.period;
                self.next = later_by(self.next + missed, self.period);
            }
            if (self.next == TimePoint::max())
                loop.drop_work();
            else
                loop.timers.arm(self, self.next);
        } else {
            loop.drop_work();
        }
        try {
            (*function)();
        } catch (...) {
            log_exception("a timer's function");
        }
    }

    LoopCore& loop;
    TimerRoom room;
    std::shared_ptr<std::function<void()>> function;
    Duration period{};
    TimePoint next{};
};

EvTimer::EvTimer(EvLoop& loop, std::function<void()> function)
    : impl_(std::make_unique<Impl>(loop.core(), std::move(function))) {}
EvTimer::EvTimer(EvTimer&&) noexcept = default;
EvTimer& EvTimer::operator=(EvTimer&&) noexcept = default;
EvTimer::~EvTimer() = default;

EvTimer::Impl& EvTimer::impl() const {
    EVC_CHECK(impl_ != nullptr, "an EvTimer is started after it was moved away");
    return *impl_;
}

void EvTimer::start(Deadline when) {
    Impl& timer = impl();
    timer.stop();
    timer.period = Duration::zero();
    if (!when.is_never()) timer.start(when.resolved(timer.loop.precise_now()).at());
}

void EvTimer::start_periodic(Duration period) {
    EVC_CHECK(period > Duration::zero(), "a periodic timer needs a period above zero");
    Impl& timer = impl();
    timer.stop();
    timer.period = period;
    const Deadline first(period);  // which knows when an end of time is too far away
    if (first.is_never()) return;
    timer.next = first.resolved(timer.loop.precise_now()).at();
    timer.start(timer.next);
}

void EvTimer::stop() {
    if (impl_ != nullptr) impl_->stop();
}
bool EvTimer::running() const { return impl_ != nullptr && impl_->armed(); }

}  // namespace evcorothread
