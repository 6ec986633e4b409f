#include "webby/server_metrics.h"

#include <numeric>

namespace webby {

std::string_view to_string(TimeoutKind kind) {
    static constexpr std::array<std::string_view, kTimeoutKinds> kNames = {"handshake", "head",  "body",
                                                                           "answer",    "write", "idle"};
    return kNames[static_cast<std::size_t>(kind)];
}

std::uint64_t ServerMetrics::request_count() const {
    return std::accumulate(requests.begin(), requests.end(), std::uint64_t{0});
}

std::uint64_t ServerMetrics::responses_of(unsigned hundreds) const {
    std::uint64_t all = 0;
    for (const CodeCount& one : responses)
        if (one.code / 100 == hundreds) all += one.count;
    return all;
}

std::uint64_t ServerMetrics::waiting() const {
    std::uint64_t all = 0;
    for (const LoopMetrics& loop : loops) all += loop.waiting;
    return all;
}

// The counts come from several threads, each a moment apart.
std::uint64_t ServerMetrics::idle() const {
    const std::uint64_t busy = active + waiting();
    return connections() > busy ? connections() - busy : 0;
}

}  // namespace webby
