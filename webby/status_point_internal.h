// StatusPoint: what the status page shows of one moment. Internal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "webby/server_metrics.h"

namespace webby {

// Text in a page, in an attribute or not; and text in JSON that may stand in a page.
[[nodiscard]] std::string html_text(std::string_view text);
[[nodiscard]] std::string json_text(std::string_view text);

// Coroutines of one name that wait for the same.
struct WaitingGroup {
    std::string name;
    std::string what;    // "parked in recv", "ready"
    std::string detail;  // of one of them
    std::size_t count = 0;
    std::size_t loop = 0;
};
[[nodiscard]] std::vector<WaitingGroup> group_waits(const std::vector<LoopMetrics>& loops);

// What the charts draw. Rates are per second.
struct StatusPoint {
    double at = 0;  // seconds since 1970
    double requests = 0;
    double errors_4xx = 0, errors_5xx = 0;
    double received = 0, sent = 0;     // bytes
    double p50 = 0, p90 = 0, p99 = 0;  // of the requests of that time; seconds
    double queued_p99 = 0;
    double accepted = 0;
    double cpu = 0;  // of one CPU
    std::uint64_t idle = 0, active = 0, waiting = 0;
    std::uint64_t stacks = 0, stacks_peak = 0, stacks_limit = 0;
    std::uint64_t threads = 0, threads_limit = 0;

    // As one array, in the order of the members.
    [[nodiscard]] std::string to_json() const;
};

// Two looks at the same server.
struct StatusLook {
    ServerMetrics metrics;
    double wall_time = 0;  // seconds since 1970
    double cpu_seconds = 0;
    double started = 0;
    std::uint64_t resident_bytes = 0;
    std::size_t open_descriptors = 0;
};
[[nodiscard]] StatusPoint between(const StatusLook& before, const StatusLook& now);

// All else, as a JSON object: totals, loops, what coroutines wait for.
[[nodiscard]] std::string details_json(const StatusLook& now);

}  // namespace webby
