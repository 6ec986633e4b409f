// RateLimiter: how often each client may do something; a token bucket for each, in a table of bounded size.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

#include "cutils/clock.h"
#include "cutils/export.h"
#include "nutils/sock_addr.h"
#include "webby/client_key.h"

namespace webby {

// A bucket holds at most `burst` tokens and gets `per_second` new ones a second; each request takes one. A
// client that was not seen lately has a full one.
//
// Clients are told apart by their address, IPv6 ones by the first 64 bits of it (a customer has at least so
// many addresses); IPv4 mapped into IPv6 is IPv4. All without an IP address share one bucket.
//
// When the table is full, the client that was seen longest ago is forgotten. The table should therefore hold
// more clients than can ask within burst / per_second seconds.
//
// Thread: any. Cost: a mutex, a look-up; an allocation for a client that is new while the table is not full.
class EVC_API RateLimiter {
  public:
    // Before: per_second > 0, burst >= 1, clients >= 1.
    RateLimiter(double per_second, double burst, std::size_t clients);

    // Takes a token for this client. Zero when there was one; else how long until there is, and nothing is
    // taken: a client that goes on asking does not wait longer for it.
    [[nodiscard]] cutils::Duration take(const nutils::SockAddr& client, cutils::TimePoint now);

    // How many clients are remembered.
    [[nodiscard]] std::size_t size() const;

  private:
    struct Bucket {
        ClientKey key;
        double tokens;
        cutils::TimePoint filled;  // up to when `tokens` counts
    };
    using Buckets = std::list<Bucket>;

    Bucket& bucket_of(const ClientKey& key, cutils::TimePoint now);
    Buckets::iterator insert(const ClientKey& key);

    const double per_second_;
    const double burst_;
    const std::size_t clients_;
    mutable std::mutex mutex_;
    Buckets buckets_;  // the one used last in front
    std::unordered_map<ClientKey, Buckets::iterator, ClientHash> table_;
};

}  // namespace webby
