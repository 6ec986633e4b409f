// Exchange: a connection at work. The engine, the request and the response of one conversation, and the
// application that answers; everything about HTTP that is the same whoever does the reading and writing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/clock.h"
#include "cutils/deadline.h"
#include "cutils/export.h"
#include "evcorothread/tls_socket.h"
#include "nutils/io_result.h"
#include "nutils/sock_addr.h"
#include "webby/access_log.h"
#include "webby/application.h"
#include "webby/http1_engine.h"
#include "webby/http_date.h"
#include "webby/limits.h"
#include "webby/metrics_cell.h"
#include "webby/request.h"
#include "webby/response.h"

namespace evcorothread {
class EvLoop;
}

namespace webby {

class DeferredState;

// What the connections of one loop or thread share. Owner: the server; outlives its exchanges.
struct ExchangeContext {
    const Application& application;
    const Limits& limits;
    const Timeouts& timeouts;
    const ForwardedTrust* trust = nullptr;  // nobody: null
    DateCache dates{};
    AccessLog* access_log = nullptr;  // none: null
    MetricsCell* metrics = nullptr;   // nobody wants any: null
    // Set when servlets must not wait: bodies are complete before they run, and the loop is told of deferred
    // responses. Null: the caller of advance() waits.
    evcorothread::EvLoop* event_loop = nullptr;
    // Set when a connection may be left while somebody else answers: its AnswerWaiter is told on this loop.
    evcorothread::EvLoop* told_on = nullptr;
    // Any thread may look, and set the first.
    std::atomic<bool> draining{false};       // every response closes its connection
    std::atomic<std::uint64_t> requests{0};  // answered so far

    void count_request() {  // only one thread adds
        requests.store(requests.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
};

// What is remembered of a connection from its first request to its end. Owner: the connection.
struct ConnectionMemory {
    std::uint32_t requests = 0;  // answered so far
    StateMap state{};
    std::unique_ptr<nutils::SockAddr> peer{};  // as a PROXY header says, or who connected: for who asks late
    bool tells_end = false;                    // there are such filters
    bool waiter_is_known = false;              // somebody has, or had, its AnswerWaiter to tell

    void tell_closed(const Application& application) {
        if (tells_end) [[unlikely]]
            application.connection_closed(*peer, requests, state);
    }
};

// What an exchange asks of its driver in the middle of a request.
class Wire {
  public:
    // Sends the engine's output, then waits for input and gives it to the engine.
    virtual nutils::IoResult refill(cutils::Deadline deadline) = 0;
    virtual nutils::SockAddr peer() const = 0;
    // Sends the engine's output.
    virtual std::error_code flush(cutils::Deadline deadline) = 0;
    // What was agreed on with the peer; nothing without TLS.
    virtual std::optional<evcorothread::TlsInfo> tls() const { return {}; }
    // The connection's descriptor; -1: there is none.
    virtual int fd() const { return -1; }
    // The driver's clock, as of lately; and read now.
    virtual cutils::TimePoint now() const = 0;
    virtual cutils::TimePoint precise_now() const { return now(); }

  protected:
    ~Wire() = default;
};

// A driver does this and nothing else:
//
//   exchange.begin(context, wire);
//   for (;;) switch (exchange.advance()) {
//       case Want::input: send engine().output() if there is some; sleep if is_idle(), else read into
//                         engine().input_space()
//       case Want::send:  send engine().output()
//       case Want::close: send it, then close, lingering if engine().lingers()
//       case Want::deferred: send it, then wait until the AnswerWaiter is told; only where it can be
//       case Want::source: send it, then wait_for_source(), or watch_source() where it can_be_told()
//   }
//
// Owner: whoever drives the connection, while it works; large, so it is reused for the next (ExchangePool),
//        and an idle connection has none. One thread.
class EVC_API Exchange final : public RequestSource, public ResponseSink, public BrokenBody {
  public:
    enum class Want { input, send, close, deferred, source };

    explicit Exchange(const Limits& limits);
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    // Blocks while a servlet on another thread uses the request.
    ~Exchange() {
        abandon();
        count_end();
    }

    // Starts anew, for a connection that has just come or wakes up. Lifetime: of all, until the next begin()
    // or resume().
    void begin(ExchangeContext& context, Wire& wire, ConnectionMemory& memory,
               AnswerWaiter* waiter = nullptr);
    // Puts down in the connection's memory what has to be remembered.
    void end() { memory_->requests = static_cast<std::uint32_t>(engine_.requests()); }
    // Lets go of what was not sent, for whoever begins with it next.
    void put_aside() {
        count_end();
        given_up_ = false;  // not in begin(): others may have given up before that
        if (kept_line_ != nullptr) [[unlikely]]
            end_line(0);
        if (engine_.has_output() || engine_.is_sending()) [[unlikely]]
            engine_.forget_output();
    }
    // Goes on where it was, perhaps on another thread.
    void resume(ExchangeContext& context, Wire& wire) {
        context_ = &context;
        wire_ = &wire;
    }

    // Goes as far as it can with what has been received; runs servlets.
    // Suspends: where a servlet does.
    [[nodiscard]] Want advance();

    // Whoever waits for a deferred response in advance() goes on without it, now and until put_aside().
    // Any thread.
    void give_up();
    // True when a deferred response may not be left alone: a servlet on another thread uses the request.
    [[nodiscard]] bool is_pinned() const;
    // After Want::deferred: whether it is there already. It may have come while earlier answers were sent,
    // and then nobody tells of it again.
    [[nodiscard]] bool has_answer() const;
    // Nobody will go on with this conversation. Blocks while is_pinned(), until has_answer().
    void abandon() {
        if (response_.deferred() != nullptr) abandon_deferred();
    }

    // Until when a client must have sent more, after Want::input; then engine().time_out(). A head, and what
    // is left of a body that nobody reads, have one deadline from beginning to end, so that dribbling does
    // not help. A body has to make progress, and be no slower than Limits::body_rate in the long run.
    [[nodiscard]] cutils::TimePoint input_deadline(cutils::TimePoint now);

    // Whether an AnswerWaiter is there, and a loop to tell it on.
    [[nodiscard]] bool can_be_told() const { return context_->told_on != nullptr && waiter_ != nullptr; }
    // After Want::source: waits until its source has more, or ends, or the client has gone (false).
    [[nodiscard]] bool wait_for_source();
    // The same where nobody may wait. True: the AnswerWaiter is told; source_is_slow() when that takes long.
    [[nodiscard]] bool watch_source();
    // Whether the server is stopping, and the source need not be waited for: else it has as long as all
    // requests in flight.
    [[nodiscard]] bool source_ends() const {
        return context_->draining.load(std::memory_order_relaxed) && engine_.source_may_end();
    }
    static constexpr std::chrono::seconds kSlowSource{15};
    void source_is_slow() { engine_.source().nothing_came(); }

    // The time a route grants is over, and its response is still deferred: 503. False: it cannot be left
    // alone.
    [[nodiscard]] bool expire_deferred();
    // When that is; never, if the route says nothing.
    [[nodiscard]] cutils::Deadline answer_deadline() const { return request_.deadline(); }

    // About how many bytes of memory the answer holds that is being sent.
    [[nodiscard]] std::size_t held() const { return engine_.held(); }

    // Received and sent, for a driver: engine().received(), sent() and time_out(), and they are counted.
    void received(std::size_t bytes) {
        if (MetricsCell* const metrics = context_->metrics) metrics->received.add(bytes);
        engine_.received(bytes);
    }
    void sent(const nutils::IoResult& how) {
        if (context_->metrics != nullptr) count_sent(how);
        if (kept_line_ != nullptr || how.error) [[unlikely]]
            return sent_and_known(how);
        engine_.sent();
    }
    void sent_all(std::uint64_t bytes) {
        if (context_->metrics != nullptr || kept_line_ != nullptr)
            return sent({static_cast<std::size_t>(bytes), {}});
        engine_.sent();
    }
    void time_out();
    // The connection ends, and so many bytes of engine().output() have gone.
    void broke_off(std::uint64_t sent) {
        if (kept_line_ != nullptr) end_line(engine_.body_in_output(sent));
    }
    // The connection ends although its request, or its response, is not complete.
    void count_cut() { cut_ = true; }
    // The client has taken nothing of the output for too long.
    void write_timed_out() {
        if (context_->metrics != nullptr) count_sent({0, nutils::NetError::timed_out});
    }
    void count_timeout(TimeoutKind kind) {
        if (MetricsCell* const metrics = context_->metrics) metrics->count_timeout(kind);
    }
    // How long the first byte of a request has waited for a stack.
    void count_queued(cutils::Duration time) {
        if (MetricsCell* const metrics = context_->metrics) metrics->queued.add(time);
    }

    [[nodiscard]] Http1Engine& engine() { return engine_; }
    [[nodiscard]] const Http1Engine& engine() const { return engine_; }

    // For Request.
    nutils::IoResult read_body(std::span<char> buffer, cutils::Deadline deadline) override;
    nutils::SockAddr peer() const override;
    const ForwardedTrust* trust() const override { return context_->trust; }
    std::optional<evcorothread::TlsInfo> tls() const override;
    bool client_gone() const override;
    StateMap& connection_state() const override { return memory_->state; }

    // For the engine.
    void body_broke_off(const char* why) noexcept override;

    // For Response.
    nutils::IoResult write(std::string_view piece, cutils::Deadline deadline) override;
    std::error_code flush(cutils::Deadline deadline) override;

  private:
    void start();
    void answer();
    bool serve();
    bool serve_until(cutils::Duration deadline);
    void finish();
    void finish_stream();
    [[nodiscard]] bool begin_stream();
    [[nodiscard]] std::error_code send_piece(std::string_view piece, cutils::Deadline deadline);
    enum class Coding : std::uint8_t { piece, flush, last };
    [[nodiscard]] std::error_code stream(std::string_view piece, Coding what);
    [[nodiscard]] std::error_code stream_coded(WriteCoder& coder, std::string_view piece, Coding what);
    static constexpr std::size_t kMostCoded = 16 * 1024;
    void let_others_go_first();
    [[nodiscard]] bool filter_piece();
    void too_late();
    [[nodiscard]] const Filter::Wants& wants() const {
        static constexpr Filter::Wants kNothing;
        return match_.site != nullptr ? match_.site->line().wants : kNothing;
    }
    void take_piece();
    void run_response_data();
    void log(std::uint64_t bytes);
    void log_response(cutils::TimePoint now);
    void sent_and_known(const nutils::IoResult& how);
    void end_line(std::uint64_t more);
    std::optional<std::chrono::nanoseconds> took();
    bool settle();
    bool settle_one(DeferredState& state, bool may_wait);
    bool wait_for(DeferredState& state);
    void abandon_deferred();
    void gather();
    void refuse();
    void respond();
    void count_head();
    void count_response();
    void count_latency();
    void count_sent(const nutils::IoResult& how);
    void count_end() {
        if (is_counted_) count_ended();
    }
    void count_ended();

    ExchangeContext* context_ = nullptr;
    Request request_;
    Response response_;
    Http1Engine engine_;
    Application::Match match_;
    Wire* wire_ = nullptr;
    ConnectionMemory* memory_ = nullptr;
    AnswerWaiter* waiter_ = nullptr;
    std::string_view piece_;  // of a streamed body, not read yet
    std::string gathered_;    // a body that was to be streamed, where it has to be complete
    std::string filtered_;    // … or one that a filter has changed
    std::size_t filters_entered_ = 0;
    std::uint64_t written_ = 0;           // of a body that is written piece by piece
    std::size_t coded_ = 0;               // of that, since others had their turn
    Status written_status_ = Status::ok;  // what its head says
    std::error_code write_error_;
    std::unique_ptr<Response> other_answer_;  // a filter's, while the servlet still reads, or writes
    bool streaming_ = false;                  // the servlet reads the body itself
    bool writing_ = false;                    // it writes the response itself: the head is out
    bool left_ = false;                       // the filters have seen the response already
    bool end_told_ = false;                   // the filters know that the body is complete
    bool failed_ = false;                     // the servlet, or a filter, threw
    bool gathers_ = false;
    bool deferred_ = false;  // advance() has returned Want::deferred

    // For the metrics.
    bool is_counted_ = false;  // as active
    bool cut_ = false;
    cutils::TimePoint head_at_{};  // of a request that has no response yet

    enum class Waiting : std::uint8_t { nothing, head, body, drain };
    Waiting waiting_for_input_ = Waiting::nothing;  // what input_since_ is about
    std::uint64_t waiting_in_request_ = 0;
    cutils::TimePoint input_since_{};
    cutils::TimePoint started_{};  // with an access log: when the head was complete
    // Of an answer that is being sent: its line, how much of its body has gone, when it was asked for.
    std::unique_ptr<AccessLog::Kept> kept_line_;
    std::uint64_t body_sent_ = 0;
    cutils::TimePoint kept_started_{};

    std::mutex mutex_;  // of these two
    DeferredState* waiting_for_ = nullptr;
    bool given_up_ = false;

    friend class ExchangePool;
    Exchange* next_free_ = nullptr;
};

// Exchanges waiting for work, the one used last on top. As many as were ever busy at once, up to a bound.
class EVC_API ExchangePool {
  public:
    // Lifetime: limits outlives the pool.
    explicit ExchangePool(const Limits& limits) : limits_(limits) {}
    ExchangePool(const ExchangePool&) = delete;
    ExchangePool& operator=(const ExchangePool&) = delete;
    ~ExchangePool();

    // One that begin() may be called on. May throw std::bad_alloc.
    [[nodiscard]] Exchange* take() {
        if (free_ == nullptr) return new Exchange(limits_);
        --count_;
        return std::exchange(free_, free_->next_free_);
    }
    [[gnu::always_inline]] void give(Exchange* exchange) {
        exchange->put_aside();
        if (Exchange* const surplus = keep(exchange)) [[unlikely]]
            destroy(surplus);
    }
    // The same for one that has been put aside, without running anybody else's code: for a pool under a
    // lock. Returns it when there are enough of them, for the caller to delete.
    [[nodiscard]] Exchange* keep(Exchange* exchange) {
        if (count_ >= kKeep) return exchange;
        ++count_;
        exchange->next_free_ = std::exchange(free_, exchange);
        return nullptr;
    }

  private:
    static void destroy(Exchange* surplus);

    static constexpr std::size_t kKeep = 1024;
    const Limits& limits_;
    Exchange* free_ = nullptr;
    std::size_t count_ = 0;
};

}  // namespace webby
