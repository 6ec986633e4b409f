#include "evcorothread/ev_watch.h"

#include <utility>

#include "cutils/check.h"
#include "evcorothread/fd_watch_internal.h"
#include "nutils/net_error.h"
#include "nutils/socket_ops.h"

namespace evcorothread {

using nutils::IoResult;
using nutils::NetError;

struct EvWatch::Impl final : cutils::TimerNode, ReadableListener, LaterTask {
    Impl(LoopCore& core, nutils::UniqueFd fd, Functions f)
        : TimerNode(&Impl::on_deadline), room(core), watch(core, fd.release()), functions(std::move(f)) {
        watch.listener = this;
    }
    ~Impl() { close(); }

    void close() {
        LaterTask::unlink();
        watch.loop.timers.remove(*this);
        if (std::exchange(started, false)) watch.loop.drop_work();
        watch.close();
    }

    // False: closed, and perhaps *this is gone.
    bool call(const std::function<void()>& function, const char* what) {
        if (!function) return true;
        calling = true;
        try {
            function();
        } catch (...) {
            log_exception(what);
        }
        calling = false;
        if (!orphaned) return watch.fd >= 0;
        delete this;
        return false;
    }

    void readable(FdWatch&) override { (void)call(functions.readable, "a watch's readable()"); }
    // First what makes room, then what brings more.
    void changed(FdWatch& w, bool may_read, bool may_write) override {
        if (may_write && !call(functions.writable, "a watch's writable()")) return;
        if (may_read) readable(w);
    }
    void run_later() override { readable(watch); }
    static void on_deadline(cutils::TimerNode& node) {
        auto& self = static_cast<Impl&>(node);
        (void)self.call(self.functions.expired, "a watch's expired()");
    }

    IoResult wrote(IoResult result) {
        if (!result.error) watch.wrote();
        return result;
    }

    TimerRoom room;
    FdWatch watch;
    const Functions functions;
    bool started = false;
    bool calling = false;
    bool orphaned = false;  // the watch has gone while one of its functions ran, which lives in here
};

EvWatch::EvWatch(EvLoop& loop, nutils::UniqueFd fd, Functions functions)
    : impl_(std::make_unique<Impl>(loop.core(), std::move(fd), std::move(functions))) {}
EvWatch::~EvWatch() {
    impl_->close();
    if (impl_->calling) impl_.release()->orphaned = true;
}

std::error_code EvWatch::start() {
    Impl& self = *impl_;
    if (self.watch.fd < 0) return NetError::closed;
    if (const std::error_code error = self.watch.ensure_registered()) return error;
    if (!std::exchange(self.started, true)) self.watch.loop.add_work();
    return {};
}

void EvWatch::expire(Deadline when) {
    LoopCore& loop = impl_->watch.loop;
    loop.check_thread();
    if (when.is_never()) return loop.timers.disarm(*impl_);
    if (!is_open()) return;
    loop.timers.arm(*impl_, when.resolved(loop.now()).at());
    loop.kick();
}

void EvWatch::again() {
    if (is_open()) impl_->watch.loop.later(*impl_);
}

IoResult EvWatch::try_recv(std::span<char> buffer) {
    EVC_CHECK(!buffer.empty(), "EvWatch::try_recv() into an empty buffer");
    FdWatch& watch = impl_->watch;
    if (watch.fd < 0) return {0, NetError::closed};
    if (!watch.may_read()) return {0, NetError::would_block};
    watch.unverified = false;
    const IoResult got = nutils::recv_some(watch.fd, buffer);
    if (got.bytes == 0)
        watch.readable = !got.would_block();  // an end or an error stays, and makes no edge again
    else if (got.bytes < buffer.size())
        watch.drained();
    return got;
}

IoResult EvWatch::try_send(std::string_view data, int flags) {
    if (!is_open()) return {0, NetError::closed};
    return impl_->wrote(nutils::send_some(fd(), data, flags));
}

IoResult EvWatch::try_sendv(std::span<const iovec> pieces) {
    if (!is_open()) return {0, NetError::closed};
    return impl_->wrote(nutils::sendv_some(fd(), pieces));
}

IoResult EvWatch::try_sendfile(int file, off_t& offset, std::size_t count) {
    if (!is_open()) return {0, NetError::closed};
    return impl_->wrote(nutils::sendfile_some(fd(), file, offset, count));
}

bool EvWatch::may_recv() const { return impl_->watch.may_read(); }
void EvWatch::close() { impl_->close(); }
int EvWatch::fd() const { return impl_->watch.fd; }

}  // namespace evcorothread
