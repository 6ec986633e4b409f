// LatencyHistogram: how often something took how long, on a logarithmic scale.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "cutils/clock.h"
#include "cutils/export.h"

namespace webby {

// The scale: four steps for each doubling, from 1 µs to two minutes. A percentile is off by a quarter at
// most, half of that in the middle.
struct LatencyScale {
    static constexpr unsigned kFirst = 10;  // 2^10 ns are the end of the first bucket
    static constexpr unsigned kLast = 37;   // beyond 2^37 ns all is one bucket
    static constexpr std::size_t kBuckets = 1 + (kLast - kFirst) * 4 + 1;

    // Which bucket a time belongs to: those in it are no longer than end_of() it. Cost: eight instructions.
    [[nodiscard]] static constexpr std::size_t bucket_of(cutils::Duration time) {
        const auto ns = static_cast<std::uint64_t>(std::max<cutils::Duration::rep>(time.count(), 1)) - 1;
        if (ns >> kFirst == 0) return 0;
        const auto exponent = static_cast<unsigned>(std::bit_width(ns)) - 1;
        if (exponent >= kLast) return kBuckets - 1;
        return 1 + (exponent - kFirst) * 4 + ((ns >> (exponent - 2)) & 3);
    }
    // The longest time of a bucket; of the last one: the end of the scale, which it has none of.
    [[nodiscard]] static constexpr cutils::Duration end_of(std::size_t bucket) {
        if (bucket == 0) return cutils::Duration(1 << kFirst);
        if (bucket >= kBuckets - 1) return cutils::Duration(1LL << kLast);
        const auto exponent = kFirst + static_cast<unsigned>((bucket - 1) / 4);
        return cutils::Duration(static_cast<long long>(4 + (bucket - 1) % 4 + 1) << (exponent - 2));
    }
};

// A copy of the counts, to calculate with.
//
//   LatencyHistogram last_second = now.latency - before.latency;
//   cutils::Duration slow = last_second.percentile(0.99);
struct EVC_API LatencyHistogram {
    std::array<std::uint64_t, LatencyScale::kBuckets> counts{};
    cutils::Duration sum{};

    [[nodiscard]] std::uint64_t count() const;
    // Of how many it is known that they took no longer: of all whose bucket ends there or before.
    [[nodiscard]] std::uint64_t count_until(cutils::Duration time) const;
    // So long or shorter took that part of all, 0 < part <= 1. Between the ends of a bucket as if all were
    // spread evenly in it; 0 when there is none.
    [[nodiscard]] cutils::Duration percentile(double part) const;

    LatencyHistogram& operator+=(const LatencyHistogram& other);
    // What has come since `before`.
    [[nodiscard]] LatencyHistogram operator-(const LatencyHistogram& before) const;
};

}  // namespace webby
