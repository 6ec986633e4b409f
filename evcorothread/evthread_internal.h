// What stands behind the handles of the C face, and how errors leave it. Internal.
//
// The C face has no logic of its own: it checks arguments, calls the C++ classes, and turns their results
// into -1 or NULL and errno. What it adds is ownership: sockets and timers hang on their EVTHREAD, the rest
// on the EVLOOP.
#pragma once

#include <cerrno>
#include <climits>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>

#include "cutils/deadline.h"
#include "cutils/intrusive.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/evthread.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/ip_address.h"

namespace evcorothread::c_face {

// A handle that its loop frees at the end, when no coroutine is left, unless its own _free comes before.
struct OwnedByLoop : cutils::ListHook<> {
    explicit OwnedByLoop(EVLOOP& its_loop);
    OwnedByLoop(const OwnedByLoop&) = delete;
    OwnedByLoop& operator=(const OwnedByLoop&) = delete;
    virtual ~OwnedByLoop() { unlink(); }

    EVLOOP& loop;
};

// What speaks over a socket: a TLS connection. From then on the socket is used by it alone.
struct OnSocket {
    OnSocket() = default;
    OnSocket(const OnSocket&) = delete;
    OnSocket& operator=(const OnSocket&) = delete;
    virtual ~OnSocket() = default;
};

struct Stacks {
    explicit Stacks(corothread::StackPoolOptions options) : pool(options) {}
    corothread::StackPool pool;
    std::size_t loops = 0;  // that use it
};

}  // namespace evcorothread::c_face

struct tagEVTIMER final : cutils::ListHook<> {
    tagEVTIMER(EVLOOP& loop, int timer_id, cutils::Duration timer_period, bool is_recurrent,
               EVTIMER_PROC timer_proc, void* data);
    ~tagEVTIMER() { unlink(); }

    EVLOOP& owner;
    int id;
    cutils::Duration period;
    bool recurrent;
    EVTIMER_PROC proc;
    void* user_data;
    evcorothread::EvTimer timer;
};

struct tagEVSOCKET final : cutils::ListHook<> {
    // no_descriptor ──▶ unconnected ──▶ connecting ──▶ connected; closing is the EvSocket's affair. A connect
    // that fails leads back to unconnected.
    enum class State { no_descriptor, unconnected, connecting, connected };

    tagEVSOCKET(EVTHREAD& thread, evcorothread::EvSocket stream, State its_state);
    ~tagEVSOCKET() { unlink(); }

    EVTHREAD* owner;
    evcorothread::EvSocket socket;
    State state;
    std::unique_ptr<evcorothread::c_face::OnSocket> above;  // goes before the socket
};

// Not started: on the heap, in its loop's list. Started: on the heap, freed at the end of its coroutine. Made
// by an acceptor, or a bundle: on its coroutine's stack.
struct tagEVTHREAD final : cutils::ListHook<> {
    tagEVTHREAD(EVLOOP& its_loop, EVTHREAD_PROC thread_proc, void* context, std::string_view thread_name);
    ~tagEVTHREAD();  // timers stop, sockets close

    // What its coroutine does: first of all begin().
    void begin();
    void run(EVSOCKET* socket);
    [[nodiscard]] bool is_current() const;

    EVLOOP& loop;
    EVTHREAD_PROC proc;
    void* user_ctx;
    bool started = false;
    bool canceled = false;                     // by EVTHREAD_cancel
    evcorothread::EvThread handle;             // from the start on; not for those on their stack
    evcorothread::ThreadCore* core = nullptr;  // while its coroutine runs
    cutils::List<tagEVTIMER> timers;
    cutils::List<tagEVSOCKET> sockets;
    char name[32];
};

struct tagEVTCPACCEPTOR final : cutils::ListHook<> {
    ~tagEVTCPACCEPTOR() { unlink(); }
    EVLOOP* loop = nullptr;
    std::optional<evcorothread::EvTcpAcceptor> acceptor;
};

struct tagEVLOOP {
    explicit tagEVLOOP(evcorothread::c_face::Stacks& its_stacks) : stacks(its_stacks), loop(its_stacks.pool) {
        ++stacks.loops;
    }
    ~tagEVLOOP();

    evcorothread::c_face::Stacks& stacks;
    evcorothread::EvLoop loop;
    cutils::List<tagEVTHREAD> unstarted;
    cutils::List<tagEVTCPACCEPTOR> acceptors;
    cutils::List<tagEVTIMER> timers;
    cutils::List<evcorothread::c_face::OwnedByLoop> owned;
    bool running = false;
    bool ran = false;
};

namespace evcorothread::c_face {

inline int fail(int number) {
    errno = number;
    return -1;
}
inline int fail(const std::error_code& error) { return fail(nutils::to_errno(error)); }

inline std::nullptr_t fail_null(int number) {
    errno = number;
    return nullptr;
}

// The errno of the exception being handled.
int errno_of_exception() noexcept;

// Runs `f`; when it throws, errno says what, and `failure` is returned. Nothing else stands between C++ and
// C.
template <class Value, class F>
Value guarded(Value failure, F&& f) noexcept {
    try {
        return f();
    } catch (...) {
        errno = errno_of_exception();
        return failure;
    }
}

// Beyond these the sum of both would not fit into 64 bits of nanoseconds.
inline constexpr std::int64_t kNeverSeconds = 9'000'000'000;
inline constexpr std::int64_t kNeverMicroseconds = 200'000'000'000'000;  // six years, of what should be less
                                                                         // than a second

inline bool is_never(const timeval& time) {
    return time.tv_sec >= kNeverSeconds || time.tv_usec >= kNeverMicroseconds;
}

// Before: !is_never(time).
inline Duration duration_of(const timeval& time) {
    if (time.tv_sec <= -kNeverSeconds || time.tv_usec <= -kNeverMicroseconds) return Duration(-1);
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

inline Deadline deadline_of(const timeval& time) {
    return is_never(time) ? Deadline::never : Deadline(duration_of(time));
}

inline bool usable(const EVLOOP* loop) { return loop != nullptr && loop->loop.on_loop_thread(); }
inline bool usable(const EVTHREAD* thread) { return thread != nullptr && usable(&thread->loop); }
inline bool usable(const EVSOCKET* socket) { return socket != nullptr && usable(socket->owner); }

inline bool usable(const OwnedByLoop* handle) { return handle != nullptr && usable(&handle->loop); }

// May a call wait here for something of `loop`? Only in one of its coroutines.
inline bool may_wait_in(const EVLOOP& loop) {
    return this_evthread::in_evthread() && &this_evthread::loop() == &loop.loop;
}
inline bool may_wait(const EVSOCKET* socket) { return socket != nullptr && may_wait_in(socket->owner->loop); }
inline bool may_wait(const OwnedByLoop* handle) { return handle != nullptr && may_wait_in(handle->loop); }

// In the C structure and out of it. An address that makes no sense, and only that, comes out as none.
nutils::SockAddr from_c(const SOCKADDR& address);
void to_c(const nutils::SockAddr& address, SOCKADDR& out);
// False when it is not one.
bool from_c(const IPADDRESS* address, nutils::IpAddress& out);

}  // namespace evcorothread::c_face
