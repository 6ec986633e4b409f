// The C face: timers.
#include <memory>

#include "evcorothread/evthread.h"
#include "evcorothread/evthread_internal.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

tagEVTIMER::tagEVTIMER(EVLOOP& loop, int timer_id, Duration timer_period, bool is_recurrent,
                       EVTIMER_PROC timer_proc, void* data)
    : owner(loop),
      id(timer_id),
      period(timer_period),
      recurrent(is_recurrent),
      proc(timer_proc),
      user_data(data),
      timer(loop.loop, [this] { proc(this, user_data); }) {}

namespace {

// `timers`: the list of whoever owns it.
EVTIMER* make_timer(EVLOOP& loop, cutils::List<tagEVTIMER>& timers, int timer_id, const timeval& time,
                    bool recurrent, EVTIMER_PROC proc, void* user_data) {
    if (proc == nullptr || is_never(time)) return fail_null(EINVAL);
    const Duration period = duration_of(time);
    if (period < Duration::zero() || (recurrent && period == Duration::zero())) return fail_null(EINVAL);
    return guarded<EVTIMER*>(nullptr, [&] {
        auto* const timer = new tagEVTIMER(loop, timer_id, period, recurrent, proc, user_data);
        timers.push_back(*timer);
        return timer;
    });
}

EVTIMER* make_timer_of(EVTHREAD* thread, int timer_id, const timeval& time, bool recurrent, EVTIMER_PROC proc,
                       void* user_data) {
    if (!usable(thread)) return fail_null(EINVAL);
    return make_timer(thread->loop, thread->timers, timer_id, time, recurrent, proc, user_data);
}

EVTIMER* make_timer_of(EVLOOP* loop, int timer_id, const timeval& time, bool recurrent, EVTIMER_PROC proc,
                       void* user_data) {
    if (!usable(loop)) return fail_null(EINVAL);
    return make_timer(*loop, loop->timers, timer_id, time, recurrent, proc, user_data);
}

bool usable(const EVTIMER* timer) { return timer != nullptr && c_face::usable(&timer->owner); }

}  // namespace

EVTIMER* EVTIMER_init_one_shot(EVTHREAD* thread, int timer_id, struct timeval delay, EVTIMER_PROC proc,
                               void* user_data) noexcept {
    return make_timer_of(thread, timer_id, delay, false, proc, user_data);
}

EVTIMER* EVTIMER_init_recurrent(EVTHREAD* thread, int timer_id, struct timeval period, EVTIMER_PROC proc,
                                void* user_data) noexcept {
    return make_timer_of(thread, timer_id, period, true, proc, user_data);
}

EVTIMER* EVTIMER_init_one_shot_on_loop(EVLOOP* loop, int timer_id, struct timeval delay, EVTIMER_PROC proc,
                                       void* user_data) noexcept {
    return make_timer_of(loop, timer_id, delay, false, proc, user_data);
}

EVTIMER* EVTIMER_init_recurrent_on_loop(EVLOOP* loop, int timer_id, struct timeval period, EVTIMER_PROC proc,
                                        void* user_data) noexcept {
    return make_timer_of(loop, timer_id, period, true, proc, user_data);
}

int EVTIMER_start(EVTIMER* timer) noexcept {
    if (!usable(timer)) return fail(EINVAL);
    return guarded(-1, [&] {
        if (timer->recurrent)
            timer->timer.start_periodic(timer->period);
        else
            timer->timer.start(timer->period);
        return 0;
    });
}

int EVTIMER_cancel(EVTIMER* timer) noexcept {
    if (!usable(timer)) return fail(EINVAL);
    timer->timer.stop();
    return 0;
}

int EVTIMER_free(EVTIMER* timer) noexcept {
    if (!usable(timer)) return fail(EINVAL);
    delete timer;
    return 0;
}

int EVTIMER_id(const EVTIMER* timer) noexcept { return timer != nullptr ? timer->id : fail(EINVAL); }
