#include "evcorothread/signal_watch.h"

#include <event2/event.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "evcorothread/loop_core_internal.h"

namespace evcorothread {

struct SignalWatch::Impl {
    explicit Impl(std::function<void(int)> f) : function(std::move(f)) {}
    ~Impl() {
        for (event* watch : watches) event_free(watch);
    }
    void add(LoopCore& loop, int signal) {
        event* const watch =
            event_new(loop.base, signal, EV_SIGNAL | EV_PERSIST,
                      [](evutil_socket_t number, short, void* self) {
                          static_cast<Impl*>(self)->function(static_cast<int>(number));
                      },
                      this);
        if (watch == nullptr) throw std::bad_alloc();
        watches.push_back(watch);
        errno = 0;
        if (event_add(watch, nullptr) != 0)
            throw std::system_error(errno != 0 ? errno : EINVAL, std::generic_category(),
                                    "SignalWatch: signal " + std::to_string(signal));
    }
    std::function<void(int)> function;
    std::vector<event*> watches;
};

SignalWatch::SignalWatch(EvLoop& loop, std::initializer_list<int> signals, std::function<void(int signal)> function)
    : impl_(std::make_unique<Impl>(std::move(function))) {
    impl_->watches.reserve(signals.size());
    for (const int signal : signals) impl_->add(loop.core(), signal);
}
SignalWatch::SignalWatch(SignalWatch&&) noexcept = default;
SignalWatch& SignalWatch::operator=(SignalWatch&&) noexcept = default;
SignalWatch::~SignalWatch() = default;

}  // namespace evcorothread
