// The C face: sockets.
#include <span>
#include <string_view>

#include "evcorothread/evthread.h"
#include "evcorothread/evthread_internal.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/io_call_internal.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"

using namespace evcorothread;
using namespace evcorothread::c_face;
using nutils::SockAddr;

using State = tagEVSOCKET::State;

tagEVSOCKET::tagEVSOCKET(EVTHREAD& thread, EvSocket stream, State its_state)
    : owner(&thread), socket(std::move(stream)), state(its_state) {
    thread.sockets.push_back(*this);
}

EVSOCKET* EVSOCKET_init(EVTHREAD* thread, int fd, int is_connected) noexcept {
    if (!usable(thread) || fd < -1 || (fd == -1 && is_connected != 0)) return fail_null(EINVAL);
    return guarded<EVSOCKET*>(nullptr, [&]() -> EVSOCKET* {
        // Everything that can fail comes before the descriptor is ours.
        EvSocket empty(thread->loop.loop, nutils::UniqueFd());
        if (fd == -1) return new tagEVSOCKET(*thread, std::move(empty), State::no_descriptor);
        if (const std::error_code error = nutils::set_nonblocking(fd, true))
            return fail_null(nutils::to_errno(error));
        auto* const socket = new tagEVSOCKET(*thread, std::move(empty),
                                             is_connected != 0 ? State::connected : State::unconnected);
        socket->socket.watch()->fd = fd;
        return socket;
    });
}

int EVSOCKET_connect(EVSOCKET* socket, const struct sockaddr* address, socklen_t length,
                     struct timeval timeout) noexcept {
    if (socket == nullptr || !socket->owner->is_current() || address == nullptr) return fail(EINVAL);
    const SockAddr peer = SockAddr::from_sockaddr(address, length);
    if (peer.is_none()) return fail(EINVAL);
    if (this_evthread::canceled()) return fail(ECANCELED);
    return guarded(-1, [&] {
        FdWatch& watch = *socket->socket.watch();
        if (socket->state == State::no_descriptor) {
            auto made = nutils::socket_stream(peer.family());
            if (!made) return fail(made.error().code());
            if (peer.is_ip()) (void)nutils::set_no_delay(made->get(), true);
            watch.fd = made->release();
            socket->state = State::unconnected;
        }
        if (watch.fd < 0) return fail(EBADF);
        if (socket->state == State::connected) return fail(EISCONN);
        socket->state = State::connecting;
        const Deadline deadline = deadline_of(timeout).resolved(watch.loop.precise_now());
        const std::error_code error = connect_watched(watch, peer, deadline);
        socket->state = error ? State::unconnected : State::connected;
        return error ? fail(error) : 0;
    });
}

int EVSOCKET_recv(EVSOCKET* socket, void* buffer, size_t size, int flags, struct timeval timeout) noexcept {
    if (!may_wait(socket) || buffer == nullptr || size == 0 || size > INT_MAX || flags != 0)
        return fail(EINVAL);
    if (socket->above != nullptr) return fail(EBUSY);
    return guarded(-1, [&] {
        const IoResult got = socket->socket.recv({static_cast<char*>(buffer), size}, deadline_of(timeout));
        return got || got.eof() ? static_cast<int>(got.bytes) : fail(got.error);
    });
}

int EVSOCKET_recv_all(EVSOCKET* socket, void* buffer, size_t size, int flags,
                      struct timeval timeout) noexcept {
    return EVSOCKET_recv_all_ex(socket, buffer, size, flags, timeout, nullptr);
}

int EVSOCKET_recv_all_ex(EVSOCKET* socket, void* buffer, size_t size, int flags, struct timeval timeout,
                         size_t* received) noexcept {
    if (received != nullptr) *received = 0;
    if (!may_wait(socket) || (buffer == nullptr && size > 0) || size > INT_MAX || flags != 0)
        return fail(EINVAL);
    if (socket->above != nullptr) return fail(EBUSY);
    return guarded(-1, [&] {
        const IoResult got =
            socket->socket.recv_exact({static_cast<char*>(buffer), size}, deadline_of(timeout));
        if (received != nullptr) *received = got.bytes;
        return got || got.eof() ? static_cast<int>(got.bytes) : fail(got.error);
    });
}

int EVSOCKET_send(EVSOCKET* socket, const void* data, size_t size, int flags,
                  struct timeval timeout) noexcept {
    return EVSOCKET_send_ex(socket, data, size, flags, timeout, nullptr);
}

int EVSOCKET_send_ex(EVSOCKET* socket, const void* data, size_t size, int flags, struct timeval timeout,
                     size_t* sent) noexcept {
    if (sent != nullptr) *sent = 0;
    if (!may_wait(socket) || (data == nullptr && size > 0) || size > INT_MAX) return fail(EINVAL);
    if (socket->above != nullptr) return fail(EBUSY);
    return guarded(-1, [&] {
        const IoResult gone =
            socket->socket.send_all({static_cast<const char*>(data), size}, flags, deadline_of(timeout));
        if (sent != nullptr) *sent = gone.bytes;
        return gone ? static_cast<int>(gone.bytes) : fail(gone.error);
    });
}

int EVSOCKET_shutdown_send(EVSOCKET* socket) noexcept {
    if (!usable(socket)) return fail(EINVAL);
    if (socket->above != nullptr) return fail(EBUSY);
    const IoResult ended = socket->socket.shutdown_send();
    return ended ? 0 : fail(ended.error);
}

int EVSOCKET_set_idle_timeout(EVSOCKET* socket, struct timeval timeout) noexcept {
    if (!usable(socket)) return fail(EINVAL);
    const Duration limit = is_never(timeout) ? Duration::max() : duration_of(timeout);
    if (limit <= Duration::zero()) return fail(EINVAL);
    socket->socket.set_idle_timeout(limit);
    return 0;
}

int EVSOCKET_fd(const EVSOCKET* socket) noexcept {
    if (!usable(socket)) return fail(EINVAL);
    return socket->socket.is_open() ? socket->socket.fd() : fail(EBADF);
}

int EVSOCKET_close(EVSOCKET* socket) noexcept {
    if (!usable(socket)) return fail(EINVAL);
    if (socket->state == State::no_descriptor) socket->state = State::unconnected;  // none will be made
    socket->socket.close();
    return 0;
}

int EVSOCKET_free(EVSOCKET* socket) noexcept {
    if (!usable(socket)) return fail(EINVAL);
    if (socket->state == State::connecting) return fail(EBUSY);
    delete socket;
    return 0;
}
