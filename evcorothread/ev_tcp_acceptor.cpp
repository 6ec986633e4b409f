#include "evcorothread/ev_tcp_acceptor.h"

#include <string>
#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "cutils/scope_exit.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/fd_watch_internal.h"
#include "nutils/socket_file.h"
#include "nutils/socket_ops.h"
#include "nutils/socket_options.h"

namespace evcorothread {

using namespace std::chrono_literals;
using cutils::log;
using cutils::LogLevel;
using nutils::AcceptOutcome;

namespace {
// Connections taken in one go before others get their turn.
constexpr int kBatch = 64;
// How long to wait for a descriptor that nobody told us about.
constexpr Duration kBackOff = 50ms;
constexpr Duration kSayAgain = 10s;
}  // namespace

struct EvTcpAcceptor::Impl final : ReadableListener, StackTurn, LaterTask, LoopCore::FdWaiter {
    Impl(EvLoop& l, nutils::UniqueFd listener, AcceptOptions o)
        : loop(l),
          core(l.core()),
          watch(core, listener.release()),
          options(std::move(o)),
          admit(options.admit ? std::make_shared<Admit>(std::move(options.admit)) : nullptr),
          name(options.name),
          retry(l, [this] { go_on(); }) {
        watch.listener = this;
        core.add_work();
    }
    ~Impl() { close(); }

    void readable(FdWatch&) override { go_on(); }
    void stack_available() override { go_on(); }
    void descriptor_closed() override {
        // In the middle of somebody's close: look on the next pass.
        LoopCore::FdWaiter::unlink();
        core.later(*this);
    }
    void run_later() override { go_on(); }

    // Accepts what waits and may be served. Every reason to stop leaves somebody behind who calls again: the
    // kernel (nothing waits), the stack pool, the next pass, or the retry timer.
    void go_on() {
        if (paused || !is_open() || StackTurn::linked()) return;
        retry.stop();
        LoopCore::FdWaiter::unlink();
        LaterTask::unlink();
        for (int i = 0; i < kBatch; ++i) {
            if (!raw && !core.stack_free_now()) return core.wait_for_stack(*this);
            nutils::SockAddr peer;
            nutils::Accepted connection = nutils::accept_one(watch.fd, raw || admit ? &peer : nullptr);
            switch (connection.outcome()) {
                case AcceptOutcome::accepted: break;
                case AcceptOutcome::lost: continue;
                case AcceptOutcome::empty: return;
                case AcceptOutcome::exhausted: return back_off(connection.error);
                case AcceptOutcome::broken: return give_up(connection.error);
            }
            if (!serve(std::move(connection.fd), peer) || paused) return;
        }
        core.later(*this);  // others first
    }

    // False when the acceptor was closed, or destroyed, meanwhile.
    bool serve(nutils::UniqueFd fd, const nutils::SockAddr& peer) {
        try {
            if (admit) {
                bool admitted = false;
                const std::shared_ptr<Admit> callee = admit;
                const bool open = guarded([&] { admitted = (*callee)(fd.get(), peer); });
                if (!open || !admitted) return open;
            }
            ++accepted;
            if (raw) return hand_over(std::move(fd), peer);
            loop.spawn(name, [handler = handler, socket = EvSocket(loop, std::move(fd))]() mutable {
                (*handler)(std::move(socket));
            });
        } catch (const std::exception& error) {
            log(LogLevel::error, "a connection to %s is dropped: %s", where.c_str(), error.what());
        } catch (...) {
            log(LogLevel::error, "a connection to %s is dropped by an exception that is not a std::exception",
                where.c_str());
        }
        return is_open();
    }

    bool hand_over(nutils::UniqueFd fd, const nutils::SockAddr& peer) {
        const std::shared_ptr<RawHandler> callee = raw;
        return guarded([&] {
            try {
                (*callee)(std::move(fd), peer);
            } catch (...) {
                log_exception("a handler of raw connections");
            }
        });
    }

    // Calls the application, which may close, or destroy, this acceptor meanwhile. Returns whether it is open
    // still.
    template <class F>
    bool guarded(F&& call) {
        bool open = true;
        const cutils::ScopeExit forget([&] {
            if (open) still_open = nullptr;
        });
        still_open = &open;
        call();
        return open;
    }

    void back_off(const std::error_code& error) {
        core.fd_waiters.push_back(*this);
        retry.start(kBackOff);
        const TimePoint now = core.now();
        if (now < say_again) return;
        say_again = now + kSayAgain;
        log(LogLevel::warning, "cannot accept at %s: %s; %s", where.c_str(), text_of(error).c_str(),
            error == std::errc::too_many_files_open ? "waiting until a descriptor is free (see `ulimit -n`)"
                                                    : "trying again in a moment");
    }

    void give_up(const std::error_code& error) {
        log(LogLevel::error, "cannot accept at %s any more: %s", where.c_str(), text_of(error).c_str());
        close();
    }

    // Without memory, too: nothing may be thrown across libevent.
    static std::string text_of(const std::error_code& error) noexcept {
        try {
            return error.message();
        } catch (const std::bad_alloc&) {
            return "out of memory";
        }
    }

    [[nodiscard]] bool is_open() const { return watch.fd >= 0; }

    void close() {
        if (!is_open()) return;
        if (still_open != nullptr) *std::exchange(still_open, nullptr) = false;
        retry.stop();
        core.leave_queue(*this);
        LoopCore::FdWaiter::unlink();
        LaterTask::unlink();
        watch.close();
        file.remove();
        core.drop_work();
    }

    EvLoop& loop;
    LoopCore& core;
    FdWatch watch;
    AcceptOptions options;
    using Admit = decltype(AcceptOptions::admit);
    std::shared_ptr<Admit> admit;
    std::string name;
    std::shared_ptr<Handler> handler;  // shared with the connections: they may outlive the acceptor
    std::shared_ptr<RawHandler> raw;
    nutils::SockAddr local;
    std::string where;  // the same, for the log
    EvTimer retry;
    bool paused = false;
    nutils::SocketFile file;  // empty: none of ours
    std::uint64_t accepted = 0;
    TimePoint say_again{};
    bool* still_open = nullptr;  // while the application is called
};

EvTcpAcceptor::EvTcpAcceptor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EvTcpAcceptor::EvTcpAcceptor(EvTcpAcceptor&&) noexcept = default;
EvTcpAcceptor& EvTcpAcceptor::operator=(EvTcpAcceptor&&) noexcept = default;
EvTcpAcceptor::~EvTcpAcceptor() = default;

cutils::Result<EvTcpAcceptor> EvTcpAcceptor::make(EvLoop& loop, nutils::UniqueFd listener,
                                                  std::shared_ptr<Handler> handler, RawHandler raw,
                                                  AcceptOptions options, bool own_file) {
    cutils::Result<nutils::SockAddr> local = nutils::SockAddr::local_of(listener.get());
    if (!local) return local.error();
    // Accepted sockets inherit it.
    if (local->is_ip()) (void)nutils::set_no_delay(listener.get(), true);
    auto impl = std::make_unique<Impl>(loop, std::move(listener), std::move(options));
    impl->local = *local;
    impl->where = local->to_string();
    if (own_file) impl->file = nutils::SocketFile::of(*local);
    impl->handler = std::move(handler);
    if (raw) impl->raw = std::make_shared<RawHandler>(std::move(raw));
    if (const std::error_code error = impl->watch.ensure_registered())
        return cutils::Error(error, "watching the listener at " + local->to_string());
    return EvTcpAcceptor(std::move(impl));
}

cutils::Result<EvTcpAcceptor> EvTcpAcceptor::listen(EvLoop& loop, const nutils::SockAddr& address,
                                                    Handler handler, AcceptOptions options) {
    cutils::Result<nutils::UniqueFd> listener = nutils::listen_stream(address, options);
    if (!listener) return listener.error();
    return make(loop, *std::move(listener), std::make_shared<Handler>(std::move(handler)), {},
                std::move(options), true);
}

cutils::Result<EvTcpAcceptor> EvTcpAcceptor::listen_raw(EvLoop& loop, const nutils::SockAddr& address,
                                                        RawHandler handler, AcceptOptions options) {
    cutils::Result<nutils::UniqueFd> listener = nutils::listen_stream(address, options);
    if (!listener) return listener.error();
    return make(loop, *std::move(listener), nullptr, std::move(handler), std::move(options), true);
}

namespace {

std::error_code prepare_listener(int fd) {
    const std::error_code error = nutils::check_listens(fd);
    return error ? error : nutils::set_nonblocking(fd, true);
}

}  // namespace

cutils::Result<EvTcpAcceptor> EvTcpAcceptor::adopt(EvLoop& loop, nutils::UniqueFd listener, Handler handler,
                                                   AcceptOptions options) {
    if (const std::error_code error = prepare_listener(listener.get()))
        return cutils::Error(error, "adopting a listener");
    return make(loop, std::move(listener), std::make_shared<Handler>(std::move(handler)), {},
                std::move(options), false);
}

cutils::Result<EvTcpAcceptor> EvTcpAcceptor::adopt_raw(EvLoop& loop, nutils::UniqueFd listener,
                                                       RawHandler handler, AcceptOptions options) {
    if (const std::error_code error = prepare_listener(listener.get()))
        return cutils::Error(error, "adopting a listener");
    return make(loop, std::move(listener), nullptr, std::move(handler), std::move(options), false);
}

void EvTcpAcceptor::pause() {
    if (impl_ == nullptr) return;
    impl_->core.check_thread();
    impl_->paused = true;
}

void EvTcpAcceptor::resume() {
    if (impl_ == nullptr) return;
    impl_->core.check_thread();
    // Later, on the loop: raw handlers must not find themselves in the coroutine of whoever resumes.
    if (std::exchange(impl_->paused, false) && impl_->is_open()) impl_->core.later(*impl_);
}

void EvTcpAcceptor::close() {
    if (impl_ != nullptr) impl_->close();
}

bool EvTcpAcceptor::is_open() const { return impl_ != nullptr && impl_->is_open(); }
const nutils::SockAddr& EvTcpAcceptor::local_address() const {
    static const nutils::SockAddr none;
    return impl_ != nullptr ? impl_->local : none;
}
std::uint64_t EvTcpAcceptor::accepted() const { return impl_ != nullptr ? impl_->accepted : 0; }

}  // namespace evcorothread
