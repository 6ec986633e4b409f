#include "webby/latency_histogram.h"

#include <numeric>

namespace webby {

std::uint64_t LatencyHistogram::count() const {
    return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

std::uint64_t LatencyHistogram::count_until(cutils::Duration time) const {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i + 1 < counts.size() && LatencyScale::end_of(i) <= time; ++i) all += counts[i];
    return all;
}

cutils::Duration LatencyHistogram::percentile(double part) const {
    const std::uint64_t all = count();
    if (all == 0) return {};
    const double rank = std::max(part * static_cast<double>(all), 1.0);
    std::uint64_t before = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        if (static_cast<double>(before + counts[i]) < rank) {
            before += counts[i];
            continue;
        }
        const cutils::Duration begin = i == 0 ? cutils::Duration{} : LatencyScale::end_of(i - 1);
        const double width = static_cast<double>((LatencyScale::end_of(i) - begin).count());
        const double inside = (rank - static_cast<double>(before)) / static_cast<double>(counts[i]);
        return begin + cutils::Duration(static_cast<cutils::Duration::rep>(width * inside));
    }
    return LatencyScale::end_of(counts.size() - 1);
}

LatencyHistogram& LatencyHistogram::operator+=(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
}

LatencyHistogram LatencyHistogram::operator-(const LatencyHistogram& before) const {
    LatencyHistogram since;
    for (std::size_t i = 0; i < counts.size(); ++i) since.counts[i] = counts[i] - before.counts[i];
    since.sum = sum - before.sum;
    return since;
}

}  // namespace webby
