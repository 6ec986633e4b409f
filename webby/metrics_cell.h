// MetricsCell: what one loop, or one OS thread, has counted. Nobody else writes it, so counting is a load, an
// addition and a store; whoever asks adds the cells up.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "cutils/clock.h"
#include "webby/http_types.h"
#include "webby/latency_histogram.h"

namespace webby {

// One thread adds, any may look; who sees a count sees those that the thread made before.
// Cost: three instructions.
class Tally {
  public:
    void add(std::uint64_t more = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_release);
    }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_acquire); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

class LatencyTally {
  public:
    void add(cutils::Duration time) {
        buckets_[LatencyScale::bucket_of(time)].add();
        sum_.add(static_cast<std::uint64_t>(std::max<cutils::Duration::rep>(time.count(), 0)));
    }
    void add_to(LatencyHistogram& all) const {
        for (std::size_t i = 0; i < all.counts.size(); ++i) all.counts[i] += buckets_[i].get();
        all.sum += cutils::Duration(static_cast<cutils::Duration::rep>(sum_.get()));
    }

  private:
    Tally sum_;
    std::array<Tally, LatencyScale::kBuckets> buckets_;
};

// Whose patience was over.
enum class TimeoutKind : std::uint8_t {
    handshake,  // of TLS
    head,       // of a request
    body,       // of a request
    answer,     // RouteOptions::deadline
    write,      // the client took nothing of its response
    idle,       // between two requests
};
inline constexpr std::size_t kTimeoutKinds = 6;

// Counts by status code: 100 to 599. What is none of these counts as 599.
class StatusTally {
  public:
    void add(Status status) {
        const std::size_t index = static_cast<std::size_t>(to_number(status)) - 100;
        counts_[index < counts_.size() ? index : counts_.size() - 1].add();
    }
    template <class F>
    void for_each(F&& visit) const {  // f(code, count)
        for (std::size_t i = 0; i < counts_.size(); ++i)
            if (const std::uint64_t count = counts_[i].get(); count > 0)
                visit(static_cast<unsigned>(i + 100), count);
    }

  private:
    std::array<Tally, 500> counts_;
};

// Owner: a MetricsBoard.
struct alignas(64) MetricsCell {
    // A request touches these.
    Tally begun, ended;  // connections that got an Exchange, and gave it back
    Tally received, sent;
    std::array<Tally, kMethodCount + 1> requests;  // complete heads, by Method
    LatencyTally latency, queued;
    StatusTally responses;

    Tally accepted, closed;
    Tally drained;  // closed while the server was stopping
    Tally cut;      // ended in the middle of a request or a response
    Tally handshakes, failed_handshakes;
    std::array<Tally, kTimeoutKinds> timeouts;
    StatusTally refused;  // by the engine, or because there was no room: no servlet was asked

    void count_timeout(TimeoutKind kind) { timeouts[static_cast<std::size_t>(kind)].add(); }
};

}  // namespace webby
