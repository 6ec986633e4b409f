#include "webby/driver_coroutine.h"

#include <utility>
#include <vector>

#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/tls_context.h"
#include "evcorothread/tls_socket.h"
#include "webby/exchange.h"
#include "webby/handshake_report_internal.h"
#include "webby/loop_socket_internal.h"
#include "webby/metrics_board_internal.h"
#include "webby/session_internal.h"

namespace webby {

using cutils::Deadline;
using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::EvParking;
using evcorothread::EvSocket;
using evcorothread::EvTcpAcceptor;
using evcorothread::EvTimer;
using evcorothread::TlsContext;
using evcorothread::TlsSocket;

struct CoroutineDriver::Impl {
    Impl(EvLoop& the_loop, const Application& application, const DriverOptions& the_options,
         std::unique_ptr<AccessLog> log)
        : loop(the_loop),
          options(the_options),
          idle(the_options.timeouts.idle),
          access_log(std::move(log)),
          context{.application = application, .limits = options.limits, .timeouts = options.timeouts},
          exchanges(options.limits),
          parking(loop, "http"),
          drain_timer(loop, [this] { parking.cancel_active(); }),
          log_timer(loop, [this] { access_log->flush(); }) {
        context.access_log = access_log.get();
        if (options.metrics != nullptr) context.metrics = &options.metrics->add_cell();
        parking.on_gone([this] { gone(); });
    }

    void accepted(nutils::UniqueFd fd, const TlsContext* tls, ConnectionTicket place = {});
    // Serves a connection as long as there is something to do.
    template <class Stream>
    EvParking::Next converse(Stream& stream, Conversation& conversation, cutils::Duration queued);
    void gone();
    void count_closed() {
        context.metrics->closed.add();
        if (context.draining.load(std::memory_order_relaxed)) context.metrics->drained.add();
    }
    void lines_added() {
        constexpr std::chrono::milliseconds kFlushAfter{50};
        if (access_log && access_log->has_lines() && !log_timer.running()) log_timer.start(kFlushAfter);
    }

    EvLoop& loop;
    const DriverOptions options;
    const Deadline idle;
    std::unique_ptr<AccessLog> access_log;
    ExchangeContext context;
    ExchangePool exchanges;
    EvParking parking;
    std::vector<EvTcpAcceptor> acceptors;
    EvTimer drain_timer;
    EvTimer log_timer;
    std::function<void()> when_finished;
    HandshakeReport handshakes;
    bool full = false;  // max_connections are there: not accepting
};

// What a connection is while it has no work.
class CoroutineDriver::Connection : public EvParking::Guest {
  public:
    Connection(EvSocket socket, Impl& driver, ConnectionTicket place)
        : Guest(std::move(socket)), driver_(driver), place_(std::move(place)) {
        if (MetricsCell* const metrics = driver_.context.metrics) metrics->accepted.add();
    }
    ~Connection() override {
        if (Exchange* const exchange = conversation_.exchange) {
            exchange->end();
            driver_.exchanges.give(exchange);
        }
        conversation_.memory.tell_closed(driver_.context.application);
        if (driver_.context.metrics != nullptr) driver_.count_closed();
    }

  protected:
    EvParking::Next serve() override { return driver_.converse(socket(), conversation_, take_wait()); }
    bool expired() final {
        if (conversation_.exchange == nullptr) count_expired();
        return conversation_.expired = conversation_.exchange != nullptr;
    }
    [[nodiscard]] virtual bool has_begun() const { return true; }
    void count_expired() const {
        if (MetricsCell* const metrics = driver_.context.metrics)
            metrics->count_timeout(has_begun() ? TimeoutKind::idle : TimeoutKind::handshake);
    }

    Impl& driver_;
    Conversation conversation_;

  private:
    ConnectionTicket place_;
};

// The same over TLS. Shakes hands when the client has begun to: a silent one holds no stack.
class CoroutineDriver::TlsConnection final : public Connection {
  public:
    TlsConnection(EvSocket socket, Impl& driver, ConnectionTicket place, const TlsContext& context)
        : Connection(std::move(socket), driver, std::move(place)), context_(context) {}

  private:
    EvParking::Next serve() override {
        if (!tls_.is_open() && !shake_hands()) return EvParking::Next::close();
        return driver_.converse(tls_, conversation_, take_wait());
    }
    bool has_begun() const override { return tls_.is_open(); }

    bool shake_hands() {
        cutils::Result<TlsSocket> made =
            TlsSocket::accept_on(socket(), context_, Deadline(driver_.options.timeouts.head));
        if (MetricsCell* const metrics = driver_.context.metrics)
            count_handshake(*metrics, made ? std::error_code() : made.error().code());
        if (made)
            tls_ = *std::move(made);
        else if (driver_.handshakes.failed(made.error(), driver_.loop.now()))
            (void)socket().try_send(kPlainHttpAnswer);
        return tls_.is_open();
    }

    const TlsContext& context_;
    TlsSocket tls_;
};

template <class Stream>
EvParking::Next CoroutineDriver::Impl::converse(Stream& stream, Conversation& conversation,
                                                cutils::Duration queued) {
    Exchange*& exchange = conversation.exchange;
    const bool is_new = exchange == nullptr;
    if (is_new) exchange = exchanges.take();
    LoopSocket<Stream> socket(stream, loop);
    Session session(context, socket, conversation);
    if (is_new) {
        exchange->begin(context, session, conversation.memory);
        exchange->count_queued(queued);
    } else {
        exchange->resume(context, session);
    }
    const SessionEnd end = session.run();
    lines_added();
    if (end == SessionEnd::wait) return EvParking::Next::wait(conversation.until);
    exchange->end();
    exchanges.give(std::exchange(exchange, nullptr));
    return end == SessionEnd::park ? EvParking::Next::park(idle) : EvParking::Next::close();
}

void CoroutineDriver::Impl::accepted(nutils::UniqueFd fd, const TlsContext* tls, ConnectionTicket place) {
    EvSocket socket(loop, std::move(fd));
    socket.set_idle_timeout(options.timeouts.io);
    const std::error_code error =
        tls == nullptr
            ? parking.adopt(std::make_unique<Connection>(std::move(socket), *this, std::move(place)), idle)
            : parking.adopt(std::make_unique<TlsConnection>(std::move(socket), *this, std::move(place), *tls),
                            Deadline(options.timeouts.head));
    if (error)
        cutils::log(cutils::LogLevel::warning, "webby: a connection was dropped: %s",
                    error.message().c_str());
    if (parking.size() < options.max_connections || full) return;
    full = true;
    for (EvTcpAcceptor& acceptor : acceptors) acceptor.pause();
}

void CoroutineDriver::Impl::gone() {
    if (std::exchange(full, false))
        for (EvTcpAcceptor& acceptor : acceptors) acceptor.resume();
    if (!context.draining || parking.size() > 0) return;
    drain_timer.stop();
    if (when_finished) loop.post(std::exchange(when_finished, nullptr));
}

CoroutineDriver::CoroutineDriver(EvLoop& loop, const Application& application, const DriverOptions& options,
                                 std::unique_ptr<AccessLog> access_log)
    : impl_(std::make_unique<Impl>(loop, application, options, std::move(access_log))) {}

CoroutineDriver::~CoroutineDriver() {
    // Canceled coroutines do not wait for anything, so a few passes see the last of them off.
    drain();
    cancel();
    for (int passes = 0; !finished() && passes < 100; ++passes) impl_->loop.run_ready();
    if (impl_->access_log) impl_->access_log->flush();
}

cutils::Result<nutils::SockAddr> CoroutineDriver::listen(const nutils::SockAddr& address,
                                                         const TlsContext* tls) {
    Impl& driver = *impl_;
    cutils::Result<EvTcpAcceptor> acceptor = EvTcpAcceptor::listen_raw(
        driver.loop, address, [&driver, tls](nutils::UniqueFd fd, const nutils::SockAddr&) {
            driver.accepted(std::move(fd), tls);
        });
    if (!acceptor) return acceptor.error();
    driver.acceptors.push_back(std::move(*acceptor));
    return driver.acceptors.back().local_address();
}

void CoroutineDriver::adopt(nutils::UniqueFd connection, ConnectionTicket place, const TlsContext* tls) {
    impl_->accepted(std::move(connection), tls, std::move(place));
}

void CoroutineDriver::drain() {
    if (impl_->context.draining.exchange(true)) return;
    for (EvTcpAcceptor& acceptor : impl_->acceptors) acceptor.close();
    impl_->parking.drain();
    if (impl_->parking.size() > 0) impl_->drain_timer.start(impl_->options.drain);
}

void CoroutineDriver::cancel() { impl_->parking.cancel_active(); }

bool CoroutineDriver::finished() const { return impl_->context.draining && impl_->parking.size() == 0; }

void CoroutineDriver::when_finished(std::function<void()> function) {
    if (finished()) return impl_->loop.post(std::move(function));
    impl_->when_finished = std::move(function);
}

Driver::Counts CoroutineDriver::counts() const {
    return {impl_->parking.size(), impl_->parking.parked(), impl_->parking.waiting(), impl_->context.requests,
            0};
}

}  // namespace webby
