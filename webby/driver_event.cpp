// EventDriver: serves an application on an EvLoop by callbacks alone: no coroutine, no stack.
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cutils/intrusive.h"
#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_watch.h"
#include "evcorothread/tls_layer.h"
#include "nutils/net_error.h"
#include "nutils/socket_ops.h"
#include "nutils/unsent_queue.h"
#include "webby/deferred_internal.h"
#include "webby/exchange.h"
#include "webby/forget_input_internal.h"
#include "webby/full_answer_internal.h"
#include "webby/loop_driver_internal.h"
#include "webby/metrics_board_internal.h"
#include "webby/output_steps_internal.h"
#include "webby/peer_gone_internal.h"
#include "webby/proxy_reader_internal.h"
#include "webby/unsent_limit.h"

namespace webby {

using cutils::Deadline;
using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::EvWatch;
using evcorothread::TlsContext;
using evcorothread::TlsInfo;
using evcorothread::TlsLayer;
using nutils::IoResult;

namespace {

// The path of a connection: accepted on the loop; watched; its first byte takes an Exchange; what is there is
// read and answered, servlets running to completion on the loop; what the kernel does not take waits for
// room; nothing more there: the exchange goes back. A servlet that needs something else first defers its
// response, and meanwhile only the exchange is held.
//
// Cost:   a request is one recv(2), one send(2) and its share of epoll_wait(2); no allocation.
class EventDriver final : public LoopDriver {
  public:
    EventDriver(EvLoop& the_loop, const Application& application, const DriverOptions& the_options,
                std::unique_ptr<AccessLog> log)
        : LoopDriver(the_loop, application, the_options, std::move(log)) {
        context.event_loop = &loop;
    }
    // Blocks while a servlet runs on another thread (Blocking::offload).
    ~EventDriver() override;

    void cancel() override;
    [[nodiscard]] Counts counts() const override;

  private:
    class Connection;
    struct SlowTag;

    void accepted(nutils::UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket place,
                  const TlsContext* tls) override;
    [[nodiscard]] std::size_t open() const override { return count; }
    bool close_oldest() override;
    void end_idle() override;

    cutils::List<Connection, Connection> connections;
    cutils::List<Connection, SlowTag> slow;  // to take their answers; who has waited longest in front
    std::size_t count = 0;
    std::size_t idle = 0;
};

// TLS between a connection and its watch.
struct TlsSide final : evcorothread::TlsTransport {
    explicit TlsSide(EvWatch& its_watch) : watch(its_watch) {}
    IoResult try_recv(std::span<char> buffer) override { return watch.try_recv(buffer); }
    IoResult try_send(std::string_view data) override { return watch.try_send(data); }

    EvWatch& watch;
    TlsLayer layer;
};

// A connection and where it stands. Deletes itself at its end: after end(), and after what says so, *this is
// gone.
class EventDriver::Connection final : public cutils::ListHook<Connection>,
                                      public cutils::ListHook<SlowTag>,
                                      public Wire,
                                      public AnswerWaiter {
  public:
    Connection(EventDriver& driver, nutils::UniqueFd fd, ConnectionTicket place)
        : driver_(driver),
          watch_(driver.loop, std::move(fd),
                 {.readable = [this] { guarded(&Connection::on_readable); },
                  .writable = [this] { guarded(&Connection::on_writable); },
                  .expired = [this] { guarded(&Connection::on_expired); }}),
          place_(std::move(place)) {
        if (MetricsCell* const metrics = driver_.context.metrics) metrics->accepted.add();
    }
    ~Connection() {
        ListHook<Connection>::unlink();
        ListHook<SlowTag>::unlink();
        if (state_ == State::idle) --driver_.idle;
        if (exchange_ != nullptr) {
            exchange_->abandon();
            exchange_->end();
            exchange_->broke_off(sent_);
            driver_.exchanges.give(exchange_);
            driver_.lines_added();
        }
        memory_.tell_closed(driver_.context.application);
        if (MetricsCell* const metrics = driver_.context.metrics) {
            metrics->closed.add();
            if (driver_.context.draining.load(std::memory_order_relaxed)) metrics->drained.add();
        }
    }

    std::error_code start(const TlsContext* tls) {
        if (const std::error_code error = watch_.start()) return error;
        if (tls != nullptr) {
            tls_ = std::make_unique<TlsSide>(watch_);
            cutils::Result<TlsLayer> layer = TlsLayer::accept(*tls_, *tls);
            if (!layer) return layer.error().code();
            tls_->layer = *std::move(layer);
        }
        if (driver_.options.proxy_protocol) {
            const cutils::TimePoint until = now() + driver_.options.timeouts.head;
            proxy_ = std::make_unique<ProxyReader>(*driver_.options.trust, until);
            enter(State::greeting);
            watch_.expire(until);
        } else {
            greet();
        }
        return {};
    }
    void remember(const nutils::SockAddr& peer) { memory_.peer = std::make_unique<nutils::SockAddr>(peer); }
    // False: its address has as many as it may.
    [[nodiscard]] bool take_place(const nutils::SockAddr& client) {
        AddressLimit* const limit = driver_.options.per_address;
        return limit == nullptr || limit->enter(client, place_of_address_);
    }
    // Says that there is no place for it. After: *this may be gone.
    void refuse() {
        driver_.count_refused();
        if (tls_ == nullptr) (void)watch_.try_send(kFullAnswer);  // over TLS nobody would understand yet
        tls_.reset();
        begin_to_linger();
    }
    [[nodiscard]] bool is_idle() const { return state_ == State::idle; }
    // With nothing arrived that the kernel has told of.
    [[nodiscard]] bool is_unused() const { return (is_idle() || state_ == State::shaking) && !has_input(); }
    // Not while a servlet on another thread uses the request: then it ends with that.
    void end() {
        if (exchange_ != nullptr && exchange_->is_pinned() && !exchange_->has_answer()) [[unlikely]]
            return wait_for_servlet();
        end_now();
    }
    void end_now() {
        EventDriver& driver = driver_;
        const bool breaks_off = exchange_ != nullptr && exchange_->engine().must_reset();
        if (breaks_off)
            break_off(watch_.fd(), tls_ != nullptr);
        else if (tls_ != nullptr)
            say_goodbye();
        delete this;
        --driver.count;
        driver.gone();
    }
    // The server stops: a body that others make is complete.
    void end_streaming() {
        if (state_ == State::streaming && exchange_->watch_source() == false) go_on(exchange_->advance());
    }

    // For the exchange. Bodies are complete before servlets run, so nobody asks for more.
    IoResult refill(Deadline) override { return {0, nutils::NetError::eof}; }
    std::error_code flush(Deadline) override { return {}; }
    int fd() const override { return watch_.fd(); }
    nutils::SockAddr peer() const override {
        return nutils::SockAddr::peer_of(watch_.fd()).value_or(nutils::SockAddr());
    }
    std::optional<TlsInfo> tls() const override {
        return tls_ != nullptr ? std::optional(tls_->layer.info()) : std::nullopt;
    }
    cutils::TimePoint now() const override { return driver_.loop.now(); }
    cutils::TimePoint precise_now() const override { return driver_.loop.precise_now(); }
    void answer_goes_on() override { guarded(&Connection::on_answer); }

  private:
    enum class State : std::uint8_t {
        fresh,
        greeting,   // a PROXY header is to come
        shaking,    // of TLS, hands
        idle,       // no exchange: waits for the first byte of a request
        reading,    // waits for more of one
        writing,    // waits until the kernel takes more of the output
        deferred,   // a servlet's answer is to come
        streaming,  // an answer's body is made by somebody else, piece by piece
        lingering,  // answered and shut down: reads until the client closes
    };
    enum class Sent { all, some, failure };
    enum class Received { something, nothing, failure };

    // Data, an end or an error is there; a poll(2), or what the kernel said, would tell.
    bool has_input() const {
        char byte;
        return !nutils::recv_some(watch_.fd(), {&byte, 1}, MSG_PEEK).would_block();
    }

    void enter(State state) {
        if (state_ == State::idle) --driver_.idle;
        if (state == State::idle) ++driver_.idle;
        if (state_ == State::writing) [[unlikely]]
            go_on_writing();
        state_ = state;
    }
    // Those in the list that have been idle longest stand in front, if anybody asks.
    void park() {
        if (driver_.options.when_full == WhenFull::close_idle && ListHook<Connection>::linked()) {
            ListHook<Connection>::unlink();
            driver_.connections.push_back(*this);
            driver_.resume();
        }
        enter(State::idle);
        watch_.expire(driver_.options.timeouts.idle);
    }

    // No memory, for instance. Whatever ends the connection comes last, so *this is still there.
    void guarded(void (Connection::*step)()) {
        try {
            (this->*step)();
        } catch (const std::exception& error) {
            cutils::log(cutils::LogLevel::error,
                        "a connection is closed because serving it ended by an exception: %s", error.what());
            end();
        }
    }

    void on_readable() {
        switch (state_) {
            case State::greeting: return read_proxy_header();
            case State::shaking: return shake_hands();
            case State::idle:
                exchange_ = driver_.exchanges.take();
                exchange_->begin(driver_.context, *this, memory_, this);
                exchange_->count_queued({});  // callbacks wait for nothing but the loop
                enter(State::reading);
                watch_.expire(Deadline::never);
                [[fallthrough]];
            case State::reading: return go_on(Exchange::Want::input);
            case State::lingering: return linger();
            case State::writing:
                if (std::exchange(resume_writing_, false)) go_on(want_);
                return;
            case State::streaming:
                if (peer_gone(watch_.fd())) end();
                return;
            case State::fresh:
            case State::deferred: return;  // in its turn
        }
    }
    void on_writable() {
        if (state_ == State::writing) return go_on(want_);
        if (tls_ != nullptr) (void)tls_->layer.flush();  // an error shows in what comes next
    }
    void on_answer() {
        if (doomed_) return end();
        if (state_ != State::deferred && state_ != State::streaming) return;  // it went on without
        go_on(exchange_->advance());
    }
    void on_expired() {
        if (state_ == State::deferred) {
            if (exchange_->expire_deferred()) go_on(exchange_->advance());
            return;  // or a servlet on another thread takes longer than it may: then so do we
        }
        if (state_ == State::streaming) {
            exchange_->source_is_slow();
            return go_on(exchange_->advance());
        }
        if (state_ == State::writing && queue_.has_shrunk(watch_.fd()))
            return watch_.expire(driver_.options.timeouts.io);
        if (state_ != State::reading) {
            count_expired();
            if (state_ == State::writing) cut_off(watch_.fd());
            return end();
        }
        exchange_->time_out();
        go_on(exchange_->advance());
    }

    void count_expired() const {
        MetricsCell* const metrics = driver_.context.metrics;
        if (metrics == nullptr || state_ == State::lingering) return;
        metrics->count_timeout(state_ == State::idle      ? TimeoutKind::idle
                               : state_ == State::shaking ? TimeoutKind::handshake
                                                          : TimeoutKind::write);
        if (state_ == State::shaking) metrics->failed_handshakes.add();
    }

    // Turns the crank until something has to be waited for.
    void go_on(Exchange::Want want) {
        Http1Engine& engine = exchange_->engine();
        for (int turns = 0, sends = 0;; want = exchange_->advance()) {
            switch (send_output()) {
                case Sent::all: break;
                case Sent::some:
                    want_ = want;
                    enter(State::writing);
                    queue_.look(watch_.fd());
                    watch_.expire(driver_.options.timeouts.io);
                    if (!resume_writing_ && driver_.options.unsent != nullptr) wait_for_room();
                    return;
                case Sent::failure: exchange_->count_cut(); return end();
            }
            switch (want) {
                case Exchange::Want::send:
                    if (++sends < kTurns && !engine.take_worked()) break;
                    want_ = Exchange::Want::send;
                    enter(State::writing);
                    (void)others_first();
                    return watch_.expire(driver_.options.timeouts.io);
                case Exchange::Want::deferred:
                    if (exchange_->has_answer()) break;
                    enter(State::deferred);
                    return watch_.expire(exchange_->answer_deadline());
                case Exchange::Want::source:
                    if (!exchange_->watch_source()) break;
                    enter(State::streaming);
                    return watch_.expire(Exchange::kSlowSource);
                case Exchange::Want::input:
                    if (engine.is_idle() && !may_recv()) return rest();
                    if (turns++ == kTurns) return let_others_go_first();
                    switch (receive()) {
                        case Received::something: break;
                        case Received::nothing: return engine.is_idle() ? rest() : wait_for_input();
                        case Received::failure: return end();
                    }
                    break;
                case Exchange::Want::close:
                    if (!engine.lingers()) return end();
                    return begin_to_linger();
            }
        }
    }

    // The kernel takes no more.
    void wait_for_room() {
        UnsentLimit& limit = *driver_.options.unsent;
        unsent_.take(limit, exchange_->held());
        driver_.slow.push_back(*this);
        limit.make_room([this] {
            Connection& slowest = driver_.slow.front();
            if (&slowest == this) return -1;
            slowest.go_on_writing();
            return slowest.watch_.fd();
        });
    }
    void go_on_writing() {
        ListHook<SlowTag>::unlink();
        unsent_.give_back();
    }

    void let_others_go_first() {
        enter(State::reading);
        watch_.again();
    }
    void wait_for_input() {
        enter(State::reading);
        watch_.expire(exchange_->input_deadline(now()));
    }
    // Nothing of a next request is there.
    void rest() {
        exchange_->end();
        driver_.exchanges.give(std::exchange(exchange_, nullptr));
        driver_.lines_added();
        if (driver_.context.draining) return end();
        park();
    }

    Received receive() {
        Http1Engine& engine = exchange_->engine();
        const IoResult got = try_recv(engine.input_space());
        if (got) [[likely]] {
            exchange_->received(got.bytes);
            return Received::something;
        }
        if (got.would_block()) return Received::nothing;
        if (!got.eof()) return Received::failure;
        engine.end_of_input();
        return Received::something;
    }

    IoResult try_recv(std::span<char> buffer) {
        return tls_ == nullptr ? watch_.try_recv(buffer) : tls_->layer.try_recv(buffer);
    }
    [[nodiscard]] bool may_recv() const {
        return watch_.may_recv() || (tls_ != nullptr && tls_->layer.has_pending());
    }

    // Who speaks first is the client.
    void greet() {
        if (tls_ == nullptr) return park();
        enter(State::shaking);
        watch_.expire(driver_.options.timeouts.head);
    }
    void read_proxy_header() {
        switch (proxy_->read(watch_.fd())) {
            case ProxyReader::Step::need_more: return;
            case ProxyReader::Step::refused: return end();
            case ProxyReader::Step::done: break;
        }
        std::unique_ptr<nutils::SockAddr> client = proxy_->client();
        proxy_.reset();
        if (client != nullptr) {
            memory_.peer = std::move(client);
            if (!take_place(*memory_.peer)) return refuse();
        }
        greet();
        on_readable();
    }

    // --- TLS ---

    void shake_hands() {
        const std::error_code error = tls_->layer.shake_hands();
        if (error == nutils::NetError::would_block) return;
        if (MetricsCell* const metrics = driver_.context.metrics) count_handshake(*metrics, error);
        if (!error) {
            park();
            if (may_recv()) watch_.again();
            return;
        }
        if (driver_.handshakes.failed(tls_->layer, error, peer(), now()))
            (void)watch_.try_send(kPlainHttpAnswer);
        tls_.reset();
        begin_to_linger();
    }
    void say_goodbye() {
        tls_->layer.say_goodbye();
        // What nobody has read would make the kernel reset the connection, goodbye and all.
        std::array<char, 1024> forgotten;
        if (watch_.may_recv()) (void)watch_.try_recv(forgotten);
    }
    // In records; sent_ says how far it went before.
    [[gnu::noinline]] Sent send_encrypted() {
        const Http1Engine::Output output = exchange_->engine().output();
        const std::uint64_t all = total_size(output);
        const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(all - sent_, kRecordSize));
        const std::unique_ptr<char[]> room(size > 0 ? new char[size] : nullptr);
        for (int steps = 0; sent_ < all; ++steps) {
            if (steps == kStepsInARow) return others_first();
            const IoResult record = next_record(output, sent_, {room.get(), size});
            if (record.error) return Sent::failure;
            const IoResult some = tls_->layer.try_send({room.get(), record.bytes});
            if (!took(some)) return Sent::failure;
            if (some.would_block()) return Sent::some;
        }
        const std::error_code error = tls_->layer.flush();
        if (!error) return Sent::all;
        return error == nutils::NetError::would_block ? Sent::some : Sent::failure;
    }

    // --- output ---

    // A fast client with much to take.
    Sent others_first() {
        watch_.again();
        resume_writing_ = true;
        return Sent::some;
    }

    Sent send_output() {
        Http1Engine& engine = exchange_->engine();
        if (!engine.has_output()) return Sent::all;
        const Sent sent = tls_ != nullptr                   ? send_encrypted()
                          : engine.must_send() || sent_ > 0 ? send_large()
                                                            : send_text(engine.output_text());
        if (sent != Sent::all) return sent;
        exchange_->sent({});
        sent_ = 0;
        return Sent::all;
    }
    Sent send_text(std::string_view text) {
        const IoResult some = watch_.try_send(text);
        if (some.bytes == text.size() && !some.error) [[likely]]
            return Sent::all;
        return took(some) ? send_large() : Sent::failure;
    }
    // False: the connection is broken.
    bool took(const IoResult& some) {
        sent_ += some.bytes;
        return !some.error || some.would_block();
    }

    // In steps: sent_ says how far it went before. Until the kernel takes no more; it will say when it does.
    [[gnu::noinline]] Sent send_large() {
        const Http1Engine::Output output = exchange_->engine().output();
        const std::uint64_t all = total_size(output);
        for (int steps = 0; sent_ < all; ++steps) {
            if (steps == kStepsInARow) return others_first();
            const IoResult some = send_step(watch_, output, sent_);
            if (!took(some)) return Sent::failure;
            if (some.would_block()) return Sent::some;
        }
        return Sent::all;
    }

    // --- the end ---

    void wait_for_servlet() {
        doomed_ = true;
        enter(State::deferred);
        watch_.expire(Deadline::never);
    }

    // The client may still be sending: closing a socket with unread input resets the connection, and the
    // reset may overtake the answer. So it is read, and forgotten, until the client closes.
    void begin_to_linger() {
        if (exchange_ != nullptr) driver_.exchanges.give(std::exchange(exchange_, nullptr));
        driver_.lines_added();
        if (tls_ != nullptr)
            tls_->layer.say_goodbye();
        else if (nutils::shutdown_send(watch_.fd()))
            return end();
        enter(State::lingering);
        watch_.expire(driver_.options.timeouts.linger);
        lingered_ = 0;
        linger();
    }
    void linger() {
        if (!forget_input(lingered_, [this](std::span<char> room) { return try_recv(room); })) end();
    }

    static constexpr int kTurns = 32;  // of reading, in one callback

    EventDriver& driver_;
    EvWatch watch_;
    ConnectionTicket place_;
    std::unique_ptr<TlsSide> tls_;        // none: null
    std::unique_ptr<ProxyReader> proxy_;  // until its header has come
    AddressLimit::Place place_of_address_;
    UnsentLimit::Share unsent_;
    nutils::UnsentQueue queue_;
    Exchange* exchange_ = nullptr;
    std::uint64_t sent_ = 0;  // of the engine's output
    std::uint32_t lingered_ = 0;
    ConnectionMemory memory_;
    Exchange::Want want_ = Exchange::Want::input;  // what comes after writing
    State state_ = State::fresh;
    bool resume_writing_ = false;  // again() was called for the output
    bool doomed_ = false;
};

bool EventDriver::close_oldest() {
    Connection* const oldest = connections.find_if([](const Connection& one) { return one.is_unused(); });
    if (oldest == nullptr) return false;
    oldest->end();
    return true;
}

void EventDriver::accepted(nutils::UniqueFd fd, const nutils::SockAddr& peer, ConnectionTicket place,
                           const TlsContext* tls) {
    if (context.draining) return;
    const bool is_full = !make_room();
    if (is_full && count >= options.max_connections + kMostRefused) return count_refused();
    auto made = std::make_unique<Connection>(*this, std::move(fd), std::move(place));
    if (somebody_asks_late(context.application)) made->remember(peer);
    if (const std::error_code error = made->start(tls))
        return cutils::log(cutils::LogLevel::warning, "webby: a connection was dropped: %s",
                           error.message().c_str());
    Connection& connection = *made.release();
    connections.push_back(connection);
    ++count;
    if (is_full || (!options.proxy_protocol && !connection.take_place(peer))) return connection.refuse();
    if (count >= options.max_connections && options.when_full == WhenFull::wait) pause();
}

void EventDriver::cancel() {
    connections.for_each([](Connection& connection) { connection.end(); });
}

EventDriver::~EventDriver() {
    drain();
    connections.for_each([](Connection& connection) { connection.end_now(); });
}

void EventDriver::end_idle() {
    connections.for_each([](Connection& connection) {
        if (connection.is_unused())
            connection.end();
        else
            connection.end_streaming();
    });
}

Driver::Counts EventDriver::counts() const {
    return {.connections = count, .idle = idle, .requests = context.requests, .refused = refused};
}

}  // namespace

std::unique_ptr<Driver> make_event_driver(EvLoop& loop, const Application& application,
                                          const DriverOptions& options,
                                          std::unique_ptr<AccessLog> access_log) {
    return std::make_unique<EventDriver>(loop, application, options, std::move(access_log));
}

}  // namespace webby
