#include <map>

#include "webby/metrics_board_internal.h"

namespace webby {
namespace {

std::vector<ServerMetrics::CodeCount> listed(const std::map<unsigned, std::uint64_t>& counts) {
    std::vector<ServerMetrics::CodeCount> list;
    list.reserve(counts.size());
    for (const auto& [code, count] : counts) list.push_back({code, count});
    return list;
}

}  // namespace

ServerMetrics MetricsBoard::sum() const {
    ServerMetrics all;
    all.counted = true;
    std::map<unsigned, std::uint64_t> responses, refused;
    std::uint64_t begun = 0, ended = 0;
    const std::lock_guard lock(mutex_);
    for (const auto& cell : cells_) {
        // What has ended had begun, and what is closed was accepted, so these are read first: another thread
        // may count in between.
        ended += cell->ended.get();
        all.closed += cell->closed.get();
    }
    for (const auto& cell : cells_) {
        begun += cell->begun.get();
        all.accepted += cell->accepted.get();
        all.received_bytes += cell->received.get();
        all.sent_bytes += cell->sent.get();
        all.drained += cell->drained.get();
        all.cut += cell->cut.get();
        all.handshakes += cell->handshakes.get();
        all.failed_handshakes += cell->failed_handshakes.get();
        for (std::size_t i = 0; i < all.requests.size(); ++i) all.requests[i] += cell->requests[i].get();
        for (std::size_t i = 0; i < all.timeouts.size(); ++i) all.timeouts[i] += cell->timeouts[i].get();
        cell->latency.add_to(all.latency);
        cell->queued.add_to(all.queued);
        cell->responses.for_each([&](unsigned code, std::uint64_t count) { responses[code] += count; });
        cell->refused.for_each([&](unsigned code, std::uint64_t count) { refused[code] += count; });
    }
    all.active = begun > ended ? begun - ended : 0;
    all.accepted = std::max(all.accepted, all.closed);
    all.responses = listed(responses);
    all.refused = listed(refused);
    return all;
}

}  // namespace webby
