#include "evcorothread/resolver_cache.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "nutils/net_error.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;
using nutils::IpAddress;

// Looking up takes a second; every name has the address 10.0.0.N, N being how often something was looked up.
TEST_GROUP_BASE(ResolverCache, LoopFixture) {
    int asked = 0;
    std::string last;
    std::error_code failure;
    bool finds_nothing = false;

    cutils::Result<ResolverCache::Addresses> resolve(const std::string& host, Deadline deadline) {
        ++asked;
        last = host;
        const int number = asked;
        if (deadline.remaining(loop.precise_now()) < 1s) {
            if (const std::error_code stopped = this_evthread::delay(deadline)) return stopped;
            return make_error_code(NetError::timed_out);
        }
        if (const std::error_code stopped = this_evthread::delay(1s)) return stopped;
        if (failure) return failure;
        if (finds_nothing) return ResolverCache::Addresses();
        return ResolverCache::Addresses{IpAddress::parse("10.0.0." + std::to_string(number)).value()};
    }
    ResolverCache cache{
        loop,
        [this](const std::string& host, Deadline deadline) { return resolve(host, deadline); },
        {.max_names = 3}};

    std::string look_up(std::string_view host, Deadline deadline = 10s) {
        const auto found = cache.lookup(host, deadline);
        return found ? found->front().to_string() : found.error().message();
    }
};

TEST(ResolverCache, AsksOnceAndRemembers) {
    in_coroutine([&] {
        CHECK_EQUAL("10.0.0.1", look_up("example.org"));
        CHECK_EQUAL("10.0.0.1", look_up("example.org"));
    });
    CHECK_EQUAL(1, asked);
    CHECK_EQUAL(1, cache.hits());
    CHECK_EQUAL(1, cache.misses());
}

TEST(ResolverCache, IsTheSameForLettersOfAnyCase) {
    in_coroutine([&] {
        CHECK_EQUAL("10.0.0.1", look_up("Example.ORG"));
        CHECK_EQUAL("10.0.0.1", look_up("example.org"));
    });
    CHECK_EQUAL("example.org", last);
}

TEST(ResolverCache, NumericAddressesAreThemselves) {
    in_coroutine([&] {
        CHECK_EQUAL("192.0.2.7", look_up("192.0.2.7"));
        CHECK_EQUAL("2001:db8::1", look_up("2001:db8::1"));
    });
    CHECK_EQUAL(0, asked);
}

TEST(ResolverCache, ForgetsInTime) {
    in_coroutine([&] {
        CHECK_EQUAL("10.0.0.1", look_up("example.org"));
        (void)this_evthread::delay(59s);
        CHECK_EQUAL("10.0.0.1", look_up("example.org"));
        (void)this_evthread::delay(1s);
        CHECK_EQUAL("10.0.0.2", look_up("example.org"));
    });
}

TEST(ResolverCache, ForgetsTheLeastRecentlyUsedWhenFull) {
    in_coroutine([&] {
        for (const char* name : {"a", "b", "c"}) (void)look_up(name);
        CHECK_EQUAL("10.0.0.1", look_up("a"));
        (void)look_up("d");
        CHECK_EQUAL(3, cache.size());
        CHECK_EQUAL("10.0.0.1", look_up("a"));
        CHECK_EQUAL("10.0.0.5", look_up("b"));
    });
}

TEST(ResolverCache, ManyThatWantOneNameAskOnce) {
    int got = 0;
    for (int i = 0; i < 10; ++i) go([&] { got += look_up("example.org") == "10.0.0.1"; });
    run_loop();
    CHECK_EQUAL(10, got);
    CHECK_EQUAL(1, asked);
}

TEST(ResolverCache, AnotherNameDoesNotWait) {
    go([&] { (void)look_up("a"); });
    go([&] { (void)look_up("b"); });
    run_ready();
    CHECK_EQUAL(2, asked);
    run_loop();
}

TEST_IN_ORDER(ResolverCache, WhenTheOneWhoAsksIsCanceledAnotherAsks) {
    EvThread first = go([&] { STRCMP_CONTAINS("canceled", look_up("example.org").c_str()); });
    EvThread second = go([&] { CHECK_EQUAL("10.0.0.2", look_up("example.org")); });
    run_ready();
    first.cancel();
    run_loop();
    CHECK_EQUAL(2, asked);
}

TEST_IN_ORDER(ResolverCache, WhenTheTimeOfTheOneWhoAsksIsOverAnotherAsks) {
    EvThread first = go([&] { STRCMP_CONTAINS("deadline passed", look_up("example.org", 500ms).c_str()); });
    EvThread second = go([&] { CHECK_EQUAL("10.0.0.2", look_up("example.org")); });
    run_loop();
}

TEST_IN_ORDER(ResolverCache, OneThatWaitsTimesOut) {
    go([&] { CHECK_EQUAL("10.0.0.1", look_up("example.org")); });
    go([&] { CHECK_EQUAL("looking up example.org: deadline passed", look_up("example.org", 500ms)); });
    run_loop();
    CHECK_EQUAL(1, asked);
}

TEST_IN_ORDER(ResolverCache, OneThatWaitsIsCanceled) {
    go([&] { CHECK_EQUAL("10.0.0.1", look_up("example.org")); });
    EvThread second = go([&] { CHECK_EQUAL("looking up example.org: canceled", look_up("example.org")); });
    run_ready();
    second.cancel();
    run_loop();
}

TEST(ResolverCache, InACanceledCoroutineIsCanceled) {
    EvThread canceled = go([&] { STRCMP_CONTAINS("canceled", look_up("example.org").c_str()); });
    canceled.cancel();
    run_loop();
    CHECK_EQUAL(0, asked);
}

TEST(ResolverCache, RemembersForAWhileThatANameIsUnknown) {
    finds_nothing = true;
    in_coroutine([&] {
        CHECK_EQUAL("no address of example.org: No such device or address", look_up("example.org"));
        CHECK_EQUAL("no address of example.org: No such device or address", look_up("example.org"));
        CHECK_EQUAL(1, asked);
        (void)this_evthread::delay(5s);
        finds_nothing = false;
        CHECK_EQUAL("10.0.0.2", look_up("example.org"));
    });
}

TEST(ResolverCache, AFailedLookupIsSharedAndNotRemembered) {
    failure = std::make_error_code(std::errc::network_down);
    int failed = 0;
    for (int i = 0; i < 5; ++i) go([&] { failed += look_up("example.org") == "Network is down"; });
    run_loop();
    CHECK_EQUAL(5, failed);
    CHECK_EQUAL(1, asked);
    failure = {};
    in_coroutine([&] { CHECK_EQUAL("10.0.0.2", look_up("example.org")); });
}

TEST_IN_ORDER(ResolverCache, AnExceptionLetsAnotherAsk) {
    int calls = 0;
    ResolverCache fragile(loop,
                          [&](const std::string&, Deadline) -> cutils::Result<ResolverCache::Addresses> {
                              (void)this_evthread::delay(1s);
                              if (++calls == 1) throw std::runtime_error("broken");
                              return ResolverCache::Addresses{IpAddress::loopback()};
                          });
    bool thrown = false;
    go([&] {
        try {
            (void)fragile.lookup("x", 5s);
        } catch (const std::runtime_error&) {
            thrown = true;
        }
    });
    go([&] { CHECK(fragile.lookup("x", 5s)); });
    run_loop();
    CHECK(thrown);
}

TEST(ResolverCache, Clears) {
    in_coroutine([&] {
        (void)look_up("example.org");
        cache.clear();
        CHECK_EQUAL(0, cache.size());
        CHECK_EQUAL("10.0.0.2", look_up("example.org"));
    });
}

TEST(ResolverCache, WithoutRoomRemembersNothing) {
    ResolverCache none(loop, [this](const std::string& host, Deadline d) { return resolve(host, d); },
                       {.max_names = 0});
    in_coroutine([&] {
        CHECK(none.lookup("a", 5s));
        CHECK(none.lookup("a", 5s));
    });
    CHECK_EQUAL(2, asked);
}

TEST(ResolverCache, DyingUnderALookupAborts) {
    STRCMP_CONTAINS("is being looked up",
                    abort_message([&] {
                        auto doomed = std::make_unique<ResolverCache>(
                            loop, [this](const std::string& host, Deadline d) { return resolve(host, d); });
                        go([&] { (void)doomed->lookup("a", 5s); });
                        run_ready();
                        doomed.reset();
                    }).c_str());
}
