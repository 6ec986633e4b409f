#include "webby/driver.h"

#include <array>
#include <utility>

#include "webby/driver_base_internal.h"

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
    DriverMaker* make = make_coroutine_driver;
    if (paradigm == Paradigm::thread) make = make_thread_driver;
    if (paradigm == Paradigm::event) make = make_event_driver;
    return make(loop, application, options, std::move(access_log));
}

}  // namespace webby
