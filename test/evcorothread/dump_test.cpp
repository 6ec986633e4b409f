// EvLoop::dump and report_threads: everybody is there, and what they wait for is said.
#include <algorithm>
#include <csignal>
#include <string>
#include <thread>

#include "corothread/generator.h"
#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/child_process.h"
#include "evcorothread/cross_event.h"
#include "evcorothread/cross_mutex.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/event.h"
#include "evcorothread/mutex.h"
#include "evcorothread/offload.h"
#include "evcorothread/select.h"
#include "evcorothread/signal_queue.h"
#include "evcorothread/stall_detector.h"
#include "evcorothread/wait_fd.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/log_capture.h"

using namespace test_support;

TEST_GROUP_BASE(Dump, LoopFixture){// Of the first one of that name.
                                   ThreadReport report_of(std::string_view name){
                                       for (const ThreadReport& report
                                            : loop.report_threads()) if (report.name == name) return report;
FAIL("no coroutine of that name");
return {};
}
static bool stands_in(const ThreadReport& report, const char* function) {
    return std::any_of(report.backtrace.begin(), report.backtrace.end(), [&](const void* frame) {
        return corothread::symbol_of(frame).find(function) != std::string::npos;
    });
}
}
;

namespace {
[[gnu::noinline]] void fetch_slowly() {
    (void)this_evthread::delay(1h);
    __asm__ volatile("" ::: "memory");
}
}  // namespace

TEST(Dump, NamesTheFunctionsInWhichAParkedCoroutineStands) {
    go("fetch", [] { fetch_slowly(); });
    run_ready();
    const ThreadReport report = report_of("fetch");
    CHECK_EQUAL(EvThreadState::parked, report.state);
    CHECK_EQUAL("delay", report.waits_for);
    CHECK(stands_in(report, "this_evthread::delay"));
    CHECK(stands_in(report, "fetch_slowly"));
    run_loop();
}

TEST(Dump, ABacktraceEndsWhereTheCoroutineBegins) {
    go("fetch", [] { fetch_slowly(); });
    run_ready();
    const ThreadReport report = report_of("fetch");
    STRCMP_CONTAINS("ThreadCore::entry", corothread::symbol_of(report.backtrace.end()[-1]).c_str());
    run_loop();
}

TEST(Dump, OfOneThatHasNotBegunHasNoBacktrace) {
    go("early", [] {});
    const ThreadReport report = report_of("early");
    CHECK_EQUAL(EvThreadState::ready, report.state);
    CHECK(report.backtrace.empty());
    CHECK(report.stack_used > 0);
    run_loop();
}

TEST(Dump, OfTheRunningOneSaysWhereItIs) {
    in_coroutine([&] {
        const ThreadReport report = report_of("test");
        CHECK_EQUAL(EvThreadState::running, report.state);
        CHECK(stands_in(report, "report_threads"));
        CHECK(report.stack_used > 100);
    });
}

TEST(Dump, ANameMakesNoSecondLineAndSpeaksToNoTerminal) {
    go("GET /\n  9 \"forged\x1b[2J", [] { fetch_slowly(); });
    run_ready();
    STRCMP_CONTAINS("\"GET /?  9 \"forged?[2J\"", loop.dump().c_str());
    CHECK_EQUAL("GET /\n  9 \"forged\x1b[2J", loop.report_threads().front().name);
    run_loop();
    StallReport stall;
    stall.id = 1;
    stall.name = "a\nb";
    STRCMP_CONTAINS("coroutine \"a?b\"", to_string(stall).c_str());
}

TEST(Dump, SaysWhenTheDeadlineIs) {
    go("timed", [] { (void)this_evthread::delay(90s); });
    go("free", [&] {
        Event never;
        (void)never.wait(Deadline::never);
    }).cancel();
    run_ready();
    CHECK_EQUAL(90s, *report_of("timed").deadline);
    STRCMP_CONTAINS("deadline in 90.0 s", loop.dump().c_str());
    run_loop();
}

TEST(Dump, SaysWhichDescriptorAndPeerAreWaitedFor) {
    Connection connection = tcp_connection(loop);
    go("reader", [&] {
        char byte;
        (void)connection.socket.recv({&byte, 1}, 1h);
    });
    run_ready();
    const ThreadReport report = report_of("reader");
    CHECK_EQUAL("recv", report.waits_for);
    const std::string expected = "descriptor " + std::to_string(connection.socket.fd()) + ", peer 127.0.0.1:";
    STRCMP_CONTAINS(expected.c_str(), report.detail.c_str());
    run_loop();
}

TEST(Dump, SaysWhoseDescriptorsAreWaitedForByNumber) {
    SocketPair pair = unix_pair();
    const int fd = pair.near.get();
    go("watcher", [&] { (void)wait_readable(fd, 1h); });
    run_ready();
    CHECK_EQUAL("wait_readable", report_of("watcher").waits_for);
    STRCMP_CONTAINS(("descriptor " + std::to_string(fd)).c_str(), report_of("watcher").detail.c_str());
    run_loop();
}

TEST(Dump, SaysWhoHoldsTheMutex) {
    Mutex mutex;
    go("holder", [&] {
        const MutexLock lock(mutex, 1s);
        CHECK(lock);
        (void)this_evthread::delay(1h);
    });
    run_ready();
    go("second", [&] {
        const MutexLock lock(mutex, 2h);
        CHECK(lock);
    });
    run_ready();
    const std::uint64_t holder = report_of("holder").id;
    CHECK_EQUAL("mutex", report_of("second").waits_for);
    CHECK_EQUAL("held by \"holder\" (id " + std::to_string(holder) + ")", report_of("second").detail);
    run_loop();
}

TEST(Dump, SaysWhoHoldsACrossMutex) {
    CrossMutex mutex;
    CHECK(mutex.try_lock());
    go("first", [&] {
        CHECK(!mutex.lock(1h));
        (void)this_evthread::delay(1h);
        mutex.unlock();
    });
    run_ready();
    go("second", [&] {
        CHECK(!mutex.lock(3h));
        mutex.unlock();
    });
    run_ready();
    CHECK_EQUAL("held by an OS thread", report_of("first").detail);
    mutex.unlock();
    CHECK_EQUAL("handed over just now", report_of("second").detail);
    run_ready();
    const std::uint64_t first = report_of("first").id;
    CHECK_EQUAL("mutex", report_of("second").waits_for);
    CHECK_EQUAL("held by \"first\" (id " + std::to_string(first) + ")", report_of("second").detail);
    run_loop();
}

TEST(Dump, SaysWhichProcessAndWhichSignalsAreWaitedFor) {
    const int signals[] = {SIGUSR1, SIGHUP};
    SignalQueue queue(loop, signals);
    process::ChildProcess child = process::ChildProcess::spawn(loop, {"sleep", "1000"}).value();
    EvThread parent = go("parent", [&] { (void)child.wait(Deadline::never); });
    EvThread listener = go("listener", [&] { (void)queue.wait(Deadline::never); });
    run_ready();
    CHECK_EQUAL("process " + std::to_string(child.pid()), report_of("parent").detail);
    CHECK_EQUAL("SIGUSR1, SIGHUP", report_of("listener").detail);
    parent.cancel();
    listener.cancel();
    run_ready();
    (void)child.kill(SIGKILL);
    go("undertaker", [&] { (void)child.wait(Deadline::never); });
    run_loop();
}

TEST(Dump, SaysWhetherOffloadedWorkHasBegun) {
    OffloadPool pool({.threads = 1});
    CrossEvent begun, may_end;
    const auto job = [&] {
        begun.set();
        (void)may_end.wait(Deadline::never);
    };
    go("first", [&] { (void)offload(pool, job, Deadline::never); });
    run_ready();
    CHECK(!begun.wait(20s));
    go("second", [&] { (void)offload(pool, job, Deadline::never); });
    run_ready();
    go("third", [&] { (void)offload(pool, job, Deadline::never); });
    run_ready();
    CHECK_EQUAL("has begun", report_of("first").detail);
    CHECK_EQUAL("1 before it in line, for 1 OS threads", report_of("third").detail);
    may_end.set();
    run_loop();
}

TEST(Dump, SaysWhatStateTheChannelIsIn) {
    Channel<int> channel(3);
    for (int i = 0; i < 3; ++i) CHECK(!channel.try_send(i));
    go("sender", [&] { (void)channel.send(4, 1h); });
    run_ready();
    CHECK_EQUAL("channel send", report_of("sender").waits_for);
    STRCMP_CONTAINS("holds 3 of 3", report_of("sender").detail.c_str());
    run_loop();
}

TEST(Dump, SaysWhoIsJoined) {
    EvThread child = go("child", [] { (void)this_evthread::delay(1h); });
    go("parent", [&] { (void)child.join(2h); });
    run_ready();
    CHECK_EQUAL("join", report_of("parent").waits_for);
    STRCMP_CONTAINS("\"child\" (id ", report_of("parent").detail.c_str());
    run_loop();
}

TEST(Dump, SaysWhichChildrenOfABundleAreLeft) {
    go("parent", [&] {
        Bundle bundle(loop);
        for (int i = 0; i < 5; ++i) bundle.go("child", [] { (void)this_evthread::delay(1h); });
        (void)bundle.wait(2h);
    });
    run_ready();
    CHECK_EQUAL("children of a bundle", report_of("parent").waits_for);
    CHECK_EQUAL("5 left: \"child\", \"child\", \"child\", …", report_of("parent").detail);
    run_loop();
}

TEST(Dump, SaysAtWhatASelectWaits) {
    Channel<int> channel(1);
    Connection connection = tcp_connection(loop);
    go("choosy",
       [&] { (void)select(channel.on_recv([](int) {}), on_readable(connection.socket, [] {}), 1h); });
    run_ready();
    const std::string detail = report_of("choosy").detail;
    STRCMP_CONTAINS("recv of channel", detail.c_str());
    STRCMP_CONTAINS("; descriptor ", detail.c_str());
    run_loop();
}

TEST(Dump, HasThoseThatWaitForAStackToo) {
    StackPool one({.count = 1});
    EvLoop small(one, {.clock = LoopClock::virtual_time});
    small.spawn("first", [] { (void)this_evthread::delay(1s); });
    small.spawn("second", [] {});
    small.run_ready();
    const std::vector<ThreadReport> all = small.report_threads();
    CHECK_EQUAL(2, all.size());
    CHECK_EQUAL("second", all[1].name);
    CHECK_EQUAL(EvThreadState::waiting_for_stack, all[1].state);
    small.run();
}

TEST(Dump, SaysWhoIsCanceled) {
    go("stubborn", [] {
        const CancelShield shield(1h);
        (void)this_evthread::delay(1h);
    }).cancel();
    run_ready();
    CHECK(report_of("stubborn").canceled);
    STRCMP_CONTAINS("\"stubborn\" parked, canceled in delay", loop.dump().c_str());
    run_loop();
}

TEST(Dump, SaysForHowLongOnlyWhenWaitsAreMeasured) {
    go("before", [] { (void)this_evthread::delay(2h); });
    run_ready();
    loop.measure({.waits = true});
    Mutex mutex;
    go("holder", [&] {
        const MutexLock lock(mutex, 1s);
        CHECK(lock);
        (void)this_evthread::delay(1h);
    });
    run_ready();
    go("second", [&] {
        const MutexLock lock(mutex, Deadline::never);
        CHECK(lock);
    });
    advance(10s);
    CHECK_FALSE(report_of("before").waiting.has_value());
    CHECK_EQUAL(10s, *report_of("holder").waiting);
    CHECK_EQUAL(10s, *report_of("second").waiting);
    loop.measure({});
    CHECK_FALSE(report_of("second").waiting.has_value());
    run_loop();
}

TEST(Dump, MeasuredWaitsEndAsOthersDo) {
    loop.measure({.waits = true});
    Channel<int> channel(0);
    int got = 0;
    go([&] { CHECK(!channel.send(7, Deadline::never)); });
    go([&] { got = channel.recv(Deadline::never).value(); });
    run_loop();
    CHECK_EQUAL(7, got);
}

TEST(Dump, IsCutToSoManyAndSaysSo) {
    for (int i = 0; i < 5; ++i) go([] {});
    const std::string dump = loop.dump({.backtraces = false, .most = 2});
    STRCMP_CONTAINS("5 coroutines", dump.c_str());
    STRCMP_CONTAINS("and 3 more", dump.c_str());
    run_loop();
}

TEST(Dump, KnowsHowDeepAStackWasUsed) {
    go("deep", [] {
        char buffer[20000];
        __asm__ volatile("" : : "r"(buffer) : "memory");
        for (char& c : buffer) *const_cast<volatile char*>(&c) = 1;
        (void)this_evthread::delay(1s);
    });
    run_ready();
    CHECK(report_of("deep").stack_peak >= 20000);
    CHECK(report_of("deep").stack_peak <= report_of("deep").stack_size);
    run_loop();
}

// Whichever of the two stacks lies above the other: the one that ends at once leaves its stack to the
// second's.
TEST(Dump, OfOneInsideAGeneratorLooksAtTheGeneratorsStack) {
    const auto walks = [this] {
        corothread::Generator<int> walk(stacks, [](auto& yield) {
            fetch_slowly();
            yield(1);
        });
        (void)walk.next();
    };
    go("first", walks);
    go("ends", [] {});
    go("second", walks);
    run_ready();
    for (const char* name : {"first", "second"}) {
        const ThreadReport report = report_of(name);
        CHECK(stands_in(report, "fetch_slowly"));
        CHECK(report.stack_used > 0 && report.stack_used < stacks.stack_size());
        CHECK_EQUAL(stacks.stack_size(), report.stack_size);
    }
    run_loop();
}

TEST(Dump, OfARunningOneInsideAGeneratorLooksAtTheGeneratorsStack) {
    go("walker", [&] {
        corothread::Generator<int> walk(stacks, [&](auto& yield) {
            const ThreadReport report = report_of("walker");
            CHECK(stands_in(report, "Generator"));
            CHECK(report.stack_used > 0 && report.stack_used < stacks.stack_size());
            yield(1);
        });
        (void)walk.next();
    });
    run_loop();
}

TEST(Dump, MayBeAskedForByAnotherThread) {
    LogCapture log;
    go("somebody", [&] {
        std::thread([this] { loop.request_dump(); }).join();
        (void)this_evthread::delay(1s);
    });
    run_loop();
    STRCMP_CONTAINS("info: loop 0x", log.text().c_str());
    STRCMP_CONTAINS("\"somebody\"", log.text().c_str());
}

TEST(Dump, OfAllLoopsHasEachOfThem) {
    EvLoop other(stacks, {.clock = LoopClock::virtual_time});
    other.spawn("there", [] { (void)this_evthread::delay(1s); });
    go("here", [] { (void)this_evthread::delay(1s); });
    EvLoop::request_dump_of_all();
    LogCapture log;
    run_loop();
    other.run();
    STRCMP_CONTAINS("\"here\"", log.text().c_str());
    STRCMP_CONTAINS("\"there\"", log.text().c_str());
}

TEST_GROUP_BASE(StackUses, LoopFixture){static void use(std::size_t bytes){
    auto* const some = static_cast<volatile char*>(__builtin_alloca(bytes));
for (std::size_t i = 0; i < bytes; i += 512) some[i] = 1;
}
}
;

TEST(StackUses, AreKnownByName) {
    loop.measure({.stacks = true});
    go("deep", [] { use(24 * 1024); });
    run_loop();
    for (int i = 0; i < 3; ++i) go("flat", [] {});
    run_loop();
    const std::vector<StackUse> uses = loop.stack_use();
    CHECK_EQUAL(2, uses.size());
    CHECK_EQUAL("deep", uses[0].name);
    CHECK(uses[0].deepest >= 24 * 1024);
    CHECK_EQUAL("flat", uses[1].name);
    CHECK_EQUAL(3, uses[1].ended);
    CHECK(uses[1].deepest < 24 * 1024);  // although it had the same stack
}

TEST_GROUP_BASE(Deadlock, LoopFixture) { LogCapture log; };

TEST(Deadlock, OfTwoThatWaitForEachOthersMutexIsLoggedOnce) {
    loop.measure({.deadlocks = true});
    Mutex a("first"), b("second");
    int locked = 0;
    const auto both = [&locked](Mutex& one, Mutex& other) {
        const MutexLock lock(one, Deadline::never);
        if (!lock) return;
        ++locked;
        while (locked != 2) this_evthread::yield();
        const MutexLock second(other, Deadline::never);
        (void)second.error();
    };
    go("forth", [&] { both(a, b); });
    go("back", [&] { both(b, a); });
    // Posts get the loop out of it; nothing else would.
    std::thread rescue([this] {
        while (log.lines() == 0) ::sched_yield();
        loop.post([this] { loop.stop(); });
    });
    run_loop();
    rescue.join();
    STRCMP_CONTAINS("deadlock", log.text().c_str());
    STRCMP_CONTAINS("\"forth\" parked in second (held by \"back\"", log.text().c_str());
    STRCMP_CONTAINS("\"back\" parked in first (held by \"forth\"", log.text().c_str());
    CHECK_EQUAL(1, log.lines());
    CHECK(loop.shutdown(1s));
}

TEST(Deadlock, IsNoneWhileADeadlineWillEndIt) {
    loop.measure({.deadlocks = true});
    go([] {
        Event never;
        (void)never.wait(1h);
    });
    run_loop();
    CHECK_EQUAL(0, log.lines());
}

TEST(Deadlock, IsNoneWhileSomebodyWaitsForADescriptor) {
    loop.measure({.deadlocks = true});
    Connection connection = unix_connection(loop);
    Event read;
    go([&] {
        char byte;
        (void)connection.socket.recv({&byte, 1}, Deadline::never);
        read.set();
    });
    go([&] { (void)read.wait(Deadline::never); });
    std::thread peer([&] { connection.peer_sends("x"); });
    run_loop();
    peer.join();
    CHECK_EQUAL(0, log.lines());
}
