#include "evcorothread/tls_socket.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "cutils/check.h"
#include "evcorothread/byte_turns_internal.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/tls_engine_internal.h"
#include "evcorothread/tls_waits_internal.h"
#include "nutils/iovecs.h"

namespace evcorothread {
namespace {

IoResult failed(const std::error_code& error, std::size_t bytes = 0) { return {bytes, error}; }

bool is_open(const TlsEngine* engine) { return engine != nullptr && engine->transport.is_open(); }

// Waits until the kernel has taken all that is waiting.
std::error_code drain(TlsEngine& engine, Deadline& deadline) {
    for (;;) {
        const std::error_code error = engine.flush();
        if (error != NetError::would_block) return error ? engine.why_not_sent() : error;
        FdWatch& watch = *engine.watch();
        deadline = deadline.resolved(watch.loop.precise_now());
        const std::error_code waited = watch.wait_writable(deadline);
        if (waited == NetError::closed) return waited;  // the engine may be gone
        if (!waited) continue;
        // Room may have come just now, and nobody else would be told of it.
        (void)engine.flush();
        return waited;
    }
}

// Sends one record's worth of `data`. A deadline that passes behind the encryption: the bytes count.
IoResult send_record(TlsEngine& engine, std::string_view data, Deadline& deadline) {
    if (!engine.waiting.empty())
        if (const std::error_code error = drain(engine, deadline)) return failed(error);
    const IoResult sent = engine.write(data);
    if (sent.error) return failed(sent.error == engine.send_error ? engine.why_not_sent() : sent.error);
    if (engine.waiting.empty()) [[likely]]
        return sent;
    return failed(drain(engine, deadline), sent.bytes);
}

IoResult send_records(TlsEngine& engine, std::string_view data, Deadline deadline) {
    std::size_t sent = 0;
    while (sent < data.size()) {
        const IoResult some = send_record(engine, data.substr(sent), deadline);
        sent += some.bytes;
        if (some.error) return failed(some.error, sent);
    }
    return {sent, {}};
}

std::error_code let_others_run(TlsEngine& engine, Deadline deadline) {
    const std::error_code error = engine.watch()->let_others_run(deadline);
    // As in drain(): TLS's own answers, of which we may have been told in the place of those who send them.
    if (error && error != NetError::closed) (void)engine.flush();
    return error;
}

// The front of `pieces` as one piece: the first, or copies of several in `room`, one record at most.
std::string_view gather(std::span<const iovec> pieces, std::unique_ptr<char[]>& room) {
    const auto text = [](const iovec& piece) {
        return std::string_view(static_cast<const char*>(piece.iov_base), piece.iov_len);
    };
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    if (pieces.empty()) return {};
    const std::size_t total = std::min(nutils::total_size(pieces), TlsEngine::kRecord);
    if (pieces.front().iov_len >= total) return text(pieces.front());
    // Without memory: more records, and smaller.
    if (room == nullptr) room.reset(new (std::nothrow) char[total]);
    if (room == nullptr) return text(pieces.front());
    std::size_t size = 0;
    for (const iovec& piece : pieces) {
        const std::string_view some = text(piece).substr(0, total - size);
        if (!some.empty()) std::memcpy(room.get() + size, some.data(), some.size());
        size += some.size();
    }
    return {room.get(), total};
}

}  // namespace

TlsSocket::TlsSocket() noexcept = default;
TlsSocket::TlsSocket(std::unique_ptr<TlsEngine> engine) noexcept : engine_(std::move(engine)) {}
TlsSocket::TlsSocket(TlsSocket&&) noexcept = default;
TlsSocket& TlsSocket::operator=(TlsSocket&& other) noexcept {
    if (this != &other) {
        close();
        engine_ = std::move(other.engine_);
    }
    return *this;
}
TlsSocket::~TlsSocket() { close(); }

IoResult TlsSocket::recv(std::span<char> buffer, Deadline deadline) {
    EVC_CHECK(!buffer.empty(), "TlsSocket::recv() into an empty buffer");
    if (const std::error_code error = tls_refusal(engine_.get())) return failed(error);
    TlsEngine& engine = *engine_;
    FdWatch& watch = *engine.watch();
    if (watch.reader != nullptr) return failed(NetError::busy);
    for (;;) {
        const IoResult got = engine.read(buffer);
        if (!got.would_block()) return got;
        deadline = deadline.resolved(watch.loop.precise_now());
        if (const std::error_code error = watch.wait_readable(deadline)) return failed(error);
    }
}

IoResult TlsSocket::try_recv(std::span<char> buffer) {
    EVC_CHECK(!buffer.empty(), "TlsSocket::try_recv() into an empty buffer");
    if (!is_open()) return failed(NetError::closed);
    if (engine_->watch()->reader != nullptr) return failed(NetError::busy);
    return engine_->read(buffer);
}

bool TlsSocket::may_recv() const { return engine_ != nullptr && engine_->may_read(); }

IoResult TlsSocket::send(std::string_view data, Deadline deadline) {
    if (const std::error_code error = tls_refusal(engine_.get())) return failed(error);
    if (engine_->watch()->writer != nullptr) return failed(NetError::busy);
    return data.empty() ? IoResult{} : send_record(*engine_, data, deadline);
}

IoResult TlsSocket::sendv(std::span<const iovec> pieces, Deadline deadline) {
    std::unique_ptr<char[]> room;
    return send(gather(pieces, room), deadline);
}

IoResult TlsSocket::send_all(std::string_view data, Deadline deadline) {
    if (const std::error_code error = tls_refusal(engine_.get())) return failed(error);
    if (engine_->watch()->writer != nullptr) return failed(NetError::busy);
    return send_records(*engine_, data, deadline);
}

IoResult TlsSocket::send_all_v(std::span<iovec> pieces, Deadline deadline) {
    if (const std::error_code error = tls_refusal(engine_.get())) return failed(error);
    if (engine_->watch()->writer != nullptr) return failed(NetError::busy);
    std::unique_ptr<char[]> room;
    std::size_t sent = 0;
    for (;;) {
        const std::string_view next = gather(pieces, room);
        if (next.empty()) return {sent, {}};
        const IoResult some = send_record(*engine_, next, deadline);
        sent += some.bytes;
        pieces = nutils::advanced(pieces, some.bytes);
        if (some.error) return failed(some.error, sent);
    }
}

IoResult TlsSocket::try_send(std::string_view data) {
    if (!is_open()) return failed(NetError::closed);
    if (engine_->watch()->writer != nullptr) return failed(NetError::busy);
    if (data.empty()) return {};
    if (const std::error_code error = engine_->flush()) return failed(error);
    return engine_->write(data);
}

std::error_code TlsSocket::try_flush() {
    if (!is_open()) return NetError::closed;
    const std::error_code error = engine_->flush();
    return error && error != NetError::would_block ? engine_->why_not_sent() : error;
}

IoResult TlsSocket::sendfile_all(int file, off_t offset, std::size_t count, Deadline deadline) {
    if (const std::error_code error = tls_refusal(engine_.get())) return failed(error);
    if (engine_->watch()->writer != nullptr) return failed(NetError::busy);
    const std::size_t room_size = std::min(count, TlsEngine::kRecord);
    const std::unique_ptr<char[]> room(new (std::nothrow) char[room_size]);
    if (room == nullptr) return failed(std::make_error_code(std::errc::not_enough_memory));
    deadline = deadline.resolved(engine_->watch()->loop.precise_now());  // for all of it
    std::size_t sent = 0;
    ByteTurns turns;
    while (sent < count) {
        if (turns.is_over(sent))
            if (const std::error_code error = let_others_run(*engine_, deadline)) return failed(error, sent);
        const ssize_t got =
            ::pread(file, room.get(), std::min(count - sent, room_size), offset + static_cast<off_t>(sent));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return failed({errno, std::generic_category()}, sent);
        if (got == 0) return failed(NetError::eof, sent);
        const IoResult some = send_records(*engine_, {room.get(), static_cast<std::size_t>(got)}, deadline);
        sent += some.bytes;
        if (some.error) return failed(some.error, sent);
    }
    return {sent, {}};
}

IoResult TlsSocket::shutdown_send() {
    if (!is_open()) return failed(NetError::closed);
    return failed(engine_->say_goodbye());
}

IoResult TlsSocket::finish_send(Deadline deadline) {
    if (const std::error_code error = tls_refusal(engine_.get())) return failed(error);
    if (engine_->watch()->writer != nullptr) return failed(NetError::busy);
    const std::error_code error = engine_->say_goodbye();
    return failed(error ? error : drain(*engine_, deadline));
}

void TlsSocket::close() noexcept {
    if (!is_open()) return;
    // Behind something that is lost a goodbye would be a lie.
    if (!engine_->flush()) (void)engine_->say_goodbye();
    // A ticket that nobody has read would make the kernel reset the connection, goodbye and all.
    char forgotten[1024];
    if (engine_->transport.may_recv()) (void)engine_->transport.try_recv(forgotten);
    engine_->transport.close();
}

void TlsSocket::abort() noexcept {
    if (is_open()) engine_->transport.close();
}

std::error_code TlsSocket::close(Deadline deadline) {
    if (const std::error_code error = tls_refusal(engine_.get())) return error;
    FdWatch& watch = *engine_->watch();
    if (watch.writer != nullptr) return NetError::busy;
    std::error_code error = engine_->say_goodbye();
    if (!error) error = drain(*engine_, deadline);
    // Another coroutine that receives sees the peer's goodbye itself, and this one does not wait for it.
    char forgotten[256];
    while (!error && watch.reader == nullptr) {
        deadline = deadline.resolved(watch.loop.precise_now());
        const IoResult got = recv(forgotten, deadline);
        if (got.eof()) break;
        error = got.error;
    }
    if (error == NetError::closed) return error;  // the engine may be gone
    engine_->transport.close();
    return error;
}

void TlsSocket::set_idle_timeout(Duration timeout) {
    if (engine_ != nullptr) engine_->transport.set_idle_timeout(timeout);
}

bool TlsSocket::is_open() const { return evcorothread::is_open(engine_.get()); }
int TlsSocket::fd() const { return engine_ != nullptr ? engine_->transport.fd() : -1; }
cutils::Result<nutils::SockAddr> TlsSocket::peer() const { return nutils::SockAddr::peer_of(fd()); }
cutils::Result<nutils::SockAddr> TlsSocket::local() const { return nutils::SockAddr::local_of(fd()); }
TimePoint TlsSocket::now() const {
    return engine_ != nullptr ? engine_->transport.now() : cutils::monotonic_now();
}

ssl_st* TlsSocket::native() const { return engine_ != nullptr ? engine_->ssl.get() : nullptr; }

}  // namespace evcorothread
