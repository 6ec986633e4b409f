#include "webby/rate_limit_filter.h"

#include <chrono>
#include <cmath>
#include <string>
#include <utility>

namespace webby {

cutils::Result<std::unique_ptr<RateLimitFilter>> RateLimitFilter::create(RateLimitOptions options) {
    const bool sane = std::isfinite(options.per_second) && options.per_second > 0 &&
                      std::isfinite(options.burst) && options.burst >= 1 && options.clients >= 1;
    if (!sane)
        return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                             "rate limit: needs a rate above 0, a burst of at least 1 and room for a client");
    return std::unique_ptr<RateLimitFilter>(new RateLimitFilter(std::move(options)));
}

RateLimitFilter::RateLimitFilter(RateLimitOptions options)
    : options_(std::move(options)), limiter_(options_.per_second, options_.burst, options_.clients) {}

bool RateLimitFilter::on_request(Request& request, Response& response) {
    const nutils::SockAddr client = options_.client ? options_.client(request) : request.client_address();
    if (options_.exempt.contains(client)) return true;
    const cutils::TimePoint now = options_.now ? options_.now() : cutils::monotonic_now();
    const cutils::Duration wait = limiter_.take(client, now);
    if (wait == cutils::Duration::zero()) return true;
    response.error(Status::too_many_requests);
    response.set_header("Retry-After", std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()));
    return false;
}

}  // namespace webby
