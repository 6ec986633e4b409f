#include "webby/driver.h"

#include <array>
#include <utility>

#include "webby/driver_coroutine.h"
#include "webby/driver_event.h"
#include "webby/driver_thread.h"

namespace webby {

namespace {
constexpr std::array<std::pair<Paradigm, std::string_view>, 3> kNames = {
    {{Paradigm::coroutine, "coroutine"}, {Paradigm::thread, "thread"}, {Paradigm::event, "event"}}};
}

std::string_view to_string(Paradigm paradigm) {
    for (const auto& [known, name] : kNames)
        if (known == paradigm) return name;
    return "?";
}

std::optional<Paradigm> parse_paradigm(std::string_view text) {
    for (const auto& [paradigm, name] : kNames)
        if (name == text) return paradigm;
    return {};
}

Driver::~Driver() = default;

std::unique_ptr<Driver> make_driver(Paradigm paradigm, evcorothread::EvLoop& loop,
                                    const Application& application, const DriverOptions& options,
                                    std::unique_ptr<AccessLog> access_log) {
    switch (paradigm) {
        case Paradigm::coroutine: break;
        case Paradigm::thread:
            return std::make_unique<ThreadDriver>(loop, application, options, std::move(access_log));
        case Paradigm::event:
            return std::make_unique<EventDriver>(loop, application, options, std::move(access_log));
    }
    return std::make_unique<CoroutineDriver>(loop, application, options, std::move(access_log));
}

}  // namespace webby
