#include "webby/rate_limiter.h"

#include <algorithm>
#include <cmath>

#include "cutils/check.h"

namespace webby {

RateLimiter::RateLimiter(double per_second, double burst, std::size_t clients)
    : per_second_(per_second), burst_(burst), clients_(clients) {
    EVC_CHECK(per_second > 0 && burst >= 1 && clients >= 1,
              "RateLimiter with a rate of zero, a burst below one, or no clients");
}

// Strong against bad_alloc: list and table agree afterwards, whatever happened.
RateLimiter::Buckets::iterator RateLimiter::insert(const ClientKey& key) {
    if (table_.size() < clients_) {
        Buckets fresh;
        fresh.push_front({key, 0, {}});
        table_.emplace(key, fresh.begin());
        buckets_.splice(buckets_.begin(), fresh);
        return buckets_.begin();
    }
    const auto oldest = std::prev(buckets_.end());
    auto node = table_.extract(oldest->key);
    oldest->key = node.key() = key;
    table_.insert(std::move(node));
    buckets_.splice(buckets_.begin(), buckets_, oldest);
    return buckets_.begin();
}

RateLimiter::Bucket& RateLimiter::bucket_of(const ClientKey& key, cutils::TimePoint now) {
    const auto found = table_.find(key);
    if (found == table_.end()) {
        Bucket& bucket = *insert(key);
        bucket.tokens = burst_;
        bucket.filled = now;
        return bucket;
    }
    buckets_.splice(buckets_.begin(), buckets_, found->second);
    Bucket& bucket = buckets_.front();
    if (now > bucket.filled) {  // threads may read the clock in another order than they come here
        const std::chrono::duration<double> passed = now - bucket.filled;
        bucket.tokens = std::min(burst_, bucket.tokens + passed.count() * per_second_);
        bucket.filled = now;
    }
    return bucket;
}

cutils::Duration RateLimiter::take(const nutils::SockAddr& client, cutils::TimePoint now) {
    const ClientKey key = client_key(client);
    const std::lock_guard lock(mutex_);
    Bucket& bucket = bucket_of(key, now);
    // A token that is there but for what rounding took is there.
    constexpr double kRounding = 1e-9;
    if (bucket.tokens >= 1 - kRounding) {
        bucket.tokens = std::max(0.0, bucket.tokens - 1);
        return cutils::Duration::zero();
    }
    const double seconds = (1 - bucket.tokens) / per_second_;
    constexpr double kLongest = 1e9;
    return cutils::Duration(static_cast<std::int64_t>(std::ceil(std::min(seconds, kLongest) * 1e9)));
}

std::size_t RateLimiter::size() const {
    const std::lock_guard lock(mutex_);
    return table_.size();
}

}  // namespace webby
