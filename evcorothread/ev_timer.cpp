#include "evcorothread/ev_timer.h"

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

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
            self.next += self.period;
            if (self.next <= now) self.next += (now - self.next) / self.period * self.period + self.period;
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

void EvTimer::start(Deadline when) {
    stop();
    impl_->period = Duration::zero();
    if (!when.is_never()) impl_->start(when.resolved(impl_->loop.precise_now()).at());
}

void EvTimer::start_periodic(Duration period) {
    EVC_CHECK(period > Duration::zero(), "a periodic timer needs a period above zero");
    stop();
    impl_->period = period;
    const Deadline first(period);  // which knows when an end of time is too far away
    if (first.is_never()) return;
    impl_->next = first.resolved(impl_->loop.precise_now()).at();
    impl_->start(impl_->next);
}

void EvTimer::stop() { impl_->stop(); }
bool EvTimer::running() const { return impl_->armed(); }

}  // namespace evcorothread
