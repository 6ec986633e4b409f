#include "webby/exchange.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "cutils/check.h"
#include "webby/deferred_internal.h"

namespace webby {

using nutils::IoResult;
using nutils::NetError;
using Step = Http1Engine::Step;

Exchange::Exchange(const Limits& limits) : engine_(limits, request_.head()) { request_.set_source(*this); }

void Exchange::begin(ExchangeContext& context, Wire& wire, std::uint32_t requests, DeferredWaiter* waiter) {
    resume(context, wire);
    waiter_ = waiter;
    deferred_ = given_up_ = false;
    waiting_for_input_ = Waiting::nothing;
    engine_.reset(requests);
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

inline void Exchange::respond() {
    context_->count_request();
    const cutils::TimePoint now = wire_->now();
    if (context_->draining.load(std::memory_order_relaxed)) engine_.close_after_response();
    if (context_->access_log != nullptr) {
        const bool bodyless = is_bodyless(response_.status()) || request_.method() == Method::head;
        context_->access_log->add(request_, response_.status(), bodyless ? 0 : response_.body_size(),
                                  context_->dates.unix_time(now));
    }
    engine_.respond(response_, context_->dates.header_line(now));
}

inline void Exchange::answer() {
    filters_entered_ = context_->application.begin(match_, request_, response_);
    if (response_.deferred() != nullptr) [[unlikely]]
        if (!settle()) return;
    finish();
}

// A deferred response: waits for it, or says false when that is the driver's to do.
[[gnu::noinline]] bool Exchange::settle() {
    DeferredState& state = *response_.deferred();
    if (context_->event_loop != nullptr) {
        EVC_CHECK(waiter_ != nullptr,
                  "an exchange of an event loop has nobody to tell of deferred responses");
        deferred_ = state.tell(*context_->event_loop, *waiter_);
        if (deferred_) return false;
    } else if (!wait_for(state)) {
        response_.clear();
        response_.error(Status::service_unavailable);
        response_.close_connection();
        return true;
    }
    response_.take_deferred();
    return true;
}

// Not for a response that was given up.
bool Exchange::wait_for(DeferredState& state) {
    {
        const std::lock_guard lock(mutex_);
        if (given_up_) return false;
        waiting_for_ = &state;
    }
    const std::error_code error = state.wait();
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

void Exchange::abandon_deferred() {
    if (is_pinned()) (void)response_.deferred()->wait();
    response_.clear();
}

inline void Exchange::finish() {
    context_->application.finish(request_, response_, filters_entered_);
    // A body that turned out to be malformed or too large is never answered with success.
    if (std::exchange(streaming_, false) && engine_.next_is_refused() &&
        to_number(response_.status()) < 400) {
        response_.clear();
        response_.error(engine_.refusal());
    }
    respond();
}

// The head is there: who will answer, and with the body or before it?
inline void Exchange::start() {
    constexpr std::size_t kKeep = 64 * 1024;
    std::string& body = request_.body_storage();
    if (body.capacity() > kKeep) std::string().swap(body);
    body.clear();
    response_.clear();
    piece_ = {};
    gathers_ = false;
    match_ = context_->application.find(request_);
    // Nobody will read the body of a request that goes nowhere.
    if (!request_.head().has_body() || match_.endpoint == nullptr) return answer();
    if (match_.endpoint->options.body_limit) engine_.set_body_limit(*match_.endpoint->options.body_limit);
    if (!match_.endpoint->options.stream_body) return;
    gathers_ = context_->event_loop != nullptr || match_.endpoint->options.blocking.is_offloaded();
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
    response_.clear();
    response_.error(engine_.refusal());
    respond();
}

Exchange::Want Exchange::advance() {
    if (deferred_) [[unlikely]] {
        if (!response_.deferred()->is_complete()) return Want::deferred;
        deferred_ = false;
        response_.take_deferred();
        finish();
        if (engine_.must_send()) return Want::send;
    }
    for (;;) {
        switch (engine_.next()) {
            case Step::need_input: return Want::input;
            case Step::close: return Want::close;
            case Step::head: start(); break;
            case Step::body: request_.body_storage().append(engine_.piece()); break;
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

IoResult Exchange::read_body(std::span<char> buffer, cutils::Deadline deadline) {
    EVC_CHECK(!buffer.empty(), "Request::read_body() with an empty buffer");
    if (streaming_) deadline = deadline.resolved(wire_->now());
    while (piece_.empty()) {
        if (!streaming_) return {0, NetError::eof};
        switch (engine_.next()) {
            case Step::body: piece_ = engine_.piece(); break;
            case Step::end: return {0, NetError::eof};
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

nutils::SockAddr Exchange::peer() const { return wire_->peer(); }
std::optional<evcorothread::TlsInfo> Exchange::tls() const { return wire_->tls(); }

ExchangePool::~ExchangePool() {
    while (free_ != nullptr) delete std::exchange(free_, free_->next_free_);
}

}  // namespace webby
