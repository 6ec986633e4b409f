#include "webby/exchange.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/ev_thread.h"
#include "webby/deferred_internal.h"
#include "webby/file_source_internal.h"
#include "webby/peer_gone_internal.h"

namespace webby {

using nutils::IoResult;
using nutils::NetError;
using Step = Http1Engine::Step;

namespace {
constexpr std::uint64_t kAllOfIt = std::numeric_limits<std::uint64_t>::max();
}

Exchange::Exchange(const Limits& limits) : engine_(limits, request_.head()) {
    request_.set_source(*this);
    engine_.tell_of_broken_bodies(*this);
}

void Exchange::body_broke_off(const char* why) noexcept {
    std::string_view id;
    try {
        id = request_.id();
    } catch (...) {  // no memory for it
    }
    cutils::log(cutils::LogLevel::warning, "webby: the body of a response broke off: %.1000s [request %.*s]",
                why, static_cast<int>(id.size()), id.data());
}

void Exchange::begin(ExchangeContext& context, Wire& wire, ConnectionMemory& memory, AnswerWaiter* waiter) {
    resume(context, wire);
    memory_ = &memory;
    waiter_ = waiter;
    if (context.application.wants_close() && !memory.tells_end) [[unlikely]] {
        if (memory.peer == nullptr) memory.peer = std::make_unique<nutils::SockAddr>(wire.peer());
        memory.tells_end = true;
    }
    deferred_ = false;
    waiting_for_input_ = Waiting::nothing;
    engine_.reset(memory.requests);
    if (context.metrics != nullptr) {
        context.metrics->begun.add();
        is_counted_ = true;
        cut_ = false;
        head_at_ = {};
    }
}

cutils::TimePoint Exchange::input_deadline(cutils::TimePoint now) {
    const Timeouts& timeouts = context_->timeouts;
    const Waiting what = engine_.is_draining()       ? Waiting::drain
                         : engine_.is_reading_head() ? Waiting::head
                                                     : Waiting::body;
    if (waiting_for_input_ != what || waiting_in_request_ != engine_.requests()) {
        waiting_for_input_ = what;
        waiting_in_request_ = engine_.requests();
        input_since_ = now;
    }
    switch (what) {
        case Waiting::head: return input_since_ + timeouts.head;
        case Waiting::drain: return input_since_ + timeouts.io;
        default: break;
    }
    const std::uint64_t rate = context_->limits.body_rate;
    if (rate == 0) return now + timeouts.io;
    const std::chrono::seconds earned(engine_.body_eaten() / rate);
    return std::min(now + timeouts.io, input_since_ + 2 * timeouts.io + earned);
}

void Exchange::log(std::uint64_t bytes) {
    const bool bodyless = is_bodyless(response_.status()) || request_.method() == Method::head;
    context_->access_log->add(request_, response_.status(), bodyless ? 0 : bytes,
                              context_->dates.unix_time(wire_->now()), took());
}

// Since the head was complete; nothing for what was refused before.
std::optional<std::chrono::nanoseconds> Exchange::took() {
    const cutils::TimePoint since = std::exchange(started_, cutils::TimePoint());
    if (since == cutils::TimePoint()) return {};
    return cutils::monotonic_now() - since;
}

inline void Exchange::respond() {
    context_->count_request();
    if (context_->metrics != nullptr) count_response();
    const cutils::TimePoint now = wire_->now();
    if (context_->draining.load(std::memory_order_relaxed)) engine_.close_after_response();
    if (context_->access_log != nullptr) log_response(now);
    engine_.respond(response_, context_->dates.header_line(now));
}

// What is small goes out with its head. Of the rest it is known at the end how much the client has got.
void Exchange::log_response(cutils::TimePoint now) {
    if (kept_line_ != nullptr) end_line(engine_.body_in_output(kAllOfIt));  // it was small after all
    const bool bodyless = is_bodyless(response_.status()) || request_.method() == Method::head;
    const bool small = response_.has_text() && response_.body_size() <= Http1Engine::kInlineBody;
    if (bodyless || small || (response_.has_size() && response_.body_size() == 0))
        return log(response_.body_size());
    kept_line_ = context_->access_log->keep(request_, response_.status(), context_->dates.unix_time(now));
    kept_started_ = std::exchange(started_, {});
    body_sent_ = 0;
}

[[gnu::noinline]] void Exchange::sent_and_known(const IoResult& how) {
    const Http1Engine::Output output = engine_.output();
    const std::uint64_t rest = output.text.size() - std::min(how.bytes, output.text.size());
    if (writing_ && how.error) written_ -= std::min(written_, rest);
    const std::uint64_t sent = how.error ? how.bytes : kAllOfIt;
    const std::uint64_t body = kept_line_ != nullptr ? engine_.body_in_output(sent) : 0;
    engine_.sent();
    if (kept_line_ == nullptr) return;
    if (how.error || (!engine_.is_sending() && !engine_.has_output())) return end_line(body);
    body_sent_ += body;
}

void Exchange::end_line(std::uint64_t more) {
    const std::unique_ptr<AccessLog::Kept> line = std::move(kept_line_);
    if (context_->access_log == nullptr) return;
    std::optional<std::chrono::nanoseconds> took;
    if (kept_started_ != cutils::TimePoint()) took = cutils::monotonic_now() - kept_started_;
    context_->access_log->add(*line, body_sent_ + more, took);
}

inline void Exchange::answer() {
    if (!serve()) return;
    finish();
}

// False: the response is deferred, and the driver waits for it.
inline bool Exchange::serve() {
    const Application& application = context_->application;
    if (wants().request_data && !streaming_) [[unlikely]]
        if (!application.request_end(match_, request_, response_)) return true;
    if (match_.endpoint != nullptr && match_.endpoint->options.deadline.count() > 0) [[unlikely]]
        return serve_until(match_.endpoint->options.deadline);
    failed_ = !application.serve(match_, request_, response_);
    return response_.deferred() == nullptr || settle();
}

bool Exchange::serve_until(cutils::Duration time) {
    const cutils::TimePoint end = wire_->precise_now() + time;
    request_.set_deadline(end);
    {
        std::optional<evcorothread::DeadlineScope> scope;
        if (evcorothread::this_evthread::in_evthread()) scope.emplace(end);
        failed_ = !context_->application.serve(match_, request_, response_);
    }
    // What the loop last saw of the clock is from before a servlet that computed.
    const bool in_time = wire_->precise_now() < end;
    if (response_.deferred() != nullptr && (in_time || is_pinned())) return settle();
    if (in_time) return true;
    count_timeout(TimeoutKind::answer);
    if (!writing_) too_late();
    return true;
}

void Exchange::too_late() {
    response_.clear();
    response_.error(Status::service_unavailable, "This took longer than it may.");
}

// A deferred response: waits for it, or says false when that is the driver's to do.
[[gnu::noinline]] bool Exchange::settle() {
    const bool may_wait = context_->event_loop == nullptr;
    EVC_CHECK(may_wait || can_be_told(),
              "an exchange of an event loop has nobody to tell of deferred responses");
    while (DeferredState* const state = response_.deferred()) {
        if (!settle_one(*state, may_wait)) return false;
    }
    return true;
}

bool Exchange::settle_one(DeferredState& state, bool may_wait) {
    state.is_for(wire_->fd());
    // Who uses the request on another thread is waited for here: it must not go.
    if (can_be_told() && !(may_wait && state.is_pinned())) {
        memory_->waiter_is_known = true;
        deferred_ = state.tell(*context_->told_on, *waiter_);
        if (deferred_) return false;
    } else if (!wait_for(state)) {
        const bool late = request_.deadline().passed(wire_->now());
        too_late();
        if (late)
            count_timeout(TimeoutKind::answer);
        else
            response_.close_connection();
        return true;
    }
    response_.take_deferred();
    return true;
}

bool Exchange::expire_deferred() {
    if (is_pinned()) return false;
    count_timeout(TimeoutKind::answer);
    too_late();
    deferred_ = false;
    finish();
    return true;
}

// Not for a response that was given up.
bool Exchange::wait_for(DeferredState& state) {
    {
        const std::lock_guard lock(mutex_);
        if (given_up_) return false;
        waiting_for_ = &state;
    }
    std::error_code error = state.wait(request_.deadline());
    if (error == NetError::timed_out && state.is_pinned()) error = state.wait(cutils::Deadline::never);
    {
        const std::lock_guard lock(mutex_);
        waiting_for_ = nullptr;
    }
    return !error && state.is_complete();
}

void Exchange::give_up() {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    if (waiting_for_ != nullptr) waiting_for_->give_up();
}

bool Exchange::is_pinned() const {
    return response_.deferred() != nullptr && response_.deferred()->is_pinned();
}

bool Exchange::has_answer() const { return response_.deferred()->is_complete(); }

void Exchange::abandon_deferred() {
    // On a loop that calls functions it is never waited for: there it has ended.
    if (is_pinned() && response_.deferred()->is_wanted())
        (void)response_.deferred()->wait(cutils::Deadline::never);
    response_.clear();
}

inline void Exchange::finish() {
    if (writing_) [[unlikely]]
        return finish_stream();
    if (other_answer_ != nullptr) [[unlikely]] {
        response_.swap(*other_answer_);
        other_answer_.reset();
    }
    if (!std::exchange(left_, false))
        context_->application.leave(match_, request_, response_, filters_entered_);
    // A body that turned out to be malformed or too large is never answered with success.
    if (std::exchange(streaming_, false) && engine_.next_is_refused() &&
        to_number(response_.status()) < 400) {
        response_.clear();
        response_.error(engine_.refusal());
    }
    if (wants().response_data) [[unlikely]]
        run_response_data();
    respond();
}

// --- what is counted ---

void Exchange::count_head() {
    context_->metrics->requests[static_cast<std::size_t>(request_.method())].add();
    head_at_ = wire_->now();
}

void Exchange::count_response() {
    context_->metrics->responses.add(response_.status());
    if (head_at_ == cutils::TimePoint{}) return;  // refused before the head was complete
    if (match_.site == nullptr) [[unlikely]]
        context_->metrics->refused.add(response_.status());  // no such host
    count_latency();
}

void Exchange::count_latency() {
    context_->metrics->latency.add(wire_->precise_now() - head_at_);
    head_at_ = {};
}

// How much of a large one has gone when it broke off, not every socket says.
void Exchange::count_sent(const IoResult& how) {
    const Http1Engine::Output output = engine_.output();
    std::uint64_t size = output.text.size() + output.body.size();
    if (output.file >= 0) size += output.count;
    context_->metrics->sent.add(how.error ? how.bytes : size);
    if (!how.error) return;
    cut_ = true;
    if (how.error == NetError::timed_out) count_timeout(TimeoutKind::write);
}

void Exchange::time_out() {
    if (!engine_.is_idle()) count_timeout(engine_.is_reading_head() ? TimeoutKind::head : TimeoutKind::body);
    engine_.time_out();
}

void Exchange::count_ended() {
    is_counted_ = false;
    context_->metrics->ended.add();
    if (cut_ || engine_.is_in_the_middle()) context_->metrics->cut.add();
}

// The head is there: who will answer, and with the body or before it?
inline void Exchange::start() {
    constexpr std::size_t kKeep = 64 * 1024;
    std::string& body = request_.body_storage();
    if (body.capacity() > kKeep) std::string().swap(body);
    body.clear();
    request_.forget();
    response_.clear();
    response_.set_sink(nullptr);
    piece_ = {};
    gathers_ = streaming_ = writing_ = left_ = failed_ = false;
    end_told_ = false;
    filters_entered_ = 0;
    if (context_->access_log != nullptr) [[unlikely]]
        started_ = cutils::monotonic_now();
    if (context_->metrics != nullptr) count_head();
    match_ = context_->application.find(request_);
    if (!context_->application.enter(match_, request_, response_, filters_entered_)) return finish();
    const Router::Endpoint* const endpoint = match_.endpoint;
    if (endpoint == nullptr) return answer();  // nobody will read the body of a request that goes nowhere
    const bool elsewhere = context_->event_loop != nullptr || endpoint->options.blocking.is_offloaded();
    if (!elsewhere) response_.set_sink(this);
    if (!request_.head().has_body()) return answer();
    if (endpoint->options.body_limit) engine_.set_body_limit(*endpoint->options.body_limit);
    if (!endpoint->options.stream_body) return;
    gathers_ = elsewhere;
    if (gathers_) return;
    streaming_ = true;
    answer();
}

// The body is complete, and its servlet wants to read it.
void Exchange::gather() {
    gathered_.clear();
    gathered_.swap(request_.body_storage());
    piece_ = gathered_;
}

void Exchange::refuse() {
    request_.forget();
    response_.clear();
    response_.error(engine_.refusal());
    if (MetricsCell* const metrics = context_->metrics) metrics->refused.add(engine_.refusal());
    respond();
}

Exchange::Want Exchange::advance() {
    if (deferred_) [[unlikely]] {
        if (!response_.deferred()->is_complete()) return Want::deferred;
        const bool late = is_pinned() && request_.deadline().passed(wire_->now());
        deferred_ = false;
        response_.take_deferred();
        if (response_.deferred() != nullptr && !late && !settle()) return Want::deferred;
        if (late) {
            count_timeout(TimeoutKind::answer);
            too_late();
        }
        finish();
        if (engine_.must_send()) return Want::send;
    }
    engine_.pull_again();
    for (;;) {
        switch (engine_.next()) {
            case Step::need_input: return Want::input;
            case Step::close: return Want::close;
            case Step::head: start(); break;
            case Step::source: return Want::source;
            case Step::body: take_piece(); break;
            case Step::end:
                if (gathers_) gather();
                answer();
                break;
            case Step::refused: refuse(); break;
        }
        if (deferred_) [[unlikely]]
            return Want::deferred;
        if (engine_.must_send()) return Want::send;
    }
}

// Of a body that is collected.
inline void Exchange::take_piece() {
    if (!wants().request_data) [[likely]] {
        request_.body_storage().append(engine_.piece());
        return;
    }
    filtered_ = engine_.piece();
    if (filtered_.empty()) return;
    if (!context_->application.request_data(match_, request_, response_, filtered_)) return finish();
    request_.body_storage().append(filtered_);
}

// Of a body that the servlet reads. What a filter answers instead has to wait for the servlet.
bool Exchange::filter_piece() {
    const Application& application = context_->application;
    Response forgotten;  // once the head is out, nobody sees what they put into it
    Response& answer = writing_ ? forgotten : response_;
    if (piece_.empty()) {  // its end
        if (application.request_end(match_, request_, answer)) return true;
    } else {
        filtered_ = piece_;
        if (application.request_data(match_, request_, answer, filtered_)) {
            piece_ = filtered_;
            return true;
        }
    }
    piece_ = {};
    other_answer_ = std::make_unique<Response>();
    other_answer_->swap(answer);
    return false;
}

IoResult Exchange::read_body(std::span<char> buffer, cutils::Deadline deadline) {
    EVC_CHECK(!buffer.empty(), "Request::read_body() with an empty buffer");
    if (streaming_) deadline = deadline.resolved(wire_->now());
    if (other_answer_ != nullptr) return {0, NetError::canceled};
    while (piece_.empty()) {
        if (!streaming_) return {0, NetError::eof};
        switch (engine_.next()) {
            case Step::body:
                piece_ = engine_.piece();
                if (wants().request_data && !filter_piece()) return {0, NetError::canceled};
                break;
            case Step::end:
                if (wants().request_data && !std::exchange(end_told_, true) && !filter_piece())
                    return {0, NetError::canceled};
                return {0, NetError::eof};
            case Step::need_input:
                if (const IoResult got = wire_->refill(deadline); !got) return got;
                break;
            default: {
                const Status status = engine_.refusal();
                if (engine_.at_end_of_input()) return {0, NetError::truncated};
                if (status == Status::content_too_large) return {0, NetError::too_long};
                return {0, std::make_error_code(std::errc::bad_message)};
            }
        }
    }
    const std::size_t size = std::min(buffer.size(), piece_.size());
    std::memcpy(buffer.data(), piece_.data(), size);
    piece_.remove_prefix(size);
    return {size, {}};
}

// --- a body that is written piece by piece ---

// False: a filter has answered otherwise, and nobody wants what the servlet writes.
bool Exchange::begin_stream() {
    if (other_answer_ != nullptr) return false;
    if (kept_line_ != nullptr) end_line(engine_.body_in_output(kAllOfIt));
    EVC_CHECK(response_.deferred() == nullptr, "Response::write() after defer()");
    response_.begin_writing();
    context_->application.leave(match_, request_, response_, filters_entered_);
    if (!response_.is_written()) {
        other_answer_ = std::make_unique<Response>();
        other_answer_->swap(response_);
        left_ = true;
        return false;
    }
    context_->count_request();
    if (context_->draining.load(std::memory_order_relaxed)) engine_.close_after_response();
    engine_.begin_stream(response_, context_->dates.header_line(wire_->now()));
    if (MetricsCell* const metrics = context_->metrics) metrics->responses.add(response_.status());
    writing_ = true;
    written_status_ = response_.status();
    written_ = coded_ = 0;
    write_error_ = {};
    return true;
}

IoResult Exchange::write(std::string_view piece, cutils::Deadline deadline) {
    constexpr std::size_t kPiece = 32 * 1024;
    if (!writing_ && !begin_stream()) return {0, NetError::canceled};
    deadline = deadline.resolved(wire_->now());
    std::size_t taken = 0;
    while (!write_error_ && taken < piece.size()) {
        const std::string_view part = piece.substr(taken, kPiece);
        write_error_ = send_piece(part, deadline);
        if (!write_error_) taken += part.size();
    }
    return {taken, write_error_};
}

std::error_code Exchange::send_piece(std::string_view piece, cutils::Deadline deadline) {
    if (wants().response_data && filters_entered_ > 0) [[unlikely]] {
        std::string changed(piece);
        failed_ = !context_->application.response_data(match_, request_, filters_entered_, changed);
        if (failed_) return std::make_error_code(std::errc::io_error);
        write_error_ = stream(changed, Coding::piece);
    } else {
        write_error_ = stream(piece, Coding::piece);
    }
    if (write_error_) return write_error_;
    if (engine_.must_send()) write_error_ = wire_->flush(deadline);
    if (coded_ >= kMostCoded) let_others_go_first();
    return write_error_;
}

std::error_code Exchange::flush(cutils::Deadline deadline) {
    if (!writing_ && !begin_stream()) return NetError::canceled;
    deadline = deadline.resolved(wire_->now());
    if (!write_error_) write_error_ = stream({}, Coding::flush);
    if (!write_error_) write_error_ = wire_->flush(deadline);
    return write_error_;
}

// Puts a piece of the body into the output, as the client is to get it.
std::error_code Exchange::stream(std::string_view piece, Coding what) {
    if (WriteCoder* const coder = response_.write_coder(); coder != nullptr && !engine_.is_mute())
        return stream_coded(*coder, piece, what);
    engine_.stream(piece);
    written_ += piece.size();
    return {};
}

[[gnu::noinline]] std::error_code Exchange::stream_coded(WriteCoder& coder, std::string_view piece,
                                                         Coding what) try {
    std::string out;
    coded_ += piece.size();
    std::error_code error = piece.empty() ? std::error_code() : coder.code(piece, out);
    if (!error && what == Coding::flush) error = coder.flush(out);
    if (!error && what == Coding::last) error = coder.finish(out);
    if (error) return error;
    engine_.stream(out);
    written_ += out.size();
    return {};
} catch (const std::bad_alloc&) {  // the coder is ahead of what was sent: nothing can follow
    return std::make_error_code(std::errc::not_enough_memory);
}

// What is coded well gives little to send: without this, a servlet that writes much would keep its loop from
// everybody else.
void Exchange::let_others_go_first() {
    coded_ = 0;
    if (evcorothread::this_evthread::in_evthread()) evcorothread::this_evthread::yield();
}

void Exchange::finish_stream() {
    writing_ = streaming_ = false;
    bool whole = !failed_ && !write_error_ && !engine_.next_is_refused() && other_answer_ == nullptr;
    std::string last;
    if (whole && wants().response_data && filters_entered_ > 0)
        whole = context_->application.response_end(match_, request_, filters_entered_, last);
    whole = whole && !stream(last, Coding::last);
    response_.end_writing();
    other_answer_.reset();
    response_.status(written_status_);  // whatever an exception has made of it: the head was out
    if (context_->access_log != nullptr) log(written_);
    if (context_->metrics != nullptr) count_latency();
    if (whole)
        engine_.end_stream();
    else
        engine_.cut();
    cut_ |= !whole;
}

// --- filters that see the body of a response ---

namespace {

// The pieces of another source, or of a file, as the filters make them.
class FilteredSource final : public BodySource {
  public:
    using Change = std::function<bool(std::string& piece, bool last)>;
    FilteredSource(std::unique_ptr<BodySource> source, Change change)
        : source_(std::move(source)), change_(std::move(change)) {}

    IoResult read(std::span<char> buffer) override {
        while (at_ == piece_.size()) {
            if (ended_) return {0, NetError::eof};
            if (const std::error_code error = next()) return {0, error};
            if (piece_.empty() && !ended_) return {};  // the filters leave nothing of it, or it works
        }
        const std::size_t size = piece_.copy(buffer.data(), buffer.size(), at_);
        at_ += size;
        return {size, {}};
    }
    std::error_code wait(cutils::Deadline deadline) override { return source_->wait(deadline); }
    bool tell(evcorothread::EvLoop& loop, AnswerWaiter& waiter) override {
        return source_->tell(loop, waiter);
    }
    void nothing_came() override { source_->nothing_came(); }
    std::size_t take_work() override { return std::exchange(work_, 0) + source_->take_work(); }
    std::size_t held() const override { return source_->held() + piece_.capacity(); }

  private:
    std::error_code next() {
        at_ = 0;
        piece_.resize(kPiece);
        const IoResult got = source_->read(piece_);
        piece_.resize(got.bytes);
        work_ += got.bytes;
        if (!piece_.empty() && !change_(piece_, false)) return std::make_error_code(std::errc::io_error);
        if (!got.eof()) return got.error;
        ended_ = true;
        std::string last;
        if (!change_(last, true)) return std::make_error_code(std::errc::io_error);
        piece_ += last;
        return {};
    }

    static constexpr std::size_t kPiece = 16 * 1024;
    const std::unique_ptr<BodySource> source_;
    const Change change_;
    std::string piece_;
    std::size_t at_ = 0;
    std::size_t work_ = 0;
    bool ended_ = false;
};

}  // namespace

void Exchange::run_response_data() {
    const bool bodyless = is_bodyless(response_.status()) || request_.method() == Method::head;
    if (filters_entered_ == 0) return;
    if (bodyless && response_.has_text()) return;
    auto change = [this](std::string& piece, bool last) {
        const Application& application = context_->application;
        return last ? application.response_end(match_, request_, filters_entered_, piece)
                    : application.response_data(match_, request_, filters_entered_, piece);
    };
    if (response_.has_text()) {
        std::string whole, last;
        response_.swap_body(whole);
        const bool done = (whole.empty() || change(whole, false)) && change(last, true);
        if (!done) {
            response_.clear();
            return response_.error(Status::internal_error);
        }
        return response_.take_body(std::move(whole) + last, {});
    }
    // What the size will be nobody knows: HEAD says so, too.
    const std::uint64_t size = response_.body_size();
    const auto offset = static_cast<std::uint64_t>(response_.file_offset());
    std::unique_ptr<BodySource> from = response_.has_file()
                                           ? std::make_unique<FileSource>(response_.take_file(), offset, size)
                                           : response_.take_source();
    response_.source(std::make_unique<FilteredSource>(std::move(from), std::move(change)), {});
}

// --- a source that has nothing now ---

bool Exchange::wait_for_source() {
    constexpr std::chrono::seconds kLook{1};
    for (int looks = 1;; ++looks) {
        if (source_ends()) {
            engine_.end_source();
            return true;
        }
        const std::error_code error = engine_.source().wait(wire_->now() + kLook);
        if (!error) return true;
        if (error != NetError::timed_out || peer_gone(wire_->fd())) return false;
        if (looks % kSlowSource.count() != 0) continue;
        engine_.source().nothing_came();
        return true;
    }
}

bool Exchange::watch_source() {
    if (source_ends()) {
        engine_.end_source();
        return false;
    }
    memory_->waiter_is_known = true;
    return engine_.source().tell(*context_->told_on, *waiter_);
}

nutils::SockAddr Exchange::peer() const { return memory_->peer != nullptr ? *memory_->peer : wire_->peer(); }
std::optional<evcorothread::TlsInfo> Exchange::tls() const { return wire_->tls(); }
bool Exchange::client_gone() const { return peer_gone(wire_->fd()); }

ExchangePool::~ExchangePool() {
    while (free_ != nullptr) delete std::exchange(free_, free_->next_free_);
}

void ExchangePool::destroy(Exchange* surplus) { delete surplus; }

}  // namespace webby
