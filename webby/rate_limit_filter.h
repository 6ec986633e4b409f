// RateLimitFilter: answers clients that ask too often with 429.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "cutils/clock.h"
#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/ip_network.h"
#include "nutils/sock_addr.h"
#include "webby/filter.h"
#include "webby/rate_limiter.h"

namespace webby {

struct RateLimitOptions {
    double per_second = 10;        // requests of one client, in the long run
    double burst = 20;             // … and at once
    std::size_t clients = 65'536;  // remembered; their memory comes as they do
    nutils::IpNetworkList exempt{};
    // Who asks. Default: Request::client_address(). Behind a proxy, name it in ServerOptions::forwarded: all
    // clients are one otherwise.
    std::function<nutils::SockAddr(const Request& request)> client{};
    // For tests: instead of cutils::monotonic_now().
    std::function<cutils::TimePoint()> now{};
};

// See RateLimiter for how clients are told apart. What is refused costs the client nothing but the answer:
// 429 with the whole seconds after which it may ask again in Retry-After.
//
//   app.add_filter(RateLimitFilter::create({.per_second = 5, .burst = 10}).value());
//
// Thread: any; one limit for all threads and loops of a server.
class EVC_API RateLimitFilter final : public Filter {
  public:
    // Errors: errc::invalid_argument for a rate that is not above 0, a burst below 1, or no clients.
    [[nodiscard]] static cutils::Result<std::unique_ptr<RateLimitFilter>> create(
        RateLimitOptions options = {});

    [[nodiscard]] bool on_request(Request& request, Response& response) override;

  private:
    explicit RateLimitFilter(RateLimitOptions options);

    RateLimitOptions options_;
    RateLimiter limiter_;
};

}  // namespace webby
