#include "evcorothread/ev_watch.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "nutils/socket_ops.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {

class WatchFixture : public LoopFixture {
  public:
    WatchFixture() : LoopFixture(LoopClock::virtual_time) {}

    void watch_it(EvWatch::Functions functions) {
        auto [mine, theirs] = nutils::stream_pair().value();
        peer = std::move(theirs);
        watch.emplace(loop, std::move(mine), std::move(functions));
        CHECK_FALSE(watch->start());
        loop.run_ready();
    }
    void say(std::string_view text) { CHECK(nutils::send_some(peer.get(), text)); }
    std::string hear() {
        std::string text;
        char buffer[100];
        while (const auto got = watch->try_recv(buffer)) text.append(buffer, got.bytes);
        return text;
    }
    void teardown() override {
        watch.reset();
        peer.reset();
        LoopFixture::teardown();
    }

    std::optional<EvWatch> watch;
    UniqueFd peer;
    std::string heard;
    int calls = 0;
};

}  // namespace

TEST_GROUP_BASE(EvWatchGroup, WatchFixture){};

TEST(EvWatchGroup, TellsWhatArrivesAndNothingElse) {
    watch_it({.readable = [&] { ++calls, heard += hear(); }});
    LONGS_EQUAL(0, calls);
    say("abc");
    loop.run_ready();
    loop.run_ready();
    CHECK_EQUAL(std::string("abc"), heard);
    LONGS_EQUAL(1, calls);
}

TEST(EvWatchGroup, TellsWhatWasThereBefore) {
    auto [mine, theirs] = nutils::stream_pair().value();
    peer = std::move(theirs);
    say("early");
    watch.emplace(loop, std::move(mine), EvWatch::Functions{.readable = [&] { heard += hear(); }});
    CHECK_FALSE(watch->start());
    loop.run_ready();
    CHECK_EQUAL(std::string("early"), heard);
}

TEST(EvWatchGroup, TellsTheEnd) {
    bool eof = false;
    watch_it({.readable = [&] {
        char byte;
        eof = watch->try_recv({&byte, 1}).eof();
    }});
    peer.reset();
    loop.run_ready();
    CHECK(eof);
}

TEST(EvWatchGroup, TellsWhenThereIsRoomAgain) {
    int room = 0;
    watch_it({.readable = [] {}, .writable = [&] { ++room; }});
    const std::string much(1'000'000, 'x');
    while (!watch->try_send(much).would_block()) {
    }
    room = 0;
    loop.run_ready();
    LONGS_EQUAL(0, room);
    std::string sink(1'000'000, ' ');
    while (nutils::recv_some(peer.get(), sink)) {
    }
    loop.run_ready();
    LONGS_EQUAL(1, room);
}

TEST(EvWatchGroup, ExpiresOnceUnlessSetAnew) {
    watch_it({.readable = [] {}, .expired = [&] { ++calls; }});
    watch->expire(1s);
    loop.advance(900ms);
    watch->expire(1s);
    loop.advance(900ms);
    LONGS_EQUAL(0, calls);
    loop.advance(200ms);
    loop.advance(10s);
    LONGS_EQUAL(1, calls);
    watch->expire(1s);
    watch->expire(Deadline::never);
    loop.advance(10s);
    LONGS_EQUAL(1, calls);
}

TEST(EvWatchGroup, AgainCallsOnTheNextPass) {
    watch_it({.readable = [&] {
        if (++calls < 3) watch->again();
    }});
    watch->again();
    LONGS_EQUAL(0, calls);
    loop.run_ready();
    LONGS_EQUAL(3, calls);
}

TEST(EvWatchGroup, MayEndInItsOwnFunctionWhichGoesOn) {
    const std::string long_enough_for_the_heap(100, 'x');
    watch_it({.readable = [this, text = long_enough_for_the_heap] {
        watch.reset();
        heard = text;
    }});
    say("x");
    loop.run_ready();
    LONGS_EQUAL(100, heard.size());
}

TEST(EvWatchGroup, NothingIsCalledOnceItIsClosed) {
    watch_it(
        {.readable = [&] { ++calls; }, .writable = [&] { watch->close(); }, .expired = [&] { ++calls; }});
    CHECK_FALSE(watch->is_open());  // the first event said that there is room
    watch->again();
    watch->expire(1s);
    loop.advance(10s);
    LONGS_EQUAL(0, calls);
    char byte;
    CHECK(watch->try_recv({&byte, 1}).error == nutils::NetError::closed);
    CHECK(watch->start() == nutils::NetError::closed);
}

TEST(EvWatchGroup, IsWorkUntilItIsClosed) {
    watch_it({.readable = [&] { watch->close(); }});
    loop.spawn("peer", [&] { say("x"); });
    loop.run();  // returns, and not before
    CHECK_FALSE(watch->is_open());
}

TEST(EvWatchGroup, AnExceptionIsLogged) {
    LogCapture log;
    watch_it({.readable = [] { throw std::runtime_error("oops"); }});
    say("x");
    loop.run_ready();
    STRCMP_CONTAINS("oops", log.text().c_str());
}
