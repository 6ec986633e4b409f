// ServerMetrics: what a server has done so far, and how it stands.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cutils/clock.h"
#include "cutils/export.h"
#include "evcorothread/thread_report.h"
#include "webby/http_types.h"
#include "webby/latency_histogram.h"
#include "webby/metrics_cell.h"
#include "webby/paradigm.h"

namespace webby {

// "handshake", "head", …
EVC_API std::string_view to_string(TimeoutKind kind);

// What only a loop itself can say.
struct LoopMetrics {
    std::size_t stacks_in_use = 0, stacks_peak = 0, stacks_limit = 0;
    std::size_t threads = 0, threads_limit = 0;  // OS threads that serve, in the thread paradigm
    std::size_t coroutines = 0;
    std::size_t waiting = 0;  // connections, for a stack
    // Of ServerOptions::stall_limit.
    bool stalls_known = false;
    cutils::Duration longest_stall{};
    std::uint64_t stalls = 0;
    std::vector<evcorothread::ThreadReport> where{};  // only for those who asked: the status page
};

// A copy. Counts are those of all loops and threads together, since the server was made.
struct EVC_API ServerMetrics {
    struct CodeCount {
        unsigned code;
        std::uint64_t count;
    };

    bool counted = false;  // false: nobody has asked for metrics, and all is 0
    Paradigm paradigm = Paradigm::coroutine;
    bool draining = false;
    cutils::TimePoint taken{};

    std::array<std::uint64_t, kMethodCount + 1> requests{};  // complete heads, by Method
    std::vector<CodeCount> responses{};                      // by status; those that there were
    std::vector<CodeCount> refused{};  // those of them that no servlet was asked for: 400, 408, 431, 503 …
    std::uint64_t received_bytes = 0;  // of HTTP, before and after TLS
    std::uint64_t sent_bytes = 0;
    std::uint64_t exceptions = 0;  // that left servlets and filters
    std::array<std::uint64_t, kTimeoutKinds> timeouts{};
    std::uint64_t handshakes = 0, failed_handshakes = 0;

    std::uint64_t accepted = 0, closed = 0;  // connections
    std::uint64_t cut = 0;                   // … that ended in the middle of a request or a response
    std::uint64_t drained = 0;               // … that closed while the server was stopping
    // Memory that answers hold now while slow clients take them, and how many were cut because it was too
    // much (ServerOptions::max_unsent).
    std::uint64_t unsent_bytes = 0;
    std::uint64_t cut_unsent = 0;
    std::uint64_t active = 0;  // now, with a request or a part of one

    // From the complete head until the response was handed over, the servlet's work between; of a response
    // whose body is made later, until that begins. The start is the loop's clock: it includes what the
    // request waited for others that became ready in the same pass of the loop.
    LatencyHistogram latency{};
    // From a request's first byte until it had a stack. The thread paradigm has none: when a byte came that
    // no thread was free for, the kernel does not say.
    LatencyHistogram queued{};

    std::vector<LoopMetrics> loops{};

    [[nodiscard]] std::uint64_t request_count() const;
    // Of the responses with codes from 100 * hundreds on: responses_of(2) are the 2xx.
    [[nodiscard]] std::uint64_t responses_of(unsigned hundreds) const;
    [[nodiscard]] std::uint64_t connections() const { return accepted - closed; }
    [[nodiscard]] std::uint64_t waiting() const;
    [[nodiscard]] std::uint64_t idle() const;
    [[nodiscard]] std::uint64_t timeouts_of(TimeoutKind kind) const {
        return timeouts[static_cast<std::size_t>(kind)];
    }
};

}  // namespace webby
