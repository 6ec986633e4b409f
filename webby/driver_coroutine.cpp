#include "webby/driver_coroutine.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "cutils/log.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_socket.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_timer.h"
#include "webby/exchange.h"

namespace webby {

using cutils::Deadline;
using evcorothread::ConnectionTicket;
using evcorothread::EvLoop;
using evcorothread::EvParking;
using evcorothread::EvSocket;
using evcorothread::EvTcpAcceptor;
using evcorothread::EvTimer;
using nutils::IoResult;

struct CoroutineDriver::Impl {
    Impl(EvLoop& the_loop, const Application& application, const DriverOptions& the_options,
         std::unique_ptr<AccessLog> log)
        : loop(the_loop),
          options(the_options),
          idle(the_options.timeouts.idle),
          access_log(std::move(log)),
          context{application, options.limits},
          exchanges(context),
          parking(loop, "http"),
          drain_timer(loop, [this] { parking.cancel_active(); }),
          log_timer(loop, [this] { access_log->flush(); }) {
        context.access_log = access_log.get();
        parking.on_gone([this] { gone(); });
    }

    void accepted(nutils::UniqueFd fd, ConnectionTicket place = {});
    void gone();
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
    bool full = false;  // max_connections are there: not accepting
};

// What a connection is while it has no work.
class CoroutineDriver::Connection final : public EvParking::Guest {
  public:
    Connection(EvSocket socket, Impl& driver, ConnectionTicket place)
        : Guest(std::move(socket)), driver_(driver), place_(std::move(place)) {}

  private:
    EvParking::Next serve() override;

    Impl& driver_;
    ConnectionTicket place_;
};

// A connection at work: moves bytes between the socket and an exchange until there is nothing more to do.
class CoroutineDriver::Session final : public Wire {
  public:
    Session(Impl& driver, EvSocket& socket, Exchange& exchange)
        : driver_(driver), socket_(socket), exchange_(exchange), engine_(exchange.engine()) {}

    EvParking::Next run() {
        exchange_.begin(*this);
        for (Exchange::Want want = Exchange::Want::input;; want = exchange_.advance()) {
            if (!send_output()) return EvParking::Next::close();
            switch (want) {
                case Exchange::Want::send: break;
                case Exchange::Want::input:
                    if (engine_.is_idle() && !socket_.may_recv()) return EvParking::Next::park(driver_.idle);
                    switch (receive()) {
                        case Received::something: break;
                        case Received::nothing: return EvParking::Next::park(driver_.idle);
                        case Received::failure: return EvParking::Next::close();
                    }
                    break;
                case Exchange::Want::close:
                    if (engine_.lingers()) linger();
                    return EvParking::Next::close();
            }
        }
    }

    IoResult refill(Deadline deadline) override {
        if (!send_output()) return {0, std::make_error_code(std::errc::broken_pipe)};
        const IoResult got = socket_.recv(engine_.input_space(), deadline);
        if (got) engine_.received(got.bytes);
        if (!got.eof()) return got;
        engine_.end_of_input();
        return {};
    }
    nutils::SockAddr peer() const override { return socket_.peer().value_or(nutils::SockAddr()); }
    cutils::TimePoint now() const override { return driver_.loop.now(); }

  private:
    enum class Received { something, nothing, failure };

    // The socket's idle timeout limits each wait: a client that takes a little now and then may take all day.
    bool send_output() {
        if (!engine_.has_output()) return true;
        const IoResult sent =
            engine_.must_send() ? send_large() : socket_.send_all(engine_.output_text(), Deadline::never);
        engine_.sent();
        return static_cast<bool>(sent);
    }

    [[gnu::noinline]] IoResult send_large() {
        const Http1Engine::Output output = engine_.output();
        std::array<iovec, 2> pieces = {iovec{const_cast<char*>(output.text.data()), output.text.size()},
                                       iovec{const_cast<char*>(output.body.data()), output.body.size()}};
        if (output.file < 0) return socket_.send_all_v(pieces, Deadline::never);
        const IoResult head = socket_.send_all(output.text, MSG_MORE, Deadline::never);
        if (!head) return head;
        return socket_.sendfile_all(output.file, output.offset, static_cast<std::size_t>(output.count),
                                    Deadline::never);
    }

    Received receive() {
        const std::span<char> space = engine_.input_space();
        const IoResult got = engine_.is_idle() ? socket_.try_recv(space) : socket_.recv(space, deadline());
        if (got) [[likely]] {
            engine_.received(got.bytes);
            return Received::something;
        }
        if (got.would_block()) return Received::nothing;
        if (got.eof())
            engine_.end_of_input();
        else if (got.timed_out())
            engine_.time_out();
        else
            return Received::failure;
        return Received::something;
    }

    // A head, and what is left of a body that nobody reads, have one deadline from beginning to end, so that
    // dribbling does not help; a body that is read has to make progress, which the socket's idle timeout sees
    // to.
    Deadline deadline() {
        const bool in_head = engine_.is_reading_head();
        if (!in_head && !engine_.is_draining()) return Deadline::never;
        if (!deadline_ || deadline_of_ != engine_.requests() || deadline_is_of_head_ != in_head) {
            deadline_of_ = engine_.requests();
            deadline_is_of_head_ = in_head;
            deadline_ = now() + (in_head ? driver_.options.timeouts.head : driver_.options.timeouts.io);
        }
        return *deadline_;
    }

    // Waits for the client to close first, forgetting what it still sends: closing a socket with unread input
    // resets the connection, and the reset may overtake the answer.
    void linger() {
        constexpr std::size_t kEnough = 256 * 1024;
        std::array<char, 2048> forgotten;
        if (!socket_.shutdown_send()) return;
        const Deadline until = now() + driver_.options.timeouts.linger;
        for (std::size_t bytes = 0; bytes < kEnough;) {
            const IoResult got = socket_.recv(forgotten, until);
            if (!got) return;
            bytes += got.bytes;
        }
    }

    Impl& driver_;
    EvSocket& socket_;
    Exchange& exchange_;
    Http1Engine& engine_;
    std::optional<cutils::TimePoint> deadline_;
    std::uint64_t deadline_of_ = 0;
    bool deadline_is_of_head_ = false;
};

EvParking::Next CoroutineDriver::Connection::serve() {
    struct Lease {
        explicit Lease(ExchangePool& the_pool) : pool(the_pool), exchange(pool.take()) {}
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() { pool.give(exchange); }
        ExchangePool& pool;
        Exchange* exchange;
    } lease(driver_.exchanges);
    const EvParking::Next next = Session(driver_, socket(), *lease.exchange).run();
    driver_.lines_added();
    return next;
}

void CoroutineDriver::Impl::accepted(nutils::UniqueFd fd, ConnectionTicket place) {
    EvSocket socket(loop, std::move(fd));
    socket.set_idle_timeout(options.timeouts.io);
    const std::error_code error =
        parking.adopt(std::make_unique<Connection>(std::move(socket), *this, std::move(place)), idle);
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

cutils::Result<nutils::SockAddr> CoroutineDriver::listen(const nutils::SockAddr& address) {
    Impl& driver = *impl_;
    cutils::Result<EvTcpAcceptor> acceptor = EvTcpAcceptor::listen_raw(
        driver.loop, address,
        [&driver](nutils::UniqueFd fd, const nutils::SockAddr&) { driver.accepted(std::move(fd)); });
    if (!acceptor) return acceptor.error();
    driver.acceptors.push_back(std::move(*acceptor));
    return driver.acceptors.back().local_address();
}

void CoroutineDriver::adopt(nutils::UniqueFd connection, ConnectionTicket place) {
    impl_->accepted(std::move(connection), std::move(place));
}

void CoroutineDriver::drain() {
    if (std::exchange(impl_->context.draining, true)) return;
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

CoroutineDriver::Counts CoroutineDriver::counts() const {
    return {impl_->parking.size(), impl_->parking.parked(), impl_->parking.waiting(),
            impl_->context.requests};
}

}  // namespace webby
