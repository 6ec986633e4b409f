#include "evcorothread/ev_udp_socket.h"

#include <chrono>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/io_call_internal.h"
#include "nutils/socket_options.h"

namespace evcorothread {

using nutils::SockAddr;

EvUdpSocket::EvUdpSocket() = default;
EvUdpSocket::EvUdpSocket(EvUdpSocket&&) noexcept = default;
EvUdpSocket::~EvUdpSocket() { close(); }

EvUdpSocket& EvUdpSocket::operator=(EvUdpSocket&& other) noexcept {
    if (this == &other) return *this;
    close();
    watch_ = std::move(other.watch_);
    file_ = std::exchange(other.file_, {});
    segmentation_ = other.segmentation_;
    return *this;
}

EvUdpSocket::EvUdpSocket(EvLoop& loop, nutils::UniqueFd fd)
    : watch_(std::make_unique<FdWatch>(loop.core(), -1)) {
    loop.core().check_thread();
    watch_->fd = fd.release();
    segmentation_ = nutils::can_coalesce(watch_->fd);
}

cutils::Result<EvUdpSocket> EvUdpSocket::bind(EvLoop& loop, const SockAddr& local,
                                              const UdpOptions& options) {
    cutils::Result<nutils::UniqueFd> fd = nutils::bind_datagram(local, options);
    if (!fd) return fd.error();
    // A kernel without it hands them over one by one.
    if (options.coalesce) (void)nutils::set_coalescing(fd->get(), true);
    nutils::SocketFile file = nutils::SocketFile::of(local);
    EvUdpSocket socket(loop, *std::move(fd));
    socket.file_ = std::move(file);
    return socket;
}

cutils::Result<EvUdpSocket> EvUdpSocket::connect(EvLoop& loop, const SockAddr& peer,
                                                 const UdpOptions& options) {
    cutils::Result<nutils::UniqueFd> fd = nutils::open_datagram(peer.family(), options);
    if (!fd) return cutils::Error(fd.error().code(), fd.error().context() + " for " + peer.to_string());
    if (options.coalesce) (void)nutils::set_coalescing(fd->get(), true);
    if (const std::error_code error = nutils::connect_datagram(fd->get(), peer))
        return cutils::Error(error, "connect to " + peer.to_string());
    return EvUdpSocket(loop, *std::move(fd));
}

std::error_code EvUdpSocket::connect(const SockAddr& peer) {
    if (!is_open()) return NetError::closed;
    return nutils::connect_datagram(watch_->fd, peer);
}

DatagramResult EvUdpSocket::recv_from(std::span<char> buffer, SockAddr& from, Deadline deadline) {
    return receive(buffer, &from, deadline);
}

DatagramResult EvUdpSocket::recv(std::span<char> buffer, Deadline deadline) {
    return receive(buffer, nullptr, deadline);
}

DatagramResult EvUdpSocket::receive(std::span<char> buffer, SockAddr* from, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return {{0, error}, 0};
    if (watch->reader != nullptr) return {{0, NetError::busy}, 0};
    for (bool asked = false;;) {
        if (watch->may_read()) {
            watch->unverified = false;
            const DatagramResult got = nutils::recv_from(watch->fd, buffer, from);
            if (!got.would_block()) return got;
            asked = true;
        }
        if (ask_rather_than_wait(*watch, deadline, asked)) continue;
        if (const std::error_code error = watch->wait_readable(deadline)) return {{0, error}, 0};
    }
}

DatagramResult EvUdpSocket::try_recv_from(std::span<char> buffer, SockAddr& from) {
    if (!is_open()) return {{0, NetError::closed}, 0};
    return nutils::recv_from(watch_->fd, buffer, &from);
}

BatchResult EvUdpSocket::recv_batch(DatagramBatch& batch, Deadline deadline) {
    batch.clear();
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return {0, error};
    if (watch->reader != nullptr) return {0, NetError::busy};
    for (bool asked = false;;) {
        if (watch->may_read()) {
            watch->unverified = false;
            const BatchResult got = nutils::recv_batch(watch->fd, batch);
            // The kernel stopped because there was no more: the next one makes an edge. Or because of an
            // error, which it kept for the next call, and which makes none: drained() sees to that.
            if (got && batch.rooms_used() < batch.rooms()) watch->drained();
            if (!got.would_block()) return got;
            asked = true;
        }
        if (ask_rather_than_wait(*watch, deadline, asked)) continue;
        if (const std::error_code error = watch->wait_readable(deadline)) return {0, error};
    }
}

// Until a datagram may go. The kernel tells when our own buffer has room, or that of the unix socket we are
// connected to; of another unix socket's full queue it says nothing, so that is looked at again and again.
std::error_code EvUdpSocket::wait_to_send(const SockAddr* to, Deadline deadline) {
    FdWatch& watch = *watch_;
    if (to == nullptr || !to->is_unix()) return watch.wait_writable(deadline);
    const TimePoint now = watch.loop.precise_now();
    if (deadline.passed(now)) return NetError::timed_out;
    const Deadline soon = Deadline::earlier(std::chrono::milliseconds(1), deadline, now);
    // Not sooner, though it says "writable": that is our own buffer, which the failed try has just given
    // back.
    std::error_code error;
    do error = watch.wait_writable(soon);
    while (!error);
    return error == NetError::timed_out ? std::error_code() : error;
}

IoResult EvUdpSocket::send_to(std::string_view data, const SockAddr& to, Deadline deadline) {
    return transmit(data, &to, deadline);
}

IoResult EvUdpSocket::send(std::string_view data, Deadline deadline) {
    return transmit(data, nullptr, deadline);
}

IoResult EvUdpSocket::transmit(std::string_view data, const SockAddr* to, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return {0, error};
    if (watch->writer != nullptr) return {0, NetError::busy};
    for (;;) {
        const IoResult sent = nutils::send_to(watch->fd, data, to);
        if (sent) watch->wrote();
        if (!sent.would_block()) return sent;
        deadline = deadline.resolved(watch->loop.precise_now());
        if (const std::error_code error = wait_to_send(to, deadline)) return {0, error};
    }
}

IoResult EvUdpSocket::try_send_to(std::string_view data, const SockAddr& to) {
    if (!is_open()) return {0, NetError::closed};
    return nutils::send_to(watch_->fd, data, &to);
}

BatchResult EvUdpSocket::send_batch(DatagramBatch& batch, std::size_t first, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return {0, error};
    if (watch->writer != nullptr) return {0, NetError::busy};
    std::size_t sent = 0;
    while (first + sent < batch.size()) {
        const BatchResult some = nutils::send_batch(watch->fd, batch, first + sent, segmentation_);
        if (some) watch->wrote();
        sent += some.count;
        if (!some.error) continue;
        if (!some.would_block()) return {sent, some.error};
        deadline = deadline.resolved(watch->loop.precise_now());
        const SockAddr to = batch.peer_of_datagram(first + sent);
        if (const std::error_code error = wait_to_send(&to, deadline)) return {sent, error};
    }
    return {sent, {}};
}

std::error_code EvUdpSocket::join_group(const nutils::IpAddress& group, unsigned interface) {
    return is_open() ? nutils::join_group(watch_->fd, group, interface) : NetError::closed;
}

std::error_code EvUdpSocket::leave_group(const nutils::IpAddress& group, unsigned interface) {
    return is_open() ? nutils::leave_group(watch_->fd, group, interface) : NetError::closed;
}

void EvUdpSocket::close() noexcept {
    if (watch_ == nullptr) return;
    // Closing wakes whoever waits, who may destroy *this only later: wakes switch to nobody.
    watch_->close();
    file_.remove();
}

bool EvUdpSocket::is_open() const { return watch_ != nullptr && watch_->fd >= 0; }
int EvUdpSocket::fd() const { return watch_ != nullptr ? watch_->fd : -1; }
cutils::Result<SockAddr> EvUdpSocket::local() const { return SockAddr::local_of(fd()); }
cutils::Result<SockAddr> EvUdpSocket::peer() const { return SockAddr::peer_of(fd()); }

nutils::UniqueFd EvUdpSocket::release() {
    if (!is_open()) return nutils::UniqueFd();
    EVC_CHECK(watch_->reader == nullptr && watch_->writer == nullptr,
              "EvUdpSocket::release() while a coroutine waits on it");
    file_ = {};
    return nutils::UniqueFd(watch_->release());
}

}  // namespace evcorothread
