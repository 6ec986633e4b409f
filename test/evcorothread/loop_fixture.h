// LoopFixture: a loop for every test, coroutines whose failed checks are the test's, and nothing left behind.
#pragma once

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "corothread/stack_pool.h"
#include "cutils/clock.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "test/evcorothread/shuffle_seed.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"

namespace evcorothread {

inline SimpleString StringFrom(EvThreadState state) { return to_string(state); }
inline SimpleString StringFrom(Wake cause) { return to_string(cause); }

}  // namespace evcorothread

namespace test_support {

using namespace evcorothread;
using namespace std::chrono_literals;
using corothread::StackPool;
using nutils::SockAddr;
using nutils::UniqueFd;

// An exception thrown in a coroutine, a failed CHECK among them, ends that coroutine and nothing else. What
// is started by go() or in_coroutine() hands it to the test: the first one leaves run_loop(), run_ready(),
// advance() or until().
//
//   TEST_GROUP_BASE(Delay, LoopFixture) {};
//   TEST(Delay, LastsAsLongAsAsked) {
//       in_coroutine([&] {
//           const TimePoint begin = loop.now();
//           CHECK(!this_evthread::delay(1h));     // no time passes outside
//           CHECK_EQUAL(1h, loop.now() - begin);
//       });
//   }
//
// The clock is virtual. With it, a deadline passes as soon as nothing is ready: data from another OS thread,
// and TCP under load, may come later than that. Such tests take RealTimeFixture, or wait for ever.
class LoopFixture : public Fixture {
  public:
    explicit LoopFixture(LoopClock clock = LoopClock::virtual_time, std::size_t count = 16)
        : stacks({.count = count, .pages = 16}), loop(stacks, any_order({.clock = clock})) {
        ::alarm(patience(120U));  // a test that hangs must not hang those behind it
    }
    ~LoopFixture() override { ::alarm(0); }

    void teardown() override {
        const std::size_t left = loop.thread_count();
        if (left > 0) (void)loop.shutdown(10s);
        LONGS_EQUAL_TEXT(0, left, "coroutines left behind");
        LONGS_EQUAL_TEXT(0, stacks.in_use(), "stacks left behind");
    }

    template <class F>
    EvThread go(std::string_view name, F f) {
        return loop.spawn(name, [this, f = std::move(f)]() mutable { guarded(f); });
    }
    template <class F>
    EvThread go(F f) {
        return go("test", std::move(f));
    }

    // Runs `f` in a coroutine, and the loop until nothing is left to do.
    template <class F>
    void in_coroutine(F f) {
        EvThread test = go(std::move(f));
        run_loop();
    }

    void run_loop() {
        loop.run();
        check();
    }
    void run_ready() {
        loop.run_ready();
        check();
    }
    void advance(Duration step) {
        loop.advance(step);
        check();
    }
    // Runs what is ready until `done`, at most five seconds: for what the kernel, or another OS thread, does
    // meanwhile.
    template <class Done>
    void until(Done&& done) {
        const TimePoint limit = cutils::monotonic_now() + patience(5s);
        while (!done()) {
            CHECK_TEXT(cutils::monotonic_now() < limit, "it did not happen in time");
            run_ready();
            ::sched_yield();
        }
    }

    StackPool stacks;
    EvLoop loop;

  private:
    template <class F>
    void guarded(F& f) {
        try {
            f();
        } catch (...) {
            if (!failure_) failure_ = std::current_exception();
            loop.stop();
        }
    }
    void check() {
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    }
    std::exception_ptr failure_;
};

class RealTimeFixture : public LoopFixture {
  public:
    RealTimeFixture() : LoopFixture(LoopClock::monotonic) {}
};

// Lets real time pass until `end`, without the kernel's help: a few milliseconds at most.
inline void spin_until(TimePoint end) {
    while (cutils::monotonic_now() < end) continue;
}

// A coroutine's socket, and its peer's bare descriptor.
struct Connection {
    EvSocket socket;
    UniqueFd peer;

    void peer_sends(std::string_view text) const {
        CHECK_EQUAL(text.size(), nutils::send_some(peer.get(), text).bytes);
    }
    // What has arrived at the peer, at most as much as a buffer holds.
    [[nodiscard]] std::string peer_gets() const {
        std::string text(1 << 20, '\0');
        text.resize(nutils::recv_some(peer.get(), text).bytes);
        return text;
    }
    void peer_closes() { peer.reset(); }
};

inline Connection unix_connection(EvLoop& loop) {
    SocketPair pair = unix_pair();
    return {EvSocket(loop, std::move(pair.near)), std::move(pair.far)};
}
inline Connection tcp_connection(EvLoop& loop) {
    SocketPair pair = tcp_pair();
    return {EvSocket(loop, std::move(pair.near)), std::move(pair.far)};
}

// Sends until the kernel takes no more; returns how much.
inline std::size_t fill(EvSocket& socket) {
    const std::string block(64 * 1024, 'f');
    std::size_t sent = 0;
    while (const IoResult some = socket.try_send(block)) sent += some.bytes;
    return sent;
}
// Receives until nothing is there; returns how much.
inline std::size_t drain(int fd) {
    std::string block(64 * 1024, '\0');
    std::size_t got = 0;
    while (const IoResult some = nutils::recv_some(fd, block)) got += some.bytes;
    return got;
}

// The text of `recv`, or of the error that came instead.
inline std::string received(EvSocket& socket, Deadline deadline, std::size_t size = 4096) {
    std::string text(size, '\0');
    const IoResult got = socket.recv(text, deadline);
    if (!got) return std::string("<").append(got.error.message()).append(">");
    text.resize(got.bytes);
    return text;
}

// CPU time that the calling OS thread has used.
inline Duration cpu_time() {
    rusage usage = {};
    ::getrusage(RUSAGE_THREAD, &usage);
    const auto of = [](const timeval& t) {
        return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

}  // namespace test_support
