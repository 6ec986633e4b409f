#include "evcorothread/ev_pipe.h"

#include <utility>

#include "cutils/check.h"
#include "evcorothread/io_call_internal.h"
#include "nutils/socket_options.h"

namespace evcorothread {
namespace {

IoResult failed(const std::error_code& error) { return {0, error}; }

IoResult read_now(FdWatch& watch, std::span<char> buffer) {
    watch.unverified = false;
    const IoResult got = nutils::read_some(watch.fd, buffer);
    if (got.bytes == 0)
        watch.readable = !got.would_block();  // an end or an error stays, and makes no edge again
    else if (got.bytes < buffer.size())
        watch.drained();  // and asked once more: the end behind the data may have come with it
    return got;
}

template <class WriteNow>
IoResult write_when_possible(FdWatch* watch, const std::error_code& unusable, Deadline deadline,
                             WriteNow&& write_now) {
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (unusable) return failed(unusable);
    if (watch->writer != nullptr) return failed(NetError::busy);
    for (;;) {
        const IoResult written = write_now();
        if (!written.would_block()) return written;
        deadline = deadline.resolved(watch->loop.precise_now());
        if (const std::error_code error = watch->wait_writable(deadline)) return failed(error);
    }
}

}  // namespace

EvPipe::EvPipe() = default;
EvPipe::EvPipe(EvPipe&&) noexcept = default;
EvPipe& EvPipe::operator=(EvPipe&&) noexcept = default;
EvPipe::~EvPipe() = default;

EvPipe::EvPipe(EvLoop& loop, nutils::UniqueFd fd) : watch_(std::make_unique<FdWatch>(loop.core(), -1)) {
    loop.core().check_thread();
    unusable_ = nutils::set_nonblocking(fd.get(), true);
    watch_->fd = fd.release();
}

IoResult EvPipe::recv(std::span<char> buffer, Deadline deadline) {
    EVC_CHECK(!buffer.empty(), "EvPipe::recv() into an empty buffer");
    FdWatch* const watch = watch_.get();
    if (const std::error_code error = refusal(watch)) return failed(error);
    if (unusable_) return failed(unusable_);
    if (watch->reader != nullptr) return failed(NetError::busy);
    for (bool asked = false;;) {
        if (watch->may_read()) {
            const IoResult got = read_now(*watch, buffer);
            if (!got.would_block()) return got;
            asked = true;
        }
        if (ask_rather_than_wait(*watch, deadline, asked)) continue;
        if (const std::error_code error = watch->wait_readable(deadline)) return failed(error);
    }
}

IoResult EvPipe::try_recv(std::span<char> buffer) {
    EVC_CHECK(!buffer.empty(), "EvPipe::try_recv() into an empty buffer");
    if (!is_open()) return failed(NetError::closed);
    if (unusable_) return failed(unusable_);
    return read_now(*watch_, buffer);
}

IoResult EvPipe::send(std::string_view data, Deadline deadline) {
    return write_when_possible(watch_.get(), unusable_, deadline,
                               [&] { return nutils::write_some(watch_->fd, data); });
}

IoResult EvPipe::sendv(std::span<const iovec> pieces, Deadline deadline) {
    return write_when_possible(watch_.get(), unusable_, deadline,
                               [&] { return nutils::writev_some(watch_->fd, pieces); });
}

IoResult EvPipe::try_send(std::string_view data) {
    if (!is_open()) return failed(NetError::closed);
    if (unusable_) return failed(unusable_);
    return nutils::write_some(watch_->fd, data);
}

IoResult EvPipe::shutdown_send() {
    if (!is_open()) return failed(NetError::closed);
    close();
    return {};
}

void EvPipe::close() noexcept {
    if (watch_ != nullptr) watch_->close();
}

bool EvPipe::is_open() const { return watch_ != nullptr && watch_->fd >= 0; }
int EvPipe::fd() const { return watch_ != nullptr ? watch_->fd : -1; }

nutils::UniqueFd EvPipe::release() {
    if (!is_open()) return nutils::UniqueFd();
    EVC_CHECK(watch_->reader == nullptr && watch_->writer == nullptr,
              "EvPipe::release() while a coroutine waits on it");
    return nutils::UniqueFd(watch_->release());
}

TimePoint EvPipe::now() const {
    return watch_ != nullptr ? watch_->loop.precise_now() : cutils::monotonic_now();
}

}  // namespace evcorothread
