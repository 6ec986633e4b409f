// CoroutineDriver: serves an application on an EvLoop. A connection is a coroutine while it has work, and a
// few hundred bytes while it has none.
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "cutils/intrusive.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/tls_context.h"
#include "evcorothread/tls_socket.h"
#include "webby/exchange.h"
#include "webby/forget_input_internal.h"
#include "webby/full_answer_internal.h"
#include "webby/loop_driver_internal.h"
#include "webby/loop_socket_internal.h"
#include "webby/metrics_board_internal.h"
#include "webby/peer_gone_internal.h"
#include "webby/proxy_reader_internal.h"
#include "webby/session_internal.h"
#include "webby/unsent_limit.h"

namespace webby {

using cutils::Deadline;
using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::EvParking;
using evcorothread::EvSocket;
using evcorothread::TlsContext;
using evcorothread::TlsSocket;

namespace {

// The path of a connection: accepted on the loop, without a stack; parked; its first byte takes a stack (or
// waits its turn for one) and an Exchange; requests are answered; nothing more there: both go back, and it is
// parked again. So the stack pool limits work in progress, not clients.
//
// Cost:   a request is one recv(2), one send(2) and its share of epoll_wait(2); no allocation.
class CoroutineDriver final : public LoopDriver {
  public:
    CoroutineDriver(EvLoop& the_loop, const Application& application, const DriverOptions& the_options,
                    std::unique_ptr<AccessLog> log)
        : LoopDriver(the_loop, application, the_options, std::move(log)),
          idle(the_options.timeouts.idle),
          parking(loop, "http") {
        parking.on_gone([this] { gone(); });
        if (options.when_full == WhenFull::close_idle) parking.keep_order();
    }
    ~CoroutineDriver() override;

    void cancel() override { parking.cancel_active(); }
    [[nodiscard]] Counts counts() const override;

  private:
    class Connection;
    class TlsConnection;

    void accepted(nutils::UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket place,
                  const TlsContext* tls) override;
    [[nodiscard]] std::size_t open() const override { return parking.size(); }
    bool close_oldest() override { return parking.close_oldest(); }
    void end_idle() override;
    // Serves a connection as long as there is something to do.
    template <class Stream>
    EvParking::Next converse(Stream& stream, Connection& connection, cutils::Duration queued);
    void count_closed() {
        context.metrics->closed.add();
        if (context.draining.load(std::memory_order_relaxed)) context.metrics->drained.add();
    }

    EvParking::Next wait(Connection& connection, SessionEnd for_what);
    void wait_for_room(Connection& connection);

    const Deadline idle;
    // Those whose answers somebody else makes, while they wait; those that take theirs slowly, who has waited
    // longest in front.
    cutils::List<Connection, Connection> streaming, slow;
    EvParking parking;
};

// What a connection is while it has no work.
class CoroutineDriver::Connection : public cutils::ListHook<CoroutineDriver::Connection>,
                                    public EvParking::Guest,
                                    public AnswerWaiter {
  public:
    using Next = EvParking::Next;

    Connection(EvSocket socket, CoroutineDriver& driver, ConnectionTicket place)
        : Guest(std::move(socket)), driver_(driver), place_(std::move(place)) {
        if (driver.options.proxy_protocol)
            proxy_ = std::make_unique<ProxyReader>(*driver.options.trust,
                                                   driver.loop.now() + driver.options.timeouts.head);
        if (MetricsCell* const metrics = driver_.context.metrics) metrics->accepted.add();
    }
    ~Connection() override {
        ListHook<Connection>::unlink();
        if (Exchange* const exchange = conversation_.exchange) {
            exchange->abandon();
            exchange->end();
            exchange->broke_off(conversation_.sent);
            driver_.exchanges.give(exchange);
            driver_.lines_added();
        }
        conversation_.memory.tell_closed(driver_.context.application);
        if (driver_.context.metrics != nullptr) driver_.count_closed();
    }
    void remember(const nutils::SockAddr& peer) {
        conversation_.memory.peer = std::make_unique<nutils::SockAddr>(peer);
    }
    [[nodiscard]] bool take_place(const nutils::SockAddr& client) {
        AddressLimit* const limit = driver_.options.per_address;
        return limit == nullptr || limit->enter(client, place_of_address_);
    }
    // Says that there is no place for it, and waits for the client to close: otherwise what it still sends
    // would make the kernel reset the connection, answer and all.
    Next refuse() {
        driver_.count_refused();
        say_full();
        conversation_.lingering = true;
        conversation_.until = driver_.loop.now() + driver_.options.timeouts.linger;
        return forget_input();
    }

    // It may be among the slow ones, or among those whose answers somebody else makes.
    void go_on_writing() {
        ListHook<Connection>::unlink();
        unsent_.give_back();
    }

  protected:
    friend class CoroutineDriver;
    Next serve() override {
        if (is_unusual()) [[unlikely]]
            if (const std::optional<Next> next = before_requests()) return *next;
        return driver_.converse(socket(), *this, take_wait());
    }
    // May there be something to do before requests?
    [[nodiscard]] bool is_unusual() const {
        return ListHook<Connection>::linked() || conversation_.lingering || proxy_ != nullptr;
    }
    // Nothing: go on.
    [[gnu::noinline]] std::optional<Next> before_requests() {
        go_on_writing();
        if (conversation_.lingering && conversation_.exchange == nullptr) return forget_input();
        return proxy_ != nullptr ? read_proxy_header() : std::nullopt;
    }
    void answer_goes_on() final { wake(); }
    // A stream's client that has gone; others may wait for their answers.
    bool disturbed() noexcept final {
        return conversation_.want == Exchange::Want::source && peer_gone(socket().fd());
    }
    virtual void say_full() {
        (void)socket().try_send(kFullAnswer);
        (void)socket().shutdown_send();
    }
    bool expired() final {
        if (conversation_.exchange == nullptr) count_expired();
        if (conversation_.writing && conversation_.queue.has_shrunk(socket().fd())) return true;
        // Who does not take an answer needs no other one.
        if (conversation_.exchange != nullptr && conversation_.writing) {
            conversation_.exchange->write_timed_out();
            cut_off(socket().fd());
        }
        return conversation_.expired = conversation_.exchange != nullptr && !conversation_.writing;
    }
    [[nodiscard]] virtual bool has_begun() const { return proxy_ == nullptr; }
    void count_expired() const {
        if (MetricsCell* const metrics = driver_.context.metrics)
            metrics->count_timeout(has_begun() ? TimeoutKind::idle : TimeoutKind::handshake);
    }
    std::optional<Next> without_stack() final {
        if (conversation_.lingering && conversation_.exchange == nullptr) return forget_input();
        const bool begins = conversation_.exchange == nullptr && proxy_ == nullptr;
        if (driver_.options.when_full != WhenFull::refuse || !begins) return {};
        return refuse();
    }

    CoroutineDriver& driver_;
    Conversation conversation_;
    UnsentLimit::Share unsent_;

  private:
    // Nothing: go on.
    std::optional<Next> read_proxy_header() {
        switch (proxy_->read(socket().fd())) {
            case ProxyReader::Step::need_more: return Next::wait(proxy_->until());
            case ProxyReader::Step::refused: return Next::close();
            case ProxyReader::Step::done: break;
        }
        std::unique_ptr<nutils::SockAddr> client = proxy_->client();
        proxy_.reset();
        if (client == nullptr) return {};
        conversation_.memory.peer = std::move(client);
        if (!take_place(*conversation_.memory.peer)) return refuse();
        return {};
    }
    Next forget_input() {
        const bool more = webby::forget_input(
            conversation_.lingered, [this](std::span<char> room) { return socket().try_recv(room); });
        return more ? Next::wait(conversation_.until) : Next::close();
    }

    ConnectionTicket place_;
    AddressLimit::Place place_of_address_;
    std::unique_ptr<ProxyReader> proxy_;  // until its header has come
};

// The same over TLS. Shakes hands when the client has begun to: a silent one holds no stack.
class CoroutineDriver::TlsConnection final : public Connection {
  public:
    TlsConnection(EvSocket socket, CoroutineDriver& driver, ConnectionTicket place, const TlsContext& context)
        : Connection(std::move(socket), driver, std::move(place)), context_(context) {}

  private:
    Next serve() override {
        if (is_unusual()) [[unlikely]]
            if (const std::optional<Next> next = before_requests()) return *next;
        if (!tls_.is_open() && !shake_hands()) return Next::close();
        return driver_.converse(tls_, *this, take_wait());
    }
    bool has_begun() const override { return tls_.is_open(); }
    void say_full() override {  // who has not shaken hands would not understand
        if (tls_.is_open() && tls_.try_send(kFullAnswer)) (void)tls_.shutdown_send();
        (void)socket().shutdown_send();
    }

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
EvParking::Next CoroutineDriver::converse(Stream& stream, Connection& connection, cutils::Duration queued) {
    Conversation& conversation = connection.conversation_;
    Exchange*& exchange = conversation.exchange;
    const bool is_new = exchange == nullptr;
    if (is_new) exchange = exchanges.take();
    LoopSocket<Stream> socket(stream, loop);
    Session session(context, socket, conversation);
    if (is_new) {
        exchange->begin(context, session, conversation.memory, &connection);
        exchange->count_queued(queued);
    } else {
        exchange->resume(context, session);
    }
    const SessionEnd end = session.run();
    if (end == SessionEnd::close) [[unlikely]] {
        if (exchange->engine().must_reset()) break_off(socket.fd(), LoopSocket<Stream>::kKeepsOutput);
        // An earlier answer could not be sent: who makes this one must not tell us of it.
        exchange->abandon();
        exchange->broke_off(conversation.sent);
    }
    lines_added();
    if (end != SessionEnd::park && end != SessionEnd::close) return wait(connection, end);
    exchange->end();
    exchanges.give(std::exchange(exchange, nullptr));
    if (end == SessionEnd::close) return EvParking::Next::close();
    if (paused() && options.when_full == WhenFull::close_idle) resume();  // this one may go for another
    return EvParking::Next::park(idle);
}

// In the middle of something.
EvParking::Next CoroutineDriver::wait(Connection& connection, SessionEnd for_what) {
    const Conversation& conversation = connection.conversation_;
    if (for_what == SessionEnd::wait) return EvParking::Next::wait(conversation.until);
    if (for_what == SessionEnd::wait_writable) {
        if (options.unsent != nullptr) wait_for_room(connection);
        return EvParking::Next::wait_writable(conversation.until);
    }
    if (conversation.want == Exchange::Want::source) streaming.push_back(connection);
    return EvParking::Next::wait_woken(conversation.until);
}

// Whoever is cut has a stack once more, to end.
void CoroutineDriver::wait_for_room(Connection& connection) {
    connection.unsent_.take(*options.unsent, connection.conversation_.exchange->held());
    slow.push_back(connection);
    options.unsent->make_room([&] {
        Connection& slowest = slow.front();
        if (&slowest == &connection) return -1;
        slowest.go_on_writing();
        return slowest.socket().fd();
    });
}

void CoroutineDriver::accepted(nutils::UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket place,
                               const TlsContext* tls) {
    const bool is_full = !make_room();
    if (is_full && parking.size() >= options.max_connections + kMostRefused) return count_refused();
    EvSocket socket(loop, std::move(fd));
    socket.set_idle_timeout(options.timeouts.io);
    std::unique_ptr<Connection> connection =
        tls == nullptr ? std::make_unique<Connection>(std::move(socket), *this, std::move(place))
                       : std::make_unique<TlsConnection>(std::move(socket), *this, std::move(place), *tls);
    if (somebody_asks_late(context.application)) connection->remember(peer);
    Deadline until = tls == nullptr && !options.proxy_protocol ? idle : Deadline(options.timeouts.head);
    if (is_full || (!options.proxy_protocol && !connection->take_place(peer))) {
        (void)connection->refuse();
        until = options.timeouts.linger;
    }
    if (const std::error_code error = parking.adopt(std::move(connection), until))
        cutils::log(cutils::LogLevel::warning, "webby: a connection was dropped: %s",
                    error.message().c_str());
    if (parking.size() >= options.max_connections && options.when_full == WhenFull::wait) pause();
}

CoroutineDriver::~CoroutineDriver() {
    drain();
    if (!finished()) parking.shutdown();
}

void CoroutineDriver::end_idle() {
    parking.drain();
    streaming.for_each([](Connection& connection) { connection.wake(); });
}

Driver::Counts CoroutineDriver::counts() const {
    return {.connections = parking.size(),
            .idle = parking.parked(),
            .waiting = parking.waiting(),
            .requests = context.requests,
            .refused = refused};
}

}  // namespace

std::unique_ptr<Driver> make_coroutine_driver(EvLoop& loop, const Application& application,
                                              const DriverOptions& options,
                                              std::unique_ptr<AccessLog> access_log) {
    return std::make_unique<CoroutineDriver>(loop, application, options, std::move(access_log));
}

}  // namespace webby
