// LoopGroup: several loops on OS threads of their own, and servers that run on all of them.
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "evcorothread/cross_event.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/shared_channel.h"
#include "nutils/blocking_socket.h"
#include "nutils/listen_stream.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/log_capture.h"

using namespace test_support;

namespace {

std::size_t thread_count() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& task : std::filesystem::directory_iterator("/proc/self/task")) ++count;
    return count;
}

// Threads that have been joined may be visible for a moment.
bool threads_become(std::size_t count) {
    const TimePoint limit = cutils::monotonic_now() + patience(5s);
    while (thread_count() > count && cutils::monotonic_now() < limit) ::sched_yield();
    return thread_count() <= count;
}

class GroupFixture : public Fixture {
  public:
    GroupFixture() { ::alarm(patience(120U)); }
    ~GroupFixture() override { ::alarm(0); }

    void setup() override {
        std::thread([] {}).join();  // with the first one, a sanitizer may start one of its own
        threads_before = thread_count();
    }
    void teardown() override {
        group.reset();
        CHECK_TEXT(threads_become(threads_before), "OS threads left behind");
    }

    LoopGroup& start(std::size_t loops = 3, std::size_t stacks = 8) {
        group.emplace(LoopGroupOptions{
            .loops = loops, .stacks = {.count = stacks}, .shuffle_seed = any_order().shuffle_seed});
        group->start().value();
        return *group;
    }
    // Runs `f` on a coroutine of that loop, and waits for its end.
    template <class F>
    void on(std::size_t index, F f) {
        std::latch done(1);
        group->post(index, [&] {
            group->loop(index).spawn("test", [&] {
                f();
                done.count_down();
            });
        });
        done.wait();
    }
    // What a client hears when it says `text`; blocks.
    static std::string ask(const SockAddr& where, std::string_view text = "hello") {
        auto socket = nutils::BlockingSocket::connect(where, 5s);
        if (!socket) return "<" + socket.error().message() + ">";
        char buffer[64];
        if (!socket->send_all(text, 5s)) return "<not sent>";
        const IoResult got = socket->recv(buffer, 5s);
        return got ? std::string(buffer, got.bytes) : "<" + got.error.message() + ">";
    }
    static void echo(EvSocket socket) {
        char buffer[64];
        while (const IoResult got = socket.recv(buffer, 30s))
            if (!socket.send_all({buffer, got.bytes}, 30s)) break;
    }
    static std::vector<nutils::BlockingSocket> clients(const SockAddr& where, int count) {
        std::vector<nutils::BlockingSocket> all;
        for (int i = 0; i < count; ++i) all.push_back(nutils::BlockingSocket::connect(where, 5s).value());
        return all;
    }
    template <class Done>
    static void until(Done&& done) {
        const TimePoint limit = cutils::monotonic_now() + patience(5s);
        while (!done()) {
            CHECK_TEXT(cutils::monotonic_now() < limit, "it did not happen in time");
            ::sched_yield();
        }
    }

    std::optional<LoopGroup> group;
    std::size_t threads_before = 0;
};

}  // namespace

TEST_GROUP_BASE(LoopGroup, GroupFixture){};

// --- loops ---

TEST(LoopGroup, HasALoopForEveryCpuUnlessTold) {
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    CHECK_EQUAL(CPU_COUNT(&set), ::LoopGroup().size());
    CHECK_EQUAL(5, ::LoopGroup({.loops = 5}).size());
}

TEST(LoopGroup, EachLoopHasAThreadOfItsOwn) {
    start(3);
    std::mutex mutex;
    std::set<std::thread::id> ids;
    for (std::size_t i = 0; i < 3; ++i)
        on(i, [&] {
            const std::lock_guard lock(mutex);
            ids.insert(std::this_thread::get_id());
        });
    CHECK_EQUAL(3, ids.size());
    CHECK_EQUAL(0, ids.count(std::this_thread::get_id()));
}

TEST(LoopGroup, InitRunsOnEachLoopBeforeStartReturns) {
    group.emplace(LoopGroupOptions{.loops = 3, .stacks = {.count = 2}});
    std::atomic<int> right{0};
    group
        ->start([&](EvLoop& loop, std::size_t index) {
            right += group->here() == index && loop.on_loop_thread() && &group->loop(index) == &loop;
        })
        .value();
    CHECK_EQUAL(3, right.load());
    CHECK(!group->here());
}

TEST(LoopGroup, AnExceptionOfInitComesOutOfStartAndNothingRuns) {
    group.emplace(LoopGroupOptions{.loops = 3, .stacks = {.count = 2}});
    std::string said;
    try {
        (void)group->start([](EvLoop&, std::size_t index) {
            if (index == 1) throw std::runtime_error("no database");
        });
    } catch (const std::runtime_error& error) {
        said = error.what();
    }
    CHECK_EQUAL("no database", said);
    CHECK(threads_become(threads_before));
    CHECK(group->start().ok());  // the next try
}

TEST(LoopGroup, WhatCannotBeMadeIsAnErrorOfStart) {
    group.emplace(LoopGroupOptions{.loops = 2, .stacks = {.count = 0}});
    const cutils::Result<void> started = group->start();
    CHECK(started.error() == std::errc::invalid_argument);
    STRCMP_CONTAINS("StackPool: count must be", started.error().message().c_str());
    CHECK(threads_become(threads_before));
}

TEST(LoopGroup, WithoutDescriptorsStartFailsAndLeavesNothing) {
    group.emplace(LoopGroupOptions{.loops = 2, .stacks = {.count = 2}});
    for (const long good : {0L, 1L}) {
        FaultInjection faults;
        faults.fail("eventfd", EMFILE, 1, good);
        const cutils::Result<void> started = group->start();
        CHECK(!started.ok());
        CHECK(threads_become(threads_before));
    }
}

TEST(LoopGroup, NextGoesRound) {
    start(3);
    EvLoop* const first = &group->next();
    EvLoop* const second = &group->next();
    EvLoop* const third = &group->next();
    CHECK(first != second && second != third && third != first);
    CHECK(&group->next() == first);
}

TEST(LoopGroup, PostAllReachesEach) {
    start(3);
    std::latch done(3);
    std::atomic<int> sum{0};
    group->post_all([&](EvLoop& loop, std::size_t index) {
        if (loop.on_loop_thread()) sum += static_cast<int>(index) + 1;
        done.count_down();
    });
    done.wait();
    CHECK_EQUAL(6, sum.load());
}

TEST(LoopGroup, PinnedLoopsHaveOneCpuEach) {
    group.emplace(LoopGroupOptions{.loops = 2, .stacks = {.count = 2}, .pin = true});
    group->start().value();
    std::atomic<int> cpus{0};
    for (std::size_t i = 0; i < 2; ++i)
        on(i, [&] {
            cpu_set_t set;
            ::sched_getaffinity(0, sizeof set, &set);
            cpus += CPU_COUNT(&set);
        });
    CHECK_EQUAL(2, cpus.load());
}

TEST(LoopGroup, ItsThreadsLeaveSignalsToTheApplication) {
    start(1);
    sigset_t blocked;
    on(0, [&] { pthread_sigmask(SIG_BLOCK, nullptr, &blocked); });
    CHECK_EQUAL(1, sigismember(&blocked, SIGTERM));
    CHECK_EQUAL(0, sigismember(&blocked, SIGSEGV));
}

TEST(LoopGroup, MayStartAgain) {
    start(2);
    for (int round = 0; round < 3; ++round) {
        CHECK(group->shutdown(5s));
        group->start().value();
        int ran = 0;
        on(1, [&] { ++ran; });
        CHECK_EQUAL(1, ran);
    }
}

// --- ends ---

TEST(LoopGroup, ShutdownLetsCoroutinesFinish) {
    start(2);
    std::atomic<int> finished{0};
    group->post_all(
        [&](EvLoop& loop, std::size_t) { loop.spawn([&] { finished += !this_evthread::delay(5ms); }); });
    CHECK(group->shutdown(30s));
    CHECK_EQUAL(2, finished.load());
}

TEST(LoopGroup, ShutdownCancelsThemAtItsDeadline) {
    start(2);
    std::atomic<int> canceled{0};
    group->post_all([&](EvLoop& loop, std::size_t) {
        loop.spawn([&] { canceled += this_evthread::delay(1h) == NetError::canceled; });
    });
    CHECK(!group->shutdown(5ms));
    CHECK_EQUAL(2, canceled.load());
}

TEST(LoopGroup, StopCancelsAndJoinWaits) {
    start(2);
    std::atomic<int> canceled{0};
    group->post_all([&](EvLoop& loop, std::size_t) {
        loop.spawn([&] { canceled += this_evthread::delay(1h) == NetError::canceled; });
    });
    on(0, [&] {});
    on(1, [&] {});
    CHECK_EQUAL(std::error_code(NetError::timed_out), group->join(1ms));
    group->stop();
    CHECK(!group->join(Deadline::never));
    CHECK(!group->join(Deadline::never));  // nothing to wait for
    CHECK_EQUAL(2, canceled.load());
}

TEST(LoopGroup, ACoroutineOfAnotherLoopMayWaitForTheEnd) {
    start(2);
    StackPool stacks({.count = 2});
    EvLoop front(stacks, any_order());
    bool others_ran = false, clean = false;
    group->post_all([](EvLoop& loop, std::size_t) { loop.spawn([] { (void)this_evthread::delay(5ms); }); });
    front.spawn([&] { clean = group->shutdown(30s); });
    front.spawn([&] { others_ran = !this_evthread::delay(1ms); });
    front.run();
    CHECK(clean);
    CHECK(others_ran);
}

TEST(LoopGroup, MayBeStoppedByOneOfItsCoroutines) {
    start(2);
    group->post(1, [&] { group->loop(1).spawn([&] { group->stop(); }); });
    CHECK(!group->join(30s));
}

TEST(LoopGroup, WhatIsPostedAfterTheEndIsDestroyedUnrun) {
    start(2);
    CHECK(group->shutdown(5s));
    const auto token = std::make_shared<int>();
    bool ran = false;
    group->post(0, [token, &ran] { ran = true; });
    group->post_all([token, &ran](EvLoop&, std::size_t) { ran = true; });
    CHECK(!ran);
    CHECK_EQUAL(1, token.use_count());
}

TEST(LoopGroup, TheDestructorEndsEverything) {
    start(2);
    std::atomic<int> ended{0};
    GroupListener listener = group->listen(SockAddr::loopback(0), echo).value();
    group->post_all([&](EvLoop& loop, std::size_t) {
        loop.spawn([&] {
            (void)this_evthread::delay(1h);
            ++ended;
        });
    });
    on(0, [&] {});
    on(1, [&] {});
    group.reset();
    CHECK_EQUAL(2, ended.load());
    CHECK(!listener.is_open());
}

TEST(LoopGroup, OwnsAPoolForBlockingWork) {
    start(2);
    int value = 0;
    on(1, [&] {
        value = offload(
                    group->offload_pool(), [] { return 7; }, 5s)
                    .value();
    });
    CHECK_EQUAL(7, value);
}

TEST(LoopGroup, LoopsTalkThroughAChannel) {
    start(2);
    SharedChannel<int> numbers(4);
    std::atomic<long> sum{0};
    std::latch done(1);
    group->post(0, [&] {
        group->loop(0).spawn([&] {
            for (int i = 1; i <= 1000; ++i) (void)numbers.send(i, Deadline::never);
            numbers.close();
        });
    });
    group->post(1, [&] {
        group->loop(1).spawn([&] {
            while (const auto number = numbers.recv(Deadline::never)) sum += *number;
            done.count_down();
        });
    });
    done.wait();
    CHECK(group->shutdown(5s));
    CHECK_EQUAL(500'500, sum.load());
}

// --- misuse ---

TEST(LoopGroup, UsingALoopOnAnotherThreadAborts) {
    const char* const said = "used on another OS thread: use EvLoop::post";
    // In a child that makes threads of its own: a forked one has none of ours.
    const auto offence = [](const std::function<void(EvLoop&)>& what) {
        return abort_message([&] {
            ::LoopGroup mine({.loops = 1, .stacks = {.count = 2}, .shuffle_seed = any_order().shuffle_seed});
            mine.start().value();
            std::latch runs(1);
            mine.post(0, [&] { runs.count_down(); });
            runs.wait();
            what(mine.loop(0));
        });
    };
    STRCMP_CONTAINS(said, offence([](EvLoop& loop) { loop.spawn([] {}); }).c_str());
    STRCMP_CONTAINS(said, offence([](EvLoop& loop) { (void)loop.try_spawn("x", [] {}); }).c_str());
    STRCMP_CONTAINS(said, offence([](EvLoop& loop) { EvSocket(loop, UniqueFd(0)); }).c_str());
    STRCMP_CONTAINS(said, offence([](EvLoop& loop) {
                              EvTimer timer(loop, [] {});
                              timer.start(1s);
                          }).c_str());
    STRCMP_CONTAINS(said, offence([](EvLoop& loop) {
                              (void)EvTcpAcceptor::listen(loop, SockAddr::loopback(0), echo);
                          }).c_str());
    STRCMP_CONTAINS("is called while it runs", offence([](EvLoop& loop) { loop.run(); }).c_str());
}

TEST(LoopGroup, WaitingForItselfAborts) {
    const auto inside = [](const std::function<void(::LoopGroup&)>& what) {
        return abort_message([&] {
            ::LoopGroup mine({.loops = 1, .stacks = {.count = 2}, .shuffle_seed = any_order().shuffle_seed});
            mine.start().value();
            mine.post(0, [&] { mine.loop(0).spawn([&] { what(mine); }); });
            (void)mine.join(5s);
        });
    };
    STRCMP_CONTAINS("it would wait for itself", inside([](auto& mine) { (void)mine.join(1s); }).c_str());
    STRCMP_CONTAINS("it would wait for itself", inside([](auto& mine) { (void)mine.shutdown(1s); }).c_str());
}

TEST(LoopGroup, UsingItBeforeItsStartAborts) {
    STRCMP_CONTAINS("before start()",
                    abort_message([] {
                        ::LoopGroup mine({.loops = 1, .shuffle_seed = any_order().shuffle_seed});
                        (void)mine.loop(0);
                    }).c_str());
    STRCMP_CONTAINS("before start()",
                    abort_message([] {
                        ::LoopGroup mine({.loops = 1, .shuffle_seed = any_order().shuffle_seed});
                        (void)mine.listen(SockAddr::loopback(0), echo);
                    }).c_str());
}

// --- servers ---

TEST(LoopGroup, ServesOnAllLoops) {
    start(3);
    std::mutex mutex;
    std::set<std::size_t> seen;
    GroupListener listener = group
                                 ->listen(SockAddr::loopback(0),
                                          [&](EvSocket socket) {
                                              {
                                                  const std::lock_guard lock(mutex);
                                                  seen.insert(group->here().value());
                                              }
                                              echo(std::move(socket));
                                          })
                                 .value();
    for (int i = 0; i < 6; ++i) CHECK_EQUAL("hello", ask(listener.local_address()));
    CHECK_EQUAL(3, seen.size());
}

TEST(LoopGroup, SpreadsConnectionsThatStayEvenly) {
    start(3, 64);
    GroupListener listener = group->listen(SockAddr::loopback(0), echo).value();
    const auto all = clients(listener.local_address(), 90);
    until([&] { return listener.accepted(0) + listener.accepted(1) + listener.accepted(2) == 90; });
    for (std::size_t i = 0; i < 3; ++i) CHECK_EQUAL(30, listener.accepted(i));
}

TEST(LoopGroup, GivesNewOnesToTheLoopThatHasTheFewest) {
    start(2, 64);
    GroupListener listener = group->listen(SockAddr::loopback(0), echo).value();
    auto all = clients(listener.local_address(), 20);
    until([&] { return listener.live(0) == 10 && listener.live(1) == 10; });
    // All that the first loop has leave: those at even places.
    for (std::size_t i = 0; i < all.size(); i += 2) all[i].close();
    until([&] { return listener.live(0) == 0 || listener.live(1) == 0; });
    const auto more = clients(listener.local_address(), 10);
    until([&] { return listener.live(0) == 10 && listener.live(1) == 10; });
}

TEST(LoopGroup, AcceptsNoMoreThanThereAreStacks) {
    start(2, 2);
    std::atomic<int> served{0};
    GroupListener listener = group
                                 ->listen(SockAddr::loopback(0),
                                          [&](EvSocket socket) {
                                              ++served;
                                              echo(std::move(socket));
                                          })
                                 .value();
    auto all = clients(listener.local_address(), 6);  // two wait in the kernel's queue
    until([&] { return served == 4; });
    CHECK_EQUAL(2, listener.live(0));
    CHECK_EQUAL(2, listener.live(1));
    for (auto& client : all) CHECK(client.send_all("x", 5s));
    CHECK_EQUAL(4, served.load());
    all[0].close();
    all[1].close();
    until([&] { return served == 6; });
    char byte;
    for (std::size_t i = 2; i < 6; ++i) CHECK(all[i].recv({&byte, 1}, 5s));
}

TEST(LoopGroup, ListenersShareTheStacks) {
    start(1, 2);
    std::atomic<int> served{0};
    const auto serve = [&](EvSocket socket) {
        ++served;
        echo(std::move(socket));
    };
    GroupListener first = group->listen(SockAddr::loopback(0), serve).value();
    GroupListener second = group->listen(SockAddr::loopback(0), serve).value();
    auto one = clients(first.local_address(), 2);
    until([&] { return served == 2; });
    auto two = clients(second.local_address(), 1);
    until([&] { return second.accepted(0) <= 1 && second.live(0) >= 2; });
    one.clear();
    until([&] { return served == 3; });
    for (auto& client : two) CHECK(client.send_all("x", 5s));
}

TEST(LoopGroup, ALimitOfItsOwnHoldsForRawConnections) {
    start(2);
    std::mutex mutex;
    std::vector<std::pair<UniqueFd, ConnectionTicket>> kept;
    const auto size = [&] {
        const std::lock_guard lock(mutex);
        return kept.size();
    };
    std::atomic<int> right{0};
    GroupListener listener =
        group
            ->listen_raw(SockAddr::loopback(0),
                         [&](EvLoop& loop, std::size_t index, UniqueFd fd, const SockAddr& peer,
                             ConnectionTicket ticket) {
                             right += loop.on_loop_thread() && group->here() == index && peer.port() != 0;
                             const std::lock_guard lock(mutex);
                             kept.emplace_back(std::move(fd), std::move(ticket));
                         },
                         {AcceptOptions{}, 3})
            .value();
    const auto all = clients(listener.local_address(), 10);
    until([&] { return size() == 6; });
    CHECK_EQUAL(3, listener.live(0));
    {
        const std::lock_guard lock(mutex);
        kept.clear();  // on this thread: it does not matter
    }
    until([&] { return size() == 4; });
    CHECK_EQUAL(10, right.load());
    until([&] { return listener.live(0) + listener.live(1) == 4; });
}

TEST(LoopGroup, TicketsMayOutliveTheGroup) {
    start(1);
    std::mutex mutex;
    std::optional<ConnectionTicket> kept;
    GroupListener listener =
        group
            ->listen_raw(SockAddr::loopback(0),
                         [&](EvLoop&, std::size_t, UniqueFd, const SockAddr&, ConnectionTicket ticket) {
                             const std::lock_guard lock(mutex);
                             kept = std::move(ticket);
                         })
            .value();
    const auto all = clients(listener.local_address(), 1);
    until([&] {
        const std::lock_guard lock(mutex);
        return kept.has_value();
    });
    group.reset();
    listener.close();
    kept.reset();
}

TEST(LoopGroup, WithReusePortEachLoopListens) {
    start(3, 64);
    GroupListenOptions options;
    options.reuse_port = true;
    GroupListener listener = group->listen(SockAddr::loopback(0), echo, options).value();
    auto all = clients(listener.local_address(), 60);
    until([&] { return listener.accepted(0) + listener.accepted(1) + listener.accepted(2) == 60; });
    for (std::size_t i = 0; i < 3; ++i) CHECK(listener.accepted(i) > 0);  // a hash: not more can be said
    for (auto& client : all) CHECK(client.send_all("x", 5s));
    char byte;
    for (auto& client : all) CHECK(client.recv({&byte, 1}, 5s));
}

TEST(LoopGroup, WhereItCannotListenSaysWhere) {
    start(1);
    GroupListener listener = group->listen(SockAddr::loopback(0), echo).value();
    const auto second = group->listen(listener.local_address(), echo);
    CHECK(second.error() == std::errc::address_in_use);
    STRCMP_CONTAINS(listener.local_address().to_string().c_str(), second.error().message().c_str());
}

TEST(LoopGroup, AListenerThatWasNotMadeIsClosed) {
    GroupListener none;
    CHECK(!none.is_open());
    CHECK(none.local_address().is_none());
    CHECK_EQUAL(0, none.accepted(0));
    CHECK_EQUAL(0, none.live(0));
    none.close();
    start(1);
    none = group->listen(SockAddr::loopback(0), echo).value();
    CHECK(none.is_open());
}

TEST(LoopGroup, ItsListenerAbortsWhenAskedAboutALoopThatIsNotThere) {
    start(2);
    const GroupListener listener = group->listen(SockAddr::loopback(0), echo).value();
    CHECK_EQUAL(0, listener.accepted(1));
    STRCMP_CONTAINS("does not have", abort_message([&] { (void)listener.accepted(2); }).c_str());
    STRCMP_CONTAINS("does not have", abort_message([&] { (void)listener.live(2); }).c_str());
}

TEST(LoopGroup, AClosedListenerTakesNobodyAndItsConnectionsGoOn) {
    start(2);
    GroupListener listener = group->listen(SockAddr::loopback(0), echo).value();
    auto all = clients(listener.local_address(), 2);
    until([&] { return listener.accepted(0) + listener.accepted(1) == 2; });
    listener.close();
    listener.close();
    CHECK(!listener.is_open());
    until([&] { return !nutils::BlockingSocket::connect(listener.local_address(), 5s).ok(); });
    char byte;
    for (auto& client : all) {
        CHECK(client.send_all("x", 5s));
        CHECK(client.recv({&byte, 1}, 5s));
    }
}

TEST(LoopGroup, ServesAtAUnixSocketAndRemovesItsFile) {
    start(2);
    const std::string path = "/tmp/evc-group-test-" + std::to_string(::getpid());
    GroupListener listener = group->listen(SockAddr::unix_path(path).value(), echo).value();
    for (int i = 0; i < 4; ++i) CHECK_EQUAL("hello", ask(listener.local_address()));
    CHECK(std::filesystem::exists(path));
    CHECK(group->shutdown(5s));
    CHECK(!std::filesystem::exists(path));
}

TEST(LoopGroup, ShutdownClosesListenersAndLetsConnectionsFinish) {
    start(2);
    GroupListener listener = group
                                 ->listen(SockAddr::loopback(0),
                                          [](EvSocket socket) {
                                              char byte;
                                              if (!socket.recv({&byte, 1}, 30s)) return;
                                              (void)this_evthread::delay(10ms);
                                              (void)socket.send_all("done", 5s);
                                          })
                                 .value();
    auto all = clients(listener.local_address(), 4);
    for (auto& client : all) CHECK(client.send_all("x", 5s));
    until([&] { return listener.accepted(0) + listener.accepted(1) == 4; });
    CHECK(group->shutdown(30s));
    char buffer[8];
    for (auto& client : all) CHECK_EQUAL(4, client.recv(buffer, 5s).bytes);
    CHECK(!nutils::BlockingSocket::connect(listener.local_address(), 5s).ok());
}

TEST(LoopGroup, AnExceptionInAHandlerEndsOnlyItsConnection) {
    LogCapture log;
    start(2);
    GroupListener listener = group
                                 ->listen(SockAddr::loopback(0),
                                          [](EvSocket socket) {
                                              char byte;
                                              (void)socket.recv({&byte, 1}, 30s);
                                              if (byte == 'b') throw std::runtime_error("bad");
                                              (void)socket.send_all("good", 5s);
                                          })
                                 .value();
    CHECK_EQUAL("<end of stream>", ask(listener.local_address(), "b"));
    CHECK_EQUAL("good", ask(listener.local_address(), "g"));
    until([&] { return listener.live(0) + listener.live(1) == 0; });
    until([&] { return log.text().find("bad") != std::string::npos; });  // said last, on the loop's thread
}

// --- again and again ---

TEST(LoopGroup, AThousandStartsAndStopsLeaveNothing) {
    const int rounds = kTsan ? 100 : 1000;
    for (int round = 0; round < rounds; ++round) {
        ::LoopGroup mine(
            {.loops = 2, .stacks = {.count = 2, .pages = 4}, .shuffle_seed = any_order().shuffle_seed});
        mine.start().value();
        GroupListenOptions options;
        options.reuse_port = round % 2 == 1;
        std::optional<GroupListener> listener(mine.listen(SockAddr::loopback(0), echo, options).value());
        if (round % 10 == 0) CHECK_EQUAL("hello", ask(listener->local_address()));
        switch (round % 4) {
            case 0: CHECK(mine.shutdown(30s)); break;
            case 1: mine.stop(); break;
            case 2: listener.reset(); break;
            default: break;
        }
    }
    CHECK(threads_become(threads_before));
}

TEST(LoopGroup, ConnectionsThatComeDuringTheEndAreClosed) {
    for (int round = 0; round < (kTsan ? 10 : 50); ++round) {
        ::LoopGroup mine(
            {.loops = 2, .stacks = {.count = 4, .pages = 4}, .shuffle_seed = any_order().shuffle_seed});
        mine.start().value();
        GroupListener listener = mine.listen(SockAddr::loopback(0), echo).value();
        std::atomic<bool> end{false};
        std::thread knocking([&] {
            while (!end) {
                auto client = nutils::BlockingSocket::connect(listener.local_address(), 5s);
                if (!client) break;
            }
        });
        std::this_thread::yield();
        CHECK(mine.shutdown(30s));
        end = true;
        knocking.join();
    }
}
