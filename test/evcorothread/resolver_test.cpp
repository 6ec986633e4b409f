#include "evcorothread/resolver.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/lookup_stub.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/allocation_faults.h"
#include "test/support/death.h"

using namespace test_support;

namespace {

std::string text_of(const cutils::Result<Resolver::Addresses>& found) {
    if (!found) return found.error().message();
    std::string text;
    for (const SockAddr& address : *found) text.append(text.empty() ? "" : " ").append(address.to_string());
    return text;
}

const char* const kUnknown =
    "looking up nobody (no such host: is the name spelled right?): Name or service not known";

}  // namespace

TEST_GROUP_BASE(Resolver, RealTimeFixture) {
    LookupStub system;
    std::optional<OffloadPool> pool{std::in_place, OffloadOptions{.threads = 1}};
    std::optional<Resolver> names{std::in_place, *pool, system.function()};

    void setup() override { system.knows("example.org", {"192.0.2.1", "2001:db8::1"}); }
    void teardown() override {
        system.open();
        RealTimeFixture::teardown();
        names.reset();
        pool.reset();
    }

    std::string look_up(std::string_view host, std::string_view service = "80", Deadline deadline = 5s) {
        return text_of(names->lookup(host, service, deadline));
    }
    std::error_code code_of(std::string_view host, Deadline deadline) {
        const auto found = names->lookup(host, "80", deadline);
        return found ? std::error_code() : found.error().code();
    }
    static std::error_code code(NetError error) { return error; }
    // One that asks for the name, until its lookup has begun.
    EvThread asker(std::string_view host, std::error_code & ended) {
        const int before = system.asked();
        EvThread thread = go("asker", [this, host, &ended] { ended = code_of(host, 1h); });
        until([&] { return system.asked() > before; });
        return thread;
    }
};

TEST(Resolver, GivesTheAddressesInTheirOrderWithThePort) {
    in_coroutine([&] { CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org")); });
}

TEST(Resolver, AsksOnceForAllPortsAndLettersOfAnyCase) {
    in_coroutine([&] {
        CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org"));
        CHECK_EQUAL("192.0.2.1:443 [2001:db8::1]:443", look_up("Example.ORG", "443"));
        CHECK_EQUAL("192.0.2.1:0 [2001:db8::1]:0", look_up("EXAMPLE.org", ""));
    });
    CHECK_EQUAL(1, system.asked());
    CHECK_EQUAL("example.org/", system.last());
    CHECK_EQUAL(2, names->hits());
    CHECK_EQUAL(1, names->misses());
}

TEST(Resolver, AServiceWithANameIsPartOfTheQuestion) {
    in_coroutine([&] {
        (void)look_up("example.org", "https");
        CHECK_EQUAL("example.org/https", system.last());
        (void)look_up("example.org", "http");
    });
    CHECK_EQUAL(2, system.asked());
}

TEST(Resolver, NumericAddressesAreThemselves) {
    in_coroutine([&] {
        CHECK_EQUAL("192.0.2.7:1", look_up("192.0.2.7", "1"));
        CHECK_EQUAL("[2001:db8::1]:1", look_up("2001:db8::1", "1"));
    });
    CHECK_EQUAL(0, system.asked());
}

TEST(Resolver, WhatItKnowsNeedsNoThread) {
    in_coroutine([&] {
        (void)look_up("example.org");
        pool->close();
        CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org", "80", Duration::zero()));
    });
}

TEST(Resolver, RefusesWhatCannotBeAName) {
    in_coroutine([&] {
        for (const std::string& host : {std::string(), std::string("a\0b", 3), std::string(2000, 'x')})
            CHECK_EQUAL(std::make_error_code(std::errc::invalid_argument), code_of(host, 5s));
        for (const std::string& service : {std::string("65536"), std::string("h\0", 2), std::string(99, 's')})
            CHECK(names->lookup("example.org", service, 5s).error() == std::errc::invalid_argument);
    });
    CHECK_EQUAL(0, system.asked());
}

TEST(Resolver, ManyThatWantOneNameAskOnce) {
    system.shut();
    int got = 0;
    for (int i = 0; i < 10; ++i)
        go([&] { got += look_up("example.org") == "192.0.2.1:80 [2001:db8::1]:80"; });
    until([&] { return system.asked() == 1; });
    run_ready();
    CHECK_EQUAL(0, got);
    system.open();
    run_loop();
    CHECK_EQUAL(10, got);
    CHECK_EQUAL(1, system.asked());
    CHECK_EQUAL(1, pool->figures().done);
}

TEST(Resolver, OfAnUnknownNameRemembersThatForAWhile) {
    in_coroutine([&] {
        CHECK_EQUAL(kUnknown, look_up("nobody"));
        CHECK_EQUAL(kUnknown, look_up("nobody"));
    });
    CHECK_EQUAL(1, system.asked());
}

TEST(Resolver, AFailedLookupIsSharedAndNotRemembered) {
    system.fails(NameError::try_again);
    system.shut();
    int failed = 0;
    for (int i = 0; i < 5; ++i) go([&] { failed += code_of("example.org", 5s) == NameError::try_again; });
    until([&] { return system.asked() == 1; });
    run_ready();
    system.open();
    run_loop();
    CHECK_EQUAL(5, failed);
    CHECK_EQUAL(1, system.asked());
    system.fails({});
    in_coroutine([&] { CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org")); });
}

TEST(Resolver, OfNoAddressSaysSo) {
    system.knows("empty", {});
    in_coroutine([&] { CHECK_EQUAL(make_error_code(NameError::no_address), code_of("empty", 5s)); });
}

TEST(Resolver, AnExceptionOfTheLookupIsAnError) {
    system.throws("broken");
    in_coroutine([&] {
        CHECK_EQUAL(std::make_error_code(std::errc::io_error), code_of("example.org", 5s));
        STRCMP_CONTAINS("looking up example.org: broken", look_up("example.org").c_str());
    });
}

TEST(Resolver, WhoeverTimesOutLeavesAtOnceAndTheAnswerIsKept) {
    system.shut();
    in_coroutine([&] {
        do {  // until a thread has begun with it in time
            CHECK_EQUAL(
                "looking up example.org (no answer within the deadline: is a name server reachable?): "
                "deadline passed",
                look_up("example.org", "80", 20ms));
        } while (system.asked() == 0);
    });
    until([&] { return system.asked() == 1; });
    system.open();
    until([&] { return names->size() == 1; });
    in_coroutine([&] { CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org")); });
    CHECK_EQUAL(1, system.asked());
}

TEST(Resolver, WhoeverIsCanceledLeavesAtOnceAndTheOthersGetTheSameLookup) {
    system.shut();
    std::error_code first_ended, second_ended = code(NetError::busy);
    EvThread first = asker("example.org", first_ended);
    EvThread second = go([&] { second_ended = code_of("example.org", 1h); });
    run_ready();
    first.cancel();
    run_ready();
    CHECK_EQUAL(code(NetError::canceled), first_ended);
    CHECK(!second.finished());
    system.open();
    run_loop();
    CHECK_EQUAL(std::error_code(), second_ended);
    CHECK_EQUAL(1, system.asked());
}

TEST(Resolver, OneThatWaitsForTheLookupOfAnotherTimesOutAndIsCanceled) {
    system.shut();
    std::error_code first_ended, late, canceled;
    EvThread first = asker("example.org", first_ended);
    go([&] { late = code_of("example.org", 5ms); });
    EvThread third = go([&] { canceled = code_of("example.org", 1h); });
    run_ready();
    third.cancel();
    until([&] { return third.finished() && late; });
    CHECK_EQUAL(code(NetError::timed_out), late);
    CHECK_EQUAL(code(NetError::canceled), canceled);
    system.open();
    run_loop();
    CHECK_EQUAL(std::error_code(), first_ended);
}

TEST(Resolver, WhenItsAskerIsCanceledBeforeAThreadIsFreeAnotherAsks) {
    system.shut();
    std::error_code other, first_ended, second_ended = code(NetError::busy);
    EvThread occupant = asker("occupant", other);
    run_ready();
    EvThread first = go([&] { first_ended = code_of("example.org", 1h); });
    run_ready();
    EvThread second = go([&] { second_ended = code_of("example.org", 1h); });
    run_ready();
    CHECK_EQUAL(1, pool->figures().queued);
    first.cancel();
    run_ready();
    CHECK_EQUAL(code(NetError::canceled), first_ended);
    CHECK_EQUAL(1, pool->figures().queued);  // the second one's
    CHECK_EQUAL(1, pool->figures().withdrawn);
    system.open();
    run_loop();
    CHECK_EQUAL(std::error_code(), second_ended);
    CHECK_EQUAL(2, system.asked());
}

TEST(Resolver, WhenAllAreCanceledBeforeAThreadIsFreeNobodyAsks) {
    system.shut();
    std::error_code other, ended[2];
    EvThread occupant = asker("occupant", other);
    EvThread first = go([&] { ended[0] = code_of("example.org", 1h); });
    EvThread second = go([&] { ended[1] = code_of("example.org", 1h); });
    run_ready();
    // The second one is made the leader, and canceled before it has run.
    first.cancel();
    second.cancel();
    run_ready();
    CHECK_EQUAL(code(NetError::canceled), ended[0]);
    CHECK_EQUAL(code(NetError::canceled), ended[1]);
    system.open();
    run_loop();
    CHECK_EQUAL(1, system.asked());
    in_coroutine([&] { CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org")); });
}

TEST(Resolver, TheDeadlineCountsWhileNoThreadIsFree) {
    system.shut();
    std::error_code other;
    EvThread occupant = asker("occupant", other);
    std::error_code late;
    go([&] { late = code_of("example.org", 5ms); });
    until([&] { return late == NetError::timed_out; });
    system.open();
    run_loop();
    CHECK_EQUAL(1, system.asked());
}

TEST(Resolver, WithADeadlineThatHasPassedDoesNotWait) {
    system.shut();  // or a quick thread could have the answer by then
    in_coroutine([&] { CHECK_EQUAL(code(NetError::timed_out), code_of("example.org", -1s)); });
    system.open();
}

TEST(Resolver, InACanceledCoroutineIsCanceled) {
    EvThread canceled = go([&] {
        CHECK_EQUAL(code(NetError::canceled), code_of("example.org", 5s));
        const CancelShield shield(5s);
        CHECK_EQUAL(std::error_code(), code_of("example.org", 5s));
    });
    canceled.cancel();
    run_loop();
}

TEST(Resolver, WhenThePoolEndsAllWhoWaitForAThreadAreToldSo) {
    system.shut();
    std::error_code other = code(NetError::busy), ended[3];
    EvThread occupant = asker("occupant", other);
    for (std::error_code& one : ended) go([&] { one = code_of("example.org", 1h); });
    run_ready();
    std::thread opener([&] {
        while (pool->figures().queued > 0) std::this_thread::yield();
        system.open();
    });
    pool->close();
    opener.join();
    pool.reset();  // before those who waited have run
    run_loop();
    for (const std::error_code& one : ended) CHECK_EQUAL(code(NetError::closed), one);
    CHECK_EQUAL(make_error_code(NameError::not_found), other);
}

TEST(Resolver, OfAClosedPoolIsClosed) {
    pool->close();
    in_coroutine([&] { CHECK_EQUAL(code(NetError::closed), code_of("example.org", 5s)); });
}

TEST(Resolver, MayEndBeforeALookupThatNobodyWaitsFor) {
    system.shut();
    std::error_code ended;
    EvThread asking = asker("example.org", ended);
    asking.cancel();
    run_loop();
    names.reset();
    system.open();
    pool.reset();
    CHECK_EQUAL(1, system.asked());
}

TEST(Resolver, DyingUnderALookupAborts) {
    STRCMP_CONTAINS("dies while somebody waits in lookup()", abort_message([&] {
                                                                 system.shut();
                                                                 go([&] { (void)look_up("example.org"); });
                                                                 run_ready();
                                                                 names.reset();
                                                             }).c_str());
}

TEST(Resolver, Clears) {
    in_coroutine([&] {
        (void)look_up("example.org");
        CHECK_EQUAL(1, names->size());
        names->clear();
        CHECK_EQUAL(0, names->size());
        (void)look_up("example.org");
    });
    CHECK_EQUAL(2, system.asked());
}

TEST(Resolver, RemembersNoMoreThanItMay) {
    for (const char* name : {"a", "b", "c"}) system.knows(name, {"192.0.2.9"});
    Resolver small(*pool, system.function(), {.max_names = 2});
    in_coroutine([&] {
        for (const char* name : {"a", "b", "a", "c", "a"}) CHECK(small.lookup(name, "1", 5s));
        CHECK_EQUAL(2, small.size());
        CHECK_EQUAL(3, system.asked());
        CHECK(small.lookup("b", "1", 5s));
        CHECK_EQUAL(4, system.asked());
    });
}

TEST(Resolver, ServesOrdinaryThreads) {
    std::string found;
    std::thread([&] { found = look_up("example.org"); }).join();
    CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", found);
}

TEST(Resolver, ServesSeveralLoopsWithOneLookup) {
    system.shut();
    std::atomic<int> got{0};
    std::vector<std::thread> others;
    for (int i = 0; i < 4; ++i)
        others.emplace_back([&] {
            StackPool own({.count = 8, .pages = 16});
            EvLoop other(own);
            for (int j = 0; j < 8; ++j)
                other.spawn([&] { got += names->lookup("example.org", "80", 20s).ok() ? 1 : 0; });
            other.run();
        });
    while (system.asked() == 0) std::this_thread::yield();
    system.open();
    for (std::thread& other : others) other.join();
    CHECK_EQUAL(32, got.load());
    CHECK_EQUAL(1, system.asked());
}

// For the thread sanitizer: many loops, few names, short deadlines, cancels.
TEST(Resolver, WhoeverComesAndGoesLeavesNothingBehind) {
    for (const char* name : {"a", "b", "c"}) system.knows(name, {"192.0.2.9"});
    Resolver busy(*pool, system.function(), {.max_names = 1});
    std::atomic<int> over{0};
    std::vector<std::thread> others;
    for (int i = 0; i < 3; ++i)
        others.emplace_back([&] {
            StackPool own({.count = 16, .pages = 16});
            EvLoop other(own);
            for (int j = 0; j < 12; ++j)
                other.spawn([&, j] {
                    for (int k = 0; k < 20; ++k) {
                        const char* const names_of[] = {"a", "b", "c", "none"};
                        const Deadline short_one = std::chrono::microseconds((j * 7 + k * 13) % 60);
                        EvThread asking = other.spawn([&, k] {
                            (void)busy.lookup(names_of[k % 4], "1", k % 3 == 0 ? Deadline(5s) : short_one);
                        });
                        this_evthread::yield();
                        if (k % 5 == 0) asking.cancel();
                        (void)asking.join(Deadline::never);
                    }
                    ++over;
                });
            other.run();
        });
    for (std::thread& other : others) other.join();
    CHECK_EQUAL(36, over.load());
    in_coroutine([&] { CHECK(busy.lookup("a", "1", 5s)); });
}

TEST(Resolver, OutOfMemoryLeavesNothingBehind) {
    const std::size_t failures = [&] {
        std::size_t all = 0;
        in_coroutine([&] {
            all = for_each_failing_allocation([&] {
                (void)names->lookup("example.org", "80", 5s);
                names->clear();
            });
        });
        return all;
    }();
    CHECK(failures > 3);
    in_coroutine([&] { CHECK_EQUAL("192.0.2.1:80 [2001:db8::1]:80", look_up("example.org")); });
}

TEST(Resolver, AsksTheSystemUnlessTold) {
    Resolver real(*pool);
    in_coroutine([&] {
        const auto found = real.lookup("localhost", "80", 20s).value();
        CHECK(found.front().ip().is_loopback());
        CHECK_EQUAL(80, found.front().port());
    });
}

TEST_GROUP_BASE(ResolverInTime, LoopFixture) {
    LookupStub system;
    OffloadPool pool{{.threads = 1}};
    Resolver names{pool, system.function(), {.time_to_live = 60s, .failure_time_to_live = 5s}};
    std::string look_up(std::string_view host) { return text_of(names.lookup(host, "80", Deadline::never)); }
};

TEST(ResolverInTime, ForgetsWhenTheTimeToLiveIsOver) {
    system.knows("example.org", {"192.0.2.1"});
    in_coroutine([&] {
        CHECK_EQUAL("192.0.2.1:80", look_up("example.org"));
        (void)this_evthread::delay(59s);
        system.knows("example.org", {"192.0.2.2"});
        CHECK_EQUAL("192.0.2.1:80", look_up("example.org"));
        (void)this_evthread::delay(1s);
        CHECK_EQUAL("192.0.2.2:80", look_up("example.org"));
    });
    CHECK_EQUAL(2, system.asked());
}

TEST(ResolverInTime, ForgetsSoonerThatANameIsUnknown) {
    in_coroutine([&] {
        CHECK_EQUAL(kUnknown, look_up("nobody"));
        (void)this_evthread::delay(4s);
        system.knows("nobody", {"192.0.2.1"});
        CHECK_EQUAL(kUnknown, look_up("nobody"));
        (void)this_evthread::delay(1s);
        CHECK_EQUAL("192.0.2.1:80", look_up("nobody"));
    });
}

TEST(ResolverInTime, ATimeToLiveWithoutEndIsOne) {
    Resolver keeps(pool, system.function(), {.time_to_live = std::chrono::seconds::max()});
    system.knows("example.org", {"192.0.2.1"});
    in_coroutine([&] {
        CHECK(keeps.lookup("example.org", "1", Deadline::never));
        (void)this_evthread::delay(10000h);
        CHECK(keeps.lookup("example.org", "1", Deadline::never));
    });
    CHECK_EQUAL(1, system.asked());
}
