#include "evcorothread/ev_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/byte_turns_internal.h"
#include "evcorothread/fd_watch_internal.h"
#include "evcorothread/io_call_internal.h"
#include "nutils/iovecs.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"

namespace evcorothread {

EvSocket::EvSocket() = default;
EvSocket::EvSocket(std::unique_ptr<FdWatch> watch) : watch_(std::move(watch)) {}
EvSocket::EvSocket(EvSocket&&) noexcept = default;
EvSocket& EvSocket::operator=(EvSocket&&) noexcept = default;
EvSocket::~EvSocket() = default;

EvSocket::EvSocket(EvLoop& loop, nutils::UniqueFd fd) : watch_(std::make_unique<FdWatch>(loop.core(), -1)) {
    loop.core().check_thread();
    watch_->fd = fd.release();
}

namespace {

IoResult failed(const std::error_code& error, std::size_t bytes = 0) { return {bytes, error}; }

IoResult recv_now(FdWatch& watch, std::span<char> buffer) {
    watch.unverified = false;
    const IoResult got = nutils::recv_some(watch.fd, buffer);
    if (got.bytes > 0) {
        if (got.bytes < buffer.size()) watch.drained();
    } else {
        watch.readable = !got.would_block();  // an end or an error stays, and makes no edge again
    }
    return got;
}

// Tries `send_now(bytes sent so far)` until it moves something, waiting when the kernel's buffer is full.
template <class SendNow>
IoResult send_when_possible(FdWatch* watch, Deadline deadline, SendNow&& send_now) {
    for (;;) {
        const IoResult sent = send_now();
        if (!sent.error) {
            watch->wrote();
            return sent;
        }
        if (!sent.would_block()) return sent;
        deadline = deadline.resolved(watch->loop.precise_now());
        if (const std::error_code error = watch->wait_writable(deadline)) return failed(error);
    }
}

// The kernel did not take all of `data` at once: `first` is what it said.
[[gnu::noinline]] IoResult send_rest(FdWatch& watch, std::string_view data, IoResult first, int flags,
                                     Deadline deadline) {
    if (first.error && !first.would_block()) return first;
    std::size_t sent = first.bytes;
    // The deadline is for the whole call: counted from the first wait, if there is one.
    deadline = deadline.resolved(watch.loop.precise_now());
    while (sent < data.size()) {
        const IoResult some = send_when_possible(
            &watch, deadline, [&] { return nutils::send_some(watch.fd, data.substr(sent), flags); });
        sent += some.bytes;
        if (some.error) return failed(some.error, sent);
    }
    return {sent, {}};
}

// Errors: those of a wait; after `closed` the watch may be gone.
std::error_code let_others_run(FdWatch& watch, Deadline& deadline) {
    deadline = deadline.resolved(watch.loop.precise_now());
    return watch.let_others_run(deadline);
}

// For a file that sendfile(2) does not take.
[[gnu::noinline]] IoResult send_by_reading(FdWatch& watch, int file, off_t offset, std::size_t count,
                                           Deadline deadline) {
    constexpr std::size_t kPiece = 64 * 1024;
    const auto buffer = std::make_unique_for_overwrite<char[]>(kPiece);
    deadline = deadline.resolved(watch.loop.precise_now());
    std::size_t sent = 0;
    ByteTurns turns;
    while (sent < count) {
        if (turns.is_over(sent))
            if (const std::error_code error = let_others_run(watch, deadline)) return failed(error, sent);
        const IoResult got = nutils::read_at(file, {buffer.get(), std::min(kPiece, count - sent)},
                                             offset + static_cast<off_t>(sent));
        if (got.error) return failed(got.error, sent);
        const IoResult some =
            send_rest(watch, {buffer.get(), got.bytes}, IoResult{0, NetError::would_block}, 0, deadline);
        sent += some.bytes;
        if (some.error) return failed(some.error, sent);
    }
    return {sent, {}};
}

}  // namespace

std::error_code connect_watched(FdWatch& watch, const nutils::SockAddr& peer, Deadline deadline) {
    std::error_code error = nutils::connect_start(watch.fd, peer);
    // A unix listener with a full queue has not even begun: there is nothing to wait on but time.
    while (error == NetError::would_block) {
        const TimePoint now = watch.loop.precise_now();
        if (deadline.passed(now)) return NetError::timed_out;
        const Deadline soon = Deadline::earlier(std::chrono::milliseconds(1), deadline, now);
        if (const std::error_code stopped = this_evthread::delay(soon)) return stopped;
        if (watch.fd < 0) return NetError::closed;
        error = nutils::connect_start(watch.fd, peer);
    }
    while (error == NetError::in_progress) {
        if (const std::error_code waited = watch.wait_writable(deadline)) return waited;
        error = nutils::connect_result(watch.fd);
    }
    return error;
}

cutils::Result<EvSocket> EvSocket::connect(EvLoop& loop, const nutils::SockAddr& peer, Deadline deadline) {
    return connect(loop, peer, nutils::ConnectOptions(), deadline);
}

cutils::Result<EvSocket> EvSocket::connect(EvLoop& loop, const nutils::SockAddr& peer,
                                           const nutils::ConnectOptions& options, Deadline deadline) {
    deadline = deadline.resolved(loop.precise_now());
    cutils::Result<nutils::UniqueFd> fd = nutils::open_stream(peer, options);
    if (!fd) return fd.error();
    return connect(loop, *std::move(fd), peer, deadline);
}

cutils::Result<EvSocket> EvSocket::connect(EvLoop& loop, nutils::UniqueFd fd, const nutils::SockAddr& peer,
                                           Deadline deadline) {
    deadline = deadline.resolved(loop.precise_now());
    if (const std::error_code error = nutils::set_nonblocking(fd.get(), true))
        return nutils::connect_error(error, peer);
    EvSocket socket(loop, std::move(fd));
    std::error_code error = refusal(socket.watch());
    if (!error) error = connect_watched(*socket.watch(), peer, deadline);
    if (error) return nutils::connect_error(error, peer);
    return socket;
}

IoResult EvSocket::recv(std::span<char> buffer, Deadline deadline) {
    EVC_CHECK(!buffer.empty(), "EvSocket::recv() into an empty buffer");
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (watch->reader != nullptr) return failed(NetError::busy);
    for (bool asked = false;;) {
        if (watch->may_read()) {
            const IoResult got = recv_now(*watch, buffer);
            if (!got.would_block()) return got;
            asked = true;
        }
        if (ask_rather_than_wait(*watch, deadline, asked)) continue;
        if (const std::error_code error = watch->wait_readable(deadline)) return failed(error);
    }
}

IoResult EvSocket::try_recv(std::span<char> buffer) {
    EVC_CHECK(!buffer.empty(), "EvSocket::try_recv() into an empty buffer");
    if (!is_open()) return failed(NetError::closed);
    if (!watch_->may_read() && watch_->registered) return failed(NetError::would_block);
    const IoResult got = recv_now(*watch_, buffer);
    if (got.bytes > 0) [[likely]]
        return got;
    // From now on the kernel tells when there is more, or the next call asks it again.
    if (got.would_block()) (void)watch_->ensure_registered();
    return got;
}

bool EvSocket::may_recv() const { return watch_ != nullptr && watch_->may_read(); }

IoResult EvSocket::send(std::string_view data, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (watch->writer != nullptr) return failed(NetError::busy);
    return send_when_possible(watch, deadline, [&] { return nutils::send_some(watch->fd, data); });
}

IoResult EvSocket::sendv(std::span<const iovec> pieces, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (watch->writer != nullptr) return failed(NetError::busy);
    return send_when_possible(watch, deadline, [&] { return nutils::sendv_some(watch->fd, pieces); });
}

IoResult EvSocket::try_send(std::string_view data, int flags) {
    if (!is_open()) return failed(NetError::closed);
    const IoResult sent = nutils::send_some(watch_->fd, data, flags);
    if (!sent.error) watch_->wrote();
    return sent;
}

IoResult EvSocket::try_sendv(std::span<const iovec> pieces) {
    if (!is_open()) return failed(NetError::closed);
    const IoResult sent = nutils::sendv_some(watch_->fd, pieces);
    if (!sent.error) watch_->wrote();
    return sent;
}

IoResult EvSocket::try_sendfile(int file, off_t& offset, std::size_t count) {
    if (!is_open()) return failed(NetError::closed);
    const IoResult sent = nutils::sendfile_some(watch_->fd, file, offset, count);
    if (!sent.error) watch_->wrote();
    return sent;
}

IoResult EvSocket::send_all(std::string_view data, Deadline deadline) { return send_all(data, 0, deadline); }

IoResult EvSocket::send_all(std::string_view data, int flags, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (watch->writer != nullptr) return failed(NetError::busy);
    const IoResult first = nutils::send_some(watch->fd, data, flags);
    if (first.bytes == data.size() && !first.error) [[likely]] {
        watch->wrote();
        return first;
    }
    return send_rest(*watch, data, first, flags, deadline);
}

IoResult EvSocket::send_all_v(std::span<iovec> pieces, Deadline deadline) {
    return send_all_v(pieces, 0, deadline);
}

IoResult EvSocket::send_all_v(std::span<iovec> pieces, int flags, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (watch->writer != nullptr) return failed(NetError::busy);
    std::size_t left = nutils::total_size(pieces);
    std::size_t sent = 0;
    do {
        const IoResult some = send_when_possible(watch, deadline, [&] {
            const IoResult now = nutils::sendv_some(watch->fd, pieces, flags);
            if (now.would_block()) deadline = deadline.resolved(watch->loop.precise_now());
            return now;
        });
        sent += some.bytes;
        left -= some.bytes;
        if (some.error) return failed(some.error, sent);
        if (left > 0) pieces = nutils::advanced(pieces, some.bytes);
    } while (left > 0);
    return {sent, {}};
}

IoResult EvSocket::sendfile_all(int file, off_t offset, std::size_t count, Deadline deadline) {
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (watch->writer != nullptr) return failed(NetError::busy);
    std::size_t sent = 0;
    ByteTurns turns;
    while (sent < count) {
        if (turns.is_over(sent))
            if (const std::error_code error = let_others_run(*watch, deadline)) return failed(error, sent);
        const IoResult some = send_when_possible(watch, deadline, [&] {
            const std::size_t piece = std::min<std::size_t>(count - sent, ByteTurns::kBytes);
            const IoResult now = nutils::sendfile_some(watch->fd, file, offset, piece);
            if (now.would_block()) deadline = deadline.resolved(watch->loop.precise_now());
            return now;
        });
        sent += some.bytes;
        if (some.error == std::errc::invalid_argument || some.error == std::errc::function_not_supported) {
            const IoResult rest = send_by_reading(*watch, file, offset, count - sent, deadline);
            return {sent + rest.bytes, rest.error};
        }
        if (some.error) return failed(some.error, sent);
    }
    return {sent, {}};
}

IoResult EvSocket::shutdown_send() {
    if (!is_open()) return failed(NetError::closed);
    return failed(nutils::shutdown_send(watch_->fd));
}

void EvSocket::close() noexcept {
    if (watch_ != nullptr) watch_->close();
}

void EvSocket::set_idle_timeout(Duration timeout) {
    if (watch_ != nullptr) watch_->idle_timeout = timeout;
}

bool EvSocket::is_open() const { return watch_ != nullptr && watch_->fd >= 0; }
int EvSocket::fd() const { return watch_ != nullptr ? watch_->fd : -1; }
cutils::Result<nutils::SockAddr> EvSocket::peer() const { return nutils::SockAddr::peer_of(fd()); }
cutils::Result<nutils::SockAddr> EvSocket::local() const { return nutils::SockAddr::local_of(fd()); }

nutils::UniqueFd EvSocket::release() {
    if (!is_open()) return nutils::UniqueFd();
    EVC_CHECK(watch_->reader == nullptr && watch_->writer == nullptr,
              "EvSocket::release() while a coroutine waits on it");
    return nutils::UniqueFd(watch_->release());
}

cutils::Result<nutils::PeerCredentials> EvSocket::peer_credentials() const {
    return nutils::peer_credentials(fd());
}

TimePoint EvSocket::now() const {
    return watch_ != nullptr ? watch_->loop.precise_now() : cutils::monotonic_now();
}

}  // namespace evcorothread
