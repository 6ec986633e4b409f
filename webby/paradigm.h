// Paradigm: who drives the connections. Servlets and filters are the same under all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cutils/export.h"

namespace webby {

enum class Paradigm : std::uint8_t {
    coroutine,  // one OS thread, a coroutine a request
    thread,     // an OS thread a request, from a bounded pool
    event,      // one OS thread, callbacks: servlets run to completion on the loop
};

// "coroutine", "thread", "event".
[[nodiscard]] EVC_API std::string_view to_string(Paradigm paradigm);
[[nodiscard]] EVC_API std::optional<Paradigm> parse_paradigm(std::string_view name);

}  // namespace webby
