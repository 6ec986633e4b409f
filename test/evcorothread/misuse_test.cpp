// A caller's bug ends the process with a line that says what it was, in every build.
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"

using namespace test_support;

TEST_GROUP_BASE(Misuse, LoopFixture) {
    Connection connection = unix_connection(loop);
    char byte = 0;

    // What is said when `offence` happens on another OS thread.
    static std::string on_another_thread(const std::function<void()>& offence) {
        return abort_message([&] { std::thread(offence).join(); });
    }
};

TEST(Misuse, WaitingOutsideACoroutine) {
    const char* const said = "this may wait, so it must be called in a coroutine thread: use EvLoop::spawn";
    STRCMP_CONTAINS(said, abort_message([] { (void)this_evthread::delay(1s); }).c_str());
    STRCMP_CONTAINS(said, abort_message([] { this_evthread::yield(); }).c_str());
    STRCMP_CONTAINS(said, abort_message([] { CancelShield shield(1s); }).c_str());
    STRCMP_CONTAINS(said, abort_message([] { (void)this_evthread::name(); }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] { (void)connection.socket.recv({&byte, 1}, 1s); }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] { (void)connection.socket.send("x", 1s); }).c_str());
    STRCMP_CONTAINS(said, abort_message([this] {
                              EvThread thread = go([] {});
                              (void)thread.join(1s);
                          }).c_str());
}

TEST(Misuse, WaitingInATimersFunction) {
    STRCMP_CONTAINS("use EvLoop::spawn", abort_message([this] {
                                             EvTimer timer(loop, [] { (void)this_evthread::delay(1s); });
                                             timer.start(1s);
                                             run_loop();
                                         }).c_str());
}

TEST(Misuse, TheLineNamesTheFile) {
    STRCMP_CONTAINS("evcorothread/", abort_message([] { this_evthread::yield(); }).c_str());
}

TEST(Misuse, OfALoopOnAnotherThread) {
    const char* const said = "used on another OS thread: use EvLoop::post";
    go([] { (void)this_evthread::delay(1s); });
    run_ready();
    STRCMP_CONTAINS(said, on_another_thread([this] { loop.spawn([] {}); }).c_str());
    STRCMP_CONTAINS(said, on_another_thread([this] { loop.run(); }).c_str());
    STRCMP_CONTAINS(said, on_another_thread([this] { loop.run_ready(); }).c_str());
    STRCMP_CONTAINS(said, on_another_thread([this] { (void)loop.shutdown(1s); }).c_str());
    run_loop();
}

TEST(Misuse, OfWhatBelongsToALoopOnAnotherThread) {
    const char* const said = "used on another OS thread: use EvLoop::post";
    EvThread thread = go([] { (void)this_evthread::delay(1s); });
    EvTimer timer(loop, [] {});
    run_ready();
    STRCMP_CONTAINS(said, on_another_thread([&] { thread.cancel(); }).c_str());
    STRCMP_CONTAINS(said, on_another_thread([&] { timer.start(1s); }).c_str());
    STRCMP_CONTAINS(said, on_another_thread([&] { EvSocket(loop, UniqueFd(0)); }).c_str());
    run_loop();
}

TEST(Misuse, RunningALoopInsideItself) {
    STRCMP_CONTAINS("run() is called inside a coroutine", abort_message([this] {
                                                              go([&] { loop.run(); });
                                                              run_loop();
                                                          }).c_str());
    STRCMP_CONTAINS("run() is called while it runs", abort_message([this] {
                                                         loop.post([&] { loop.run(); });
                                                         run_ready();
                                                     }).c_str());
}

TEST(Misuse, CapturingMoreThanAStackHolds) {
    struct Luggage {
        char bytes[48 * 1024];
        void operator()() const {}
    };
    StackPool tiny({.count = 1, .pages = 4, .scale = false});
    EvLoop small(tiny, any_order());
    STRCMP_CONTAINS("captures takes most of its stack",
                    abort_message([&] { small.spawn(Luggage{}); }).c_str());
}

TEST(Misuse, AHandThatWasNotGiven) {
    CHECK_EQUAL("", EvThread().name());
    CHECK_EQUAL(0, EvThread().id());
    CHECK(EvThread().finished());
}
