#include "evcorothread/wait_fd.h"

#include <event2/event.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "evcorothread/ev_thread.h"
#include "test/evcorothread/loop_fixture.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"

using namespace test_support;

TEST_GROUP_BASE(WaitFd, LoopFixture) {
    FaultInjection faults;
    UniqueFd in, out;  // a pipe
    int woken = 0;

    void setup() override {
        int ends[2];
        CHECK_EQUAL(0, ::pipe2(ends, O_CLOEXEC | O_NONBLOCK));
        in.reset(ends[0]);
        out.reset(ends[1]);
    }
    void fill_pipe() const {
        const std::string block(64 * 1024, 'x');
        while (::write(out.get(), block.data(), block.size()) > 0) continue;
    }
    void empty_pipe() const {
        std::string block(64 * 1024, '\0');
        while (::read(in.get(), block.data(), block.size()) > 0) continue;
    }
};

TEST(WaitFd, ReturnsAtOnceWhenItIsReady) {
    CHECK_EQUAL(1, ::write(out.get(), "x", 1));
    in_coroutine([&] {
        CHECK(!wait_readable(in.get(), 0s));
        CHECK(!wait_writable(out.get(), 0s));
    });
}

TEST(WaitFd, WaitsUntilItCanBeRead) {
    EvThread waiter = go([&] { CHECK(!wait_readable(in.get(), 1h)); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, waiter.state());
    CHECK_EQUAL(1, ::write(out.get(), "x", 1));
    run_ready();
    CHECK(waiter.finished());
}

TEST(WaitFd, WaitsUntilItCanBeWritten) {
    fill_pipe();
    EvThread waiter = go([&] { CHECK(!wait_writable(out.get(), 1h)); });
    run_ready();
    CHECK_EQUAL(EvThreadState::parked, waiter.state());
    empty_pipe();
    run_ready();
    CHECK(waiter.finished());
}

TEST(WaitFd, TheEndIsReadable) {
    EvThread waiter = go([&] { CHECK(!wait_readable(in.get(), 1h)); });
    run_ready();
    out.reset();
    run_ready();
    CHECK(waiter.finished());
}

TEST(WaitFd, TimesOut) {
    in_coroutine([&] {
        const TimePoint begin = loop.now();
        CHECK_EQUAL(NetError::timed_out, wait_readable(in.get(), 10s));
        CHECK_EQUAL(10s, loop.now() - begin);
        CHECK_EQUAL(NetError::timed_out, wait_readable(in.get(), 0s));
    });
}

TEST(WaitFd, MayBeRepeated) {
    in_coroutine([&] {
        for (int i = 0; i < 3; ++i) {
            CHECK_EQUAL(NetError::timed_out, wait_readable(in.get(), 1s));
            go([&] { CHECK_EQUAL(1, ::write(out.get(), "x", 1)); });
            CHECK(!wait_readable(in.get(), 1s));
            empty_pipe();
        }
    });
}

TEST(WaitFd, SeveralMayWaitForTheSame) {
    for (int i = 0; i < 3; ++i)
        go([&] {
            CHECK(!wait_readable(in.get(), 1h));
            ++woken;
        });
    run_ready();
    CHECK_EQUAL(1, ::write(out.get(), "x", 1));
    run_ready();
    CHECK_EQUAL(3, woken);
}

TEST(WaitFd, OneDirectionDoesNotDisturbTheOther) {
    SocketPair pair = unix_pair();
    EvSocket filler(loop, UniqueFd(::dup(pair.near.get())));
    fill(filler);
    go([&] {
        CHECK(!wait_readable(pair.near.get(), 1h));
        ++woken;
    });
    EvThread writer = go([&] { CHECK(!wait_writable(pair.near.get(), 1h)); });
    run_ready();
    CHECK_EQUAL(1, nutils::send_some(pair.far.get(), "x").bytes);
    run_ready();
    CHECK_EQUAL(1, woken);
    CHECK(!writer.finished());
    drain(pair.far.get());
    run_loop();
}

TEST(WaitFd, LeavesTheDescriptorAsItWas) {
    const int before = ::fcntl(in.get(), F_GETFL);
    in_coroutine([&] { CHECK_EQUAL(NetError::timed_out, wait_readable(in.get(), 1s)); });
    CHECK_EQUAL(before, ::fcntl(in.get(), F_GETFL));
}

TEST(WaitFd, WhatIsNotOpenIsEbadf) {
    in.reset();
    in_coroutine([&] {
        CHECK(wait_readable(4000, 1s) == std::errc::bad_file_descriptor);
        CHECK(wait_readable(-1, 1s) == std::errc::bad_file_descriptor);
        CHECK(wait_writable(-1, 0s) == std::errc::bad_file_descriptor);
    });
}

TEST(WaitFd, AFileIsAlwaysReady) {
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    in_coroutine([&] { CHECK(!wait_readable(file.get(), 1s)); });
}

TEST(WaitFd, WhatEpollRefusesIsAnError) {
    const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    faults.answer("poll", 0);  // says that it is not ready
    event_set_log_callback([](int, const char*) {});
    in_coroutine([&] { CHECK(wait_readable(file.get(), 1s) == std::errc::operation_not_permitted); });
    event_set_log_callback(nullptr);
}

TEST(WaitFd, AnEvSocketsDescriptorDisturbsNeither) {
    Connection connection = unix_connection(loop);
    for (int i = 0; i < 3; ++i) {
        go([&] {
            CHECK_EQUAL("x", received(connection.socket, 1h));
            ++woken;
        });
        go([&] {
            CHECK(!wait_readable(connection.socket.fd(), 1h));
            ++woken;
        });
        run_ready();
        connection.peer_sends("x");
        run_loop();
    }
    CHECK_EQUAL(6, woken);
}

TEST(WaitFd, ReportsTheErrorsOfPoll) {
    faults.fail("poll", ENOMEM);
    in_coroutine([&] { CHECK(wait_readable(in.get(), 1s) == std::errc::not_enough_memory); });
}

TEST(WaitFd, InterruptedGoesOn) {
    CHECK_EQUAL(1, ::write(out.get(), "x", 1));
    faults.fail("poll", EINTR, 3);
    in_coroutine([&] { CHECK(!wait_readable(in.get(), 1s)); });
}

TEST(WaitFd, OutsideACoroutineAborts) {
    STRCMP_CONTAINS("use EvLoop::spawn",
                    abort_message([this] { (void)wait_readable(in.get(), 1s); }).c_str());
}
