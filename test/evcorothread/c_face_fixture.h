// What the tests of the C face share: a loop with a few stacks, procedures written as lambdas, and the demand
// that nothing is left behind.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "evcorothread/evthread.h"
#include "test/support/harness.h"

// CHECK_FAILS(EINVAL, EVLOOP_run(nullptr)): the call returns -1 and sets errno.
#define CHECK_FAILS(number, call)                                                         \
    do {                                                                                  \
        errno = 0;                                                                        \
        const int result_of_call = (call);                                                \
        const int errno_of_call = errno;                                                  \
        CHECK_EQUAL(-1, result_of_call);                                                  \
        CHECK_EQUAL(std::string(strerror(number)), std::string(strerror(errno_of_call))); \
    } while (false)

// The same for what returns NULL.
#define CHECK_FAILS_NULL(number, call)                                                    \
    do {                                                                                  \
        errno = 0;                                                                        \
        const bool null_of_call = (call) == nullptr;                                      \
        const int errno_of_call = errno;                                                  \
        CHECK(null_of_call);                                                              \
        CHECK_EQUAL(std::string(strerror(number)), std::string(strerror(errno_of_call))); \
    } while (false)

namespace c_face_test {

// Long enough never to pass in a test that works.
inline timeval soon() { return EVTIMEOUT_ms(5000); }
inline timeval no_time() { return EVTIMEOUT_ms(0); }

// What a call in a coroutine said, to be checked on the test's own stack: a CHECK must not fail on another.
struct Outcome {
    int result = -2;
    int error = 0;
    void operator=(int value) {
        error = value < 0 ? errno : 0;
        result = value;
    }
};
#define CHECK_OUTCOME(expected, expected_errno, outcome)                                            \
    do {                                                                                            \
        CHECK_EQUAL(expected, (outcome).result);                                                    \
        CHECK_EQUAL(std::string(strerror(expected_errno)), std::string(strerror((outcome).error))); \
    } while (false)

class CFace : public test_support::Fixture {
  public:
    using Body = std::function<void(EVTHREAD*, EVSOCKET*)>;

    void setup() override {
        LONGS_EQUAL(0, STACKS_init(&stacks, 4, 16));
        loop = EVLOOP_init(&stacks);
        CHECK(loop != nullptr);
    }
    void teardown() override {
        if (loop != nullptr) LONGS_EQUAL(0, EVLOOP_free(loop));
        LONGS_EQUAL(0, STACKS_in_use(&stacks));
        LONGS_EQUAL(0, STACKS_destroy(&stacks));
        bodies.clear();
    }

    EVTHREAD* make(Body body) {
        bodies.push_back(std::move(body));
        return EVTHREAD_init(loop, run_body, &bodies.back());
    }
    EVTHREAD* start(Body body) {
        EVTHREAD* const thread = make(std::move(body));
        CHECK_EQUAL(0, EVTHREAD_start(thread, nullptr));
        return thread;
    }
    // Started with `fd` as its socket.
    EVTHREAD* start_with(int fd, Body body, int is_connected = 1) {
        EVTHREAD* const thread = make(std::move(body));
        EVSOCKET* const socket = EVSOCKET_init(thread, fd, is_connected);
        CHECK(socket != nullptr);
        CHECK_EQUAL(0, EVTHREAD_start(thread, socket));
        return thread;
    }
    void run_loop() { CHECK_EQUAL(0, EVLOOP_run(loop)); }
    // Makes run_loop() return after so many milliseconds.
    void start_break_in(long milliseconds) {
        EVTIMER_start(EVTIMER_init_one_shot_on_loop(
            loop, 0, EVTIMEOUT_ms(test_support::patience(milliseconds)),
            [](EVTIMER* timer, void* its_loop) {
                EVTIMER_free(timer);
                EVLOOP_break(static_cast<EVLOOP*>(its_loop));
            },
            loop));
    }

    static void run_body(EVTHREAD* thread, EVSOCKET* socket, void* body) {
        (*static_cast<Body*>(body))(thread, socket);
    }

    STACKS stacks{};
    EVLOOP* loop = nullptr;
    std::deque<Body> bodies;
};

// Two connected unix sockets: `near` for the C face, which closes it; `far` for the test.
struct Pair {
    Pair() {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) FAIL("no socketpair");
        near = ends[0];
        far = ends[1];
    }
    Pair(const Pair&) = delete;
    Pair& operator=(const Pair&) = delete;
    ~Pair() { close_far(); }
    void close_far() {
        if (far >= 0) ::close(far);
        far = -1;
    }
    void write(const std::string& text) const {
        CHECK_EQUAL(text.size(), ::send(far, text.data(), text.size(), MSG_NOSIGNAL));
    }
    std::string read() const {
        char buffer[256];
        const ssize_t got = ::recv(far, buffer, sizeof buffer, MSG_DONTWAIT);
        return got < 0 ? std::string(strerror(errno)) : std::string(buffer, static_cast<std::size_t>(got));
    }
    int near = -1;
    int far = -1;
};

}  // namespace c_face_test
