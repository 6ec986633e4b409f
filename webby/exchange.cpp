#include "webby/exchange.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "cutils/check.h"

namespace webby {

using nutils::IoResult;
using nutils::NetError;
using Step = Http1Engine::Step;

Exchange::Exchange(ExchangeContext& context) : context_(context), engine_(context.limits, request_.head()) {
    request_.set_source(*this);
}

void Exchange::begin(Wire& wire) {
    wire_ = &wire;
    engine_.reset();
}

inline void Exchange::respond() {
    ++context_.requests;
    const cutils::TimePoint now = wire_->now();
    if (context_.draining) engine_.close_after_response();
    if (context_.access_log != nullptr) {
        const bool bodyless = is_bodyless(response_.status()) || request_.method() == Method::head;
        context_.access_log->add(request_, response_.status(), bodyless ? 0 : response_.body_size(),
                                 context_.dates.unix_time(now));
    }
    engine_.respond(response_, context_.dates.header_line(now));
}

inline void Exchange::answer() {
    context_.application.run(match_, request_, response_);
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
    match_ = context_.application.find(request_);
    // Nobody will read the body of a request that goes nowhere.
    if (!request_.head().has_body() || match_.endpoint == nullptr) return answer();
    if (match_.endpoint->options.body_limit) engine_.set_body_limit(*match_.endpoint->options.body_limit);
    if (match_.endpoint->options.stream_body) {
        piece_ = {};
        streaming_ = true;
        answer();
    }
}

void Exchange::refuse() {
    response_.clear();
    response_.error(engine_.refusal());
    respond();
}

Exchange::Want Exchange::advance() {
    for (;;) {
        switch (engine_.next()) {
            case Step::need_input: return Want::input;
            case Step::close: return Want::close;
            case Step::head: start(); break;
            case Step::body: request_.body_storage().append(engine_.piece()); break;
            case Step::end: answer(); break;
            case Step::refused: refuse(); break;
        }
        if (engine_.must_send()) return Want::send;
    }
}

IoResult Exchange::read_body(std::span<char> buffer, cutils::Deadline deadline) {
    EVC_CHECK(!buffer.empty(), "Request::read_body() with an empty buffer");
    if (!streaming_) return {0, NetError::eof};
    deadline = deadline.resolved(wire_->now());
    while (piece_.empty()) {
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
