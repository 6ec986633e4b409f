#include "evcorothread/signal_watch.h"

#include <event2/event.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

struct SignalWatch::Impl {
    Impl(LoopCore& l, std::function<void(int)> f)
        : loop(l), function(std::make_shared<std::function<void(int)>>(std::move(f))) {}
    ~Impl() {
        for (event* watch : watches) event_free(watch);
    }
    void add(int signal) {
        event* const watch = event_new(loop.base, signal, EV_SIGNAL | EV_PERSIST, &on_signal, this);
        if (watch == nullptr) throw std::bad_alloc();
        watches.push_back(watch);
        errno = 0;
        if (event_add(watch, nullptr) != 0)
            throw std::system_error(errno != 0 ? errno : EINVAL, std::generic_category(),
                                    "SignalWatch: signal " + std::to_string(signal));
    }
    static void on_signal(evutil_socket_t number, short, void* self) {
        Impl& impl = *static_cast<Impl*>(self);
        ++impl.loop.io_events;
        const std::shared_ptr<std::function<void(int)>> function =
            impl.function;  // it may destroy its own watch
        try {
            (*function)(static_cast<int>(number));
        } catch (...) {
            log_exception("a function that watches signals");
        }
    }
    LoopCore& loop;
    std::shared_ptr<std::function<void(int)>> function;
    std::vector<event*> watches;
};

SignalWatch::SignalWatch(EvLoop& loop, std::span<const int> signals, std::function<void(int signal)> function)
    : impl_(std::make_unique<Impl>(loop.core(), std::move(function))) {
    loop.core().check_thread();
    impl_->watches.reserve(signals.size());
    // One that is named twice would be told of twice.
    for (auto signal = signals.begin(); signal != signals.end(); ++signal)
        if (std::find(signals.begin(), signal, *signal) == signal) impl_->add(*signal);
}
SignalWatch::SignalWatch(SignalWatch&&) noexcept = default;
SignalWatch& SignalWatch::operator=(SignalWatch&&) noexcept = default;
SignalWatch::~SignalWatch() = default;

}  // namespace evcorothread
