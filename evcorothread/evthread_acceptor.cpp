// The C face: acceptors.
#include <fcntl.h>
#include <sys/socket.h>

#include <memory>

#include "evcorothread/evthread.h"
#include "evcorothread/evthread_internal.h"
#include "nutils/sock_addr.h"
#include "nutils/socket_options.h"

using namespace evcorothread;
using namespace evcorothread::c_face;

namespace {

// What an acceptor asks for each connection: one of the two.
struct Factory {
    EVTHREAD_FACTORY plain = nullptr;
    EVTHREAD_FACTORY_CTX with_ctx = nullptr;
    void* factory_ctx = nullptr;

    [[nodiscard]] bool is_none() const { return plain == nullptr && with_ctx == nullptr; }
    int operator()(int fd, EVTHREAD_PROC* proc, void** ctx) const {
        return plain != nullptr ? plain(fd, proc, ctx) : with_ctx(factory_ctx, fd, proc, ctx);
    }
};

constexpr const char* kConnection = "connection";

// A connection's life, on its own coroutine.
void serve(EVLOOP& loop, const Factory& factory, EvSocket accepted) {
    tagEVTHREAD thread(loop, nullptr, nullptr, kConnection);
    auto* const socket = new tagEVSOCKET(thread, std::move(accepted), tagEVSOCKET::State::connected);
    if (factory(socket->socket.fd(), &thread.proc, &thread.user_ctx) != 0 || thread.proc == nullptr) return;
    thread.run(socket);
}

bool good_size(int bytes) { return bytes >= -1; }

// `make(handler, options)` makes the C++ acceptor.
template <class Make>
EVTCPACCEPTOR* make_acceptor(EVLOOP* loop, const Factory& factory, int recv_size, int send_size,
                             Make&& make) {
    if (!usable(loop) || factory.is_none() || !good_size(recv_size) || !good_size(send_size))
        return fail_null(EINVAL);
    return guarded<EVTCPACCEPTOR*>(nullptr, [&]() -> EVTCPACCEPTOR* {
        auto made = std::make_unique<EVTCPACCEPTOR>();
        AcceptOptions options;
        options.name = kConnection;
        options.recv_buffer = recv_size;
        options.send_buffer = send_size;
        auto acceptor =
            make([loop, factory](EvSocket socket) { serve(*loop, factory, std::move(socket)); }, options);
        if (!acceptor) return fail_null(nutils::to_errno(acceptor.error().code()));
        made->acceptor.emplace(*std::move(acceptor));
        made->loop = loop;
        loop->acceptors.push_back(*made);
        return made.release();
    });
}

EVTCPACCEPTOR* listen(EVLOOP* loop, const SOCKADDR* address, int backlog, const Factory& factory,
                      int recv_size, int send_size) {
    if (address == nullptr || backlog < 0) return fail_null(EINVAL);
    const nutils::SockAddr local = from_c(*address);
    if (local.is_none()) return fail_null(EINVAL);
    return make_acceptor(loop, factory, recv_size, send_size, [&](auto handler, AcceptOptions& options) {
        options.backlog = backlog;
        return EvTcpAcceptor::listen(loop->loop, local, std::move(handler), std::move(options));
    });
}

std::error_code last_error() { return {errno, std::generic_category()}; }

// A second descriptor of the listener, so that the caller's is untouched when something fails.
cutils::Result<nutils::UniqueFd> copy_of_listener(int fd, int recv_size, int send_size) {
    if (const std::error_code error = nutils::check_listens(fd)) return error;
    // What is accepted inherits the sizes.
    if (recv_size >= 0)
        if (const std::error_code error = nutils::set_recv_buffer(fd, recv_size)) return error;
    if (send_size >= 0)
        if (const std::error_code error = nutils::set_send_buffer(fd, send_size)) return error;
    nutils::UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!copy) return last_error();
    return copy;
}

bool usable(const EVTCPACCEPTOR* acceptor) { return acceptor != nullptr && c_face::usable(acceptor->loop); }

}  // namespace

EVTCPACCEPTOR* EVTCPACCEPTOR_init_ex(EVLOOP* loop, const SOCKADDR* address, int backlog,
                                     EVTHREAD_FACTORY factory, int recv_size, int send_size) noexcept {
    return listen(loop, address, backlog, {.plain = factory}, recv_size, send_size);
}

EVTCPACCEPTOR* EVTCPACCEPTOR_init_ctx(EVLOOP* loop, const SOCKADDR* address, int backlog,
                                      EVTHREAD_FACTORY_CTX factory, void* factory_ctx, int recv_size,
                                      int send_size) noexcept {
    return listen(loop, address, backlog, {.with_ctx = factory, .factory_ctx = factory_ctx}, recv_size,
                  send_size);
}

namespace {

EVTCPACCEPTOR* adopt(EVLOOP* loop, int fd, const Factory& factory, int recv_size, int send_size) {
    if (fd < 0) return fail_null(EINVAL);
    EVTCPACCEPTOR* const acceptor = make_acceptor(
        loop, factory, recv_size, send_size,
        [&](auto handler, AcceptOptions& options) -> cutils::Result<EvTcpAcceptor> {
            auto copy = copy_of_listener(fd, recv_size, send_size);
            if (!copy) return copy.error();
            return EvTcpAcceptor::adopt(loop->loop, *std::move(copy), std::move(handler), std::move(options));
        });
    if (acceptor != nullptr) nutils::close_fd(fd);
    return acceptor;
}

}  // namespace

EVTCPACCEPTOR* EVTCPACCEPTOR_init(EVLOOP* loop, int fd, EVTHREAD_FACTORY factory, int recv_size,
                                  int send_size) noexcept {
    return adopt(loop, fd, {.plain = factory}, recv_size, send_size);
}

EVTCPACCEPTOR* EVTCPACCEPTOR_init_fd_ctx(EVLOOP* loop, int fd, EVTHREAD_FACTORY_CTX factory,
                                         void* factory_ctx, int recv_size, int send_size) noexcept {
    return adopt(loop, fd, {.with_ctx = factory, .factory_ctx = factory_ctx}, recv_size, send_size);
}

int EVTCPACCEPTOR_address(const EVTCPACCEPTOR* acceptor, SOCKADDR* address) noexcept {
    if (!usable(acceptor) || address == nullptr) return fail(EINVAL);
    to_c(acceptor->acceptor->local_address(), *address);
    return 0;
}

int EVTCPACCEPTOR_port(const EVTCPACCEPTOR* acceptor) noexcept {
    if (!usable(acceptor)) return fail(EINVAL);
    return acceptor->acceptor->local_address().port();
}

long long EVTCPACCEPTOR_accepted(const EVTCPACCEPTOR* acceptor) noexcept {
    if (!usable(acceptor)) return fail(EINVAL);
    return static_cast<long long>(acceptor->acceptor->accepted());
}

int EVTCPACCEPTOR_close(EVTCPACCEPTOR* acceptor) noexcept {
    if (!usable(acceptor)) return fail(EINVAL);
    delete acceptor;
    return 0;
}
