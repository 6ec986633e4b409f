#include "webby/rate_limit_filter.h"

#include <limits>
#include <string>
#include <utility>

#include "test/webby/filter_fixture.h"

#include "test/support/harness.h"

using namespace webby_test;
using namespace std::chrono_literals;
using nutils::SockAddr;

namespace {
SockAddr from(const std::string& ip) { return SockAddr::from(nutils::IpAddress::parse(ip).value(), 1); }
}  // namespace

TEST_GROUP_BASE(RateLimitFilter, FilterFixture) {
    cutils::TimePoint now = cutils::TimePoint(1h);
    SockAddr client = from("192.0.2.1");
    RateLimitOptions options() {
        return {.per_second = 0.4,
                .burst = 1,
                .client = [this](const Request&) { return client; },
                .now = [this] { return now; }};
    }
};

TEST(RateLimitFilter, WhoAsksTooOftenIsToldWhenToComeBack) {
    use(RateLimitFilter::create(options()));
    CHECK_EQUAL("200", status(ask()));
    const std::string refused = ask();
    CHECK_EQUAL("429", status(refused));
    CHECK_EQUAL("3|", field(refused, "Retry-After"));
    now += 3s;
    CHECK_EQUAL("200", status(ask()));
    client = from("192.0.2.2");
    CHECK_EQUAL("200", status(ask()));
}

TEST(RateLimitFilter, ThePeerIsTheClientUnlessSaidOtherwise) {
    RateLimitOptions by_peer = options();
    by_peer.client = nullptr;
    by_peer.exempt = nutils::IpNetworkList::loopback();
    use(RateLimitFilter::create(std::move(by_peer)));
    for (int i = 0; i < 5; ++i) CHECK_EQUAL("200", status(ask()));
}

TEST(RateLimitFilter, SomeAreExempt) {
    RateLimitOptions some = options();
    some.exempt = nutils::IpNetworkList::parse("192.0.2.0/24").value();
    use(RateLimitFilter::create(std::move(some)));
    for (int i = 0; i < 5; ++i) CHECK_EQUAL("200", status(ask()));
    client = from("10.0.0.1");
    CHECK_EQUAL("200", status(ask()));
    CHECK_EQUAL("429", status(ask()));
}

TEST(RateLimitFilter, ItsOwnClockRunsByItself) {
    use(RateLimitFilter::create({.per_second = 0.001, .burst = 2}));
    CHECK_EQUAL("200", status(ask()));
    CHECK_EQUAL("200", status(ask()));
    CHECK_EQUAL("429", status(ask()));
}

TEST(RateLimitFilter, OptionsThatMakeNoSenseAreRefused) {
    CHECK_FALSE(RateLimitFilter::create({.per_second = 0}).ok());
    CHECK_FALSE(RateLimitFilter::create({.per_second = -1}).ok());
    CHECK_FALSE(RateLimitFilter::create({.per_second = std::numeric_limits<double>::quiet_NaN()}).ok());
    CHECK_FALSE(RateLimitFilter::create({.burst = 0.5}).ok());
    CHECK_FALSE(RateLimitFilter::create({.clients = 0}).ok());
    CHECK(RateLimitFilter::create().ok());
}
