#include "webby/rate_limiter.h"

#include <sys/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cutils/check.h"

namespace webby {
namespace {

std::uint64_t random_seed() {
    std::uint64_t seed = 0;
    // Without randomness, which no kernel we run on lacks, the table is merely easier to attack.
    (void)!::getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    return seed;
}

}  // namespace

// The finalizer of SplitMix64 over the seeded key.
std::size_t RateLimiter::Hash::operator()(const Key& key) const noexcept {
    std::uint64_t x = (key.bits ^ seed) + 0x9e3779b97f4a7c15 * (key.family + 1U);
    x = (x ^ (x >> 30)) * (0xbf58476d1ce4e5b9 ^ (seed | 1));
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::size_t>(x ^ (x >> 31));
}

RateLimiter::RateLimiter(double per_second, double burst, std::size_t clients)
    : per_second_(per_second), burst_(burst), clients_(clients), table_(0, Hash{random_seed()}) {
    EVC_CHECK(per_second > 0 && burst >= 1 && clients >= 1,
              "RateLimiter with a rate of zero, a burst below one, or no clients");
}

RateLimiter::Key RateLimiter::key_of(const nutils::SockAddr& client) {
    Key key;
    if (!client.is_ip()) return key;
    const nutils::IpAddress address = client.ip().unmapped();
    if (address.is_v4()) {
        const in_addr v4 = address.v4();
        key.family = 4;
        std::memcpy(&key.bits, &v4, sizeof v4);
    } else {
        const in6_addr v6 = address.v6();
        key.family = 6;
        std::memcpy(&key.bits, &v6, sizeof key.bits);
    }
    return key;
}

// Strong against bad_alloc: list and table agree afterwards, whatever happened.
RateLimiter::Buckets::iterator RateLimiter::insert(const Key& key) {
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

RateLimiter::Bucket& RateLimiter::bucket_of(const Key& key, cutils::TimePoint now) {
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
    const Key key = key_of(client);
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
