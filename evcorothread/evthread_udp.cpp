// The C face: datagrams.
#include "evcorothread/evthread_udp.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <string_view>
#include <utility>

#include "evcorothread/ev_udp_socket.h"
#include "evcorothread/evthread_internal.h"
#include "nutils/socket_options.h"

using namespace evcorothread;
using namespace evcorothread::c_face;
using nutils::SockAddr;

struct tagEVUDP final : OwnedByLoop {
    tagEVUDP(EVLOOP& its_loop, EvUdpSocket its_socket)
        : OwnedByLoop(its_loop), socket(std::move(its_socket)) {}
    EvUdpSocket socket;
};

struct tagEVUDPBATCH {
    tagEVUDPBATCH(std::size_t count, std::size_t size) : batch(count, size), next(batch.begin()) {}
    void rewind() { next = batch.begin(); }

    DatagramBatch batch;
    DatagramBatch::Iterator next;
};

namespace {

// Zero is usual.
UdpOptions options_of(const EVUDP_OPTIONS* options) {
    UdpOptions made;
    if (options == nullptr) return made;
    const auto unless_zero = [](int value) { return value != 0 ? value : -1; };
    made.recv_buffer = unless_zero(options->recv_buffer);
    made.send_buffer = unless_zero(options->send_buffer);
    made.broadcast = options->broadcast != 0;
    made.reuse_address = options->reuse_address != 0;
    made.reuse_port = options->reuse_port != 0;
    made.ipv6_only = options->dual_stack == 0;
    made.coalesce = options->coalesce != 0;
    made.permissions = unless_zero(options->permissions);
    return made;
}

bool make_sense(const EVUDP_OPTIONS* options) {
    return options == nullptr ||
           (options->recv_buffer >= 0 && options->send_buffer >= 0 && options->permissions >= 0);
}

template <class Make>
EVUDP* make_socket(EVLOOP* loop, const SOCKADDR* address, const EVUDP_OPTIONS* options, Make&& make) {
    if (!usable(loop) || address == nullptr || !make_sense(options)) return fail_null(EINVAL);
    return guarded<EVUDP*>(nullptr, [&]() -> EVUDP* {
        const SockAddr where = from_c(*address);
        if (where.is_none()) return fail_null(EINVAL);
        cutils::Result<EvUdpSocket> socket = make(where, options_of(options));
        if (!socket) return fail_null(nutils::to_errno(socket.error().code()));
        return new tagEVUDP(*loop, *std::move(socket));
    });
}

// None for NULL. False when it is not one.
bool target_of(const SOCKADDR* address, SockAddr& out) {
    if (address == nullptr) return true;
    out = from_c(*address);
    return !out.is_none();
}

std::string_view bytes(const void* data, std::size_t size) { return {static_cast<const char*>(data), size}; }

bool is_room(const void* buffer, std::size_t size) {
    return (buffer != nullptr || size == 0) && size <= INT_MAX;
}

int outcome(const DatagramResult& got, const SockAddr& sender, SOCKADDR* from, std::size_t* received,
            std::size_t* full_size) {
    const bool came = got || got.error == NetError::too_long;
    if (received != nullptr) *received = got.bytes;
    if (full_size != nullptr) *full_size = came ? got.full_size : 0;
    if (came && from != nullptr) to_c(sender, *from);
    return got ? static_cast<int>(got.bytes) : fail(got.error);
}

int outcome(const IoResult& sent) { return sent ? static_cast<int>(sent.bytes) : fail(sent.error); }

int change_group(EVUDP* udp, const IPADDRESS* group, unsigned interface_index,
                 std::error_code (EvUdpSocket::*change)(const nutils::IpAddress&, unsigned)) {
    nutils::IpAddress address;
    if (!usable(udp) || !from_c(group, address)) return fail(EINVAL);
    return guarded(-1, [&] {
        const std::error_code error = (udp->socket.*change)(address, interface_index);
        return error ? fail(error) : 0;
    });
}

}  // namespace

// ---- EVUDP ----

EVUDP* EVUDP_bind(EVLOOP* loop, const SOCKADDR* local, const EVUDP_OPTIONS* options) noexcept {
    return make_socket(loop, local, options, [loop](const SockAddr& where, const UdpOptions& wanted) {
        return EvUdpSocket::bind(loop->loop, where, wanted);
    });
}

EVUDP* EVUDP_connect(EVLOOP* loop, const SOCKADDR* peer, const EVUDP_OPTIONS* options) noexcept {
    return make_socket(loop, peer, options, [loop](const SockAddr& where, const UdpOptions& wanted) {
        return EvUdpSocket::connect(loop->loop, where, wanted);
    });
}

EVUDP* EVUDP_init(EVLOOP* loop, int fd) noexcept {
    if (!usable(loop) || fd < 0) return fail_null(EINVAL);
    return guarded<EVUDP*>(nullptr, [&]() -> EVUDP* {
        int type = 0;
        socklen_t size = sizeof type;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return nullptr;
        if (type != SOCK_DGRAM) return fail_null(EINVAL);
        if (const std::error_code error = nutils::set_nonblocking(fd, true))
            return fail_null(nutils::to_errno(error));
        // A second descriptor, so that the caller's is untouched when something fails.
        nutils::UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!copy) return nullptr;
        auto* const udp = new tagEVUDP(*loop, EvUdpSocket(loop->loop, std::move(copy)));
        nutils::close_fd(fd);
        return udp;
    });
}

int EVUDP_set_peer(EVUDP* udp, const SOCKADDR* peer) noexcept {
    SockAddr target;
    if (!usable(udp) || !target_of(peer, target)) return fail(EINVAL);
    return guarded(-1, [&] {
        const std::error_code error = udp->socket.connect(target);
        return error ? fail(error) : 0;
    });
}

int EVUDP_recv_from(EVUDP* udp, void* buffer, size_t size, SOCKADDR* from, struct timeval timeout) noexcept {
    return EVUDP_recv_from_ex(udp, buffer, size, from, timeout, nullptr, nullptr);
}

int EVUDP_recv_from_ex(EVUDP* udp, void* buffer, size_t size, SOCKADDR* from, struct timeval timeout,
                       size_t* received, size_t* full_size) noexcept {
    if (received != nullptr) *received = 0;
    if (full_size != nullptr) *full_size = 0;
    if (!may_wait(udp) || !is_room(buffer, size)) return fail(EINVAL);
    return guarded(-1, [&] {
        SockAddr sender;
        const DatagramResult got =
            udp->socket.recv_from({static_cast<char*>(buffer), size}, sender, deadline_of(timeout));
        return outcome(got, sender, from, received, full_size);
    });
}

int EVUDP_try_recv_from(EVUDP* udp, void* buffer, size_t size, SOCKADDR* from) noexcept {
    if (!usable(udp) || !is_room(buffer, size)) return fail(EINVAL);
    SockAddr sender;
    const DatagramResult got = udp->socket.try_recv_from({static_cast<char*>(buffer), size}, sender);
    return outcome(got, sender, from, nullptr, nullptr);
}

int EVUDP_send_to(EVUDP* udp, const void* data, size_t size, const SOCKADDR* to,
                  struct timeval timeout) noexcept {
    SockAddr target;
    if (!may_wait(udp) || !is_room(data, size) || !target_of(to, target)) return fail(EINVAL);
    return guarded(-1, [&] {
        const Deadline deadline = deadline_of(timeout);
        return outcome(to == nullptr ? udp->socket.send(bytes(data, size), deadline)
                                     : udp->socket.send_to(bytes(data, size), target, deadline));
    });
}

int EVUDP_try_send_to(EVUDP* udp, const void* data, size_t size, const SOCKADDR* to) noexcept {
    SockAddr target;
    if (!usable(udp) || !is_room(data, size) || !target_of(to, target)) return fail(EINVAL);
    if (to != nullptr) return outcome(udp->socket.try_send_to(bytes(data, size), target));
    if (!udp->socket.is_open()) return fail(EBADF);
    return outcome(nutils::send_to(udp->socket.fd(), bytes(data, size)));
}

int EVUDP_join_group(EVUDP* udp, const IPADDRESS* group, unsigned interface_index) noexcept {
    return change_group(udp, group, interface_index, &EvUdpSocket::join_group);
}

int EVUDP_leave_group(EVUDP* udp, const IPADDRESS* group, unsigned interface_index) noexcept {
    return change_group(udp, group, interface_index, &EvUdpSocket::leave_group);
}

int EVUDP_address(const EVUDP* udp, SOCKADDR* address) noexcept {
    if (!usable(udp) || address == nullptr) return fail(EINVAL);
    return guarded(-1, [&] {
        const cutils::Result<SockAddr> local = udp->socket.local();
        if (!local) return fail(local.error().code());
        to_c(*local, *address);
        return 0;
    });
}

int EVUDP_port(const EVUDP* udp) noexcept {
    SOCKADDR address;
    return EVUDP_address(udp, &address) == 0 ? SOCKADDR_port(&address) : -1;
}

int EVUDP_fd(const EVUDP* udp) noexcept {
    if (!usable(udp)) return fail(EINVAL);
    return udp->socket.is_open() ? udp->socket.fd() : fail(EBADF);
}

int EVUDP_close(EVUDP* udp) noexcept {
    if (!usable(udp)) return fail(EINVAL);
    udp->socket.close();
    return 0;
}

int EVUDP_free(EVUDP* udp) noexcept {
    if (!usable(udp)) return fail(EINVAL);
    delete udp;
    return 0;
}

// ---- EVUDPBATCH ----

EVUDPBATCH* EVUDPBATCH_init(int count, size_t size) noexcept {
    if (count <= 0 || size == 0 || size > DatagramBatch::kCoalesced) return fail_null(EINVAL);
    return guarded<EVUDPBATCH*>(nullptr,
                                [&] { return new tagEVUDPBATCH(static_cast<std::size_t>(count), size); });
}

int EVUDPBATCH_free(EVUDPBATCH* batch) noexcept {
    if (batch == nullptr) return fail(EINVAL);
    delete batch;
    return 0;
}

int EVUDPBATCH_size(const EVUDPBATCH* batch) noexcept {
    return batch != nullptr ? static_cast<int>(batch->batch.size()) : fail(EINVAL);
}

int EVUDPBATCH_clear(EVUDPBATCH* batch) noexcept {
    if (batch == nullptr) return fail(EINVAL);
    batch->batch.clear();
    batch->rewind();
    return 0;
}

int EVUDPBATCH_add(EVUDPBATCH* batch, const void* data, size_t size, const SOCKADDR* to) noexcept {
    SockAddr target;
    if (batch == nullptr || !is_room(data, size) || !target_of(to, target)) return fail(EINVAL);
    const bool added = batch->batch.add(bytes(data, size), target);
    batch->rewind();
    return added ? 0 : fail(ENOSPC);
}

int EVUDPBATCH_next(EVUDPBATCH* batch, EVUDP_DATAGRAM* datagram) noexcept {
    if (batch == nullptr || datagram == nullptr) return fail(EINVAL);
    if (batch->next == batch->batch.end()) return 0;
    const DatagramBatch::Datagram& one = *batch->next;
    datagram->data = one.data().data();
    datagram->size = one.data().size();
    datagram->full_size = one.full_size();
    to_c(one.peer(), datagram->peer);
    ++batch->next;
    return 1;
}

int EVUDPBATCH_rewind(EVUDPBATCH* batch) noexcept {
    if (batch == nullptr) return fail(EINVAL);
    batch->rewind();
    return 0;
}

int EVUDP_recv_batch(EVUDP* udp, EVUDPBATCH* batch, struct timeval timeout) noexcept {
    if (!may_wait(udp) || batch == nullptr) return fail(EINVAL);
    return guarded(-1, [&] {
        const BatchResult got = udp->socket.recv_batch(batch->batch, deadline_of(timeout));
        batch->rewind();
        return got ? static_cast<int>(batch->batch.size()) : fail(got.error);
    });
}

int EVUDP_send_batch(EVUDP* udp, EVUDPBATCH* batch, int first, struct timeval timeout,
                     size_t* sent) noexcept {
    if (sent != nullptr) *sent = 0;
    if (!may_wait(udp) || batch == nullptr || first < 0) return fail(EINVAL);
    return guarded(-1, [&] {
        const BatchResult gone =
            udp->socket.send_batch(batch->batch, static_cast<std::size_t>(first), deadline_of(timeout));
        if (sent != nullptr) *sent = gone.count;
        return gone ? static_cast<int>(gone.count) : fail(gone.error);
    });
}
