#include "webby/loop_driver_internal.h"

#include <chrono>
#include <utility>

#include "webby/metrics_board_internal.h"

namespace webby {

LoopDriver::LoopDriver(evcorothread::EvLoop& the_loop, const Application& application,
                       const DriverOptions& the_options, std::unique_ptr<AccessLog> log)
    : DriverBase(the_loop, the_options, std::move(log)),
      context{.application = application, .limits = options.limits, .timeouts = options.timeouts},
      exchanges(options.limits),
      drain_timer_(loop, [this] { cancel(); }),
      log_timer_(loop, [this] { access_log->flush(); }) {
    context.access_log = access_log.get();
    context.trust = options.trust;
    context.told_on = &loop;
    if (options.metrics != nullptr) context.metrics = &options.metrics->add_cell();
}

LoopDriver::~LoopDriver() {
    if (access_log) access_log->flush();
}

bool LoopDriver::make_room() {
    if (open() < options.max_connections || options.when_full == WhenFull::wait) return true;
    if (options.when_full == WhenFull::refuse) return false;
    if (!close_oldest()) pause();  // this one is the last until somebody goes, or becomes idle
    return true;
}

void LoopDriver::gone() {
    if (!context.draining) resume();
    if (!finished()) return;
    drain_timer_.stop();
    tell_finished();
}

void LoopDriver::drain() {
    if (context.draining.exchange(true)) return;
    close_listeners();
    end_idle();
    if (open() > 0) drain_timer_.start(options.drain);
}

void LoopDriver::count_refused() {
    ++refused;
    if (context.metrics != nullptr) context.metrics->refused.add(Status::service_unavailable);
}

void LoopDriver::flush_soon() {
    constexpr std::chrono::milliseconds kFlushAfter{50};
    if (access_log->has_lines() && !log_timer_.running()) log_timer_.start(kFlushAfter);
}

}  // namespace webby
