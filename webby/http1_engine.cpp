#include "webby/http1_engine.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <tuple>
#include <utility>

#include "cutils/check.h"
#include "cutils/log.h"
#include "webby/ascii.h"
#include "webby/chunked.h"

namespace webby {

using Event = Http1Parser::Event;

namespace {

constexpr std::size_t kKeep = 64 * 1024;  // memory that one large response needed is not kept for ever

[[nodiscard]] inline char* put(char* out, std::string_view text) {
    std::memcpy(out, text.data(), text.size());
    return out + text.size();
}
// The same for what is short nearly always: two overlapping copies of a fixed size instead of a call.
[[nodiscard]] inline char* put_short(char* out, std::string_view text) {
    const char* const from = text.data();
    const std::size_t size = text.size();
    if (size > 32 || size < 8) return put(out, text);
    if (size >= 16) {
        std::memcpy(out, from, 16);
        std::memcpy(out + size - 16, from + size - 16, 16);
    } else {
        std::memcpy(out, from, 8);
        std::memcpy(out + size - 8, from + size - 8, 8);
    }
    return out + size;
}
// At most 20 bytes.
[[nodiscard]] inline char* put_number(char* out, std::uint64_t number) {
    if (number >= 100) return std::to_chars(out, out + 20, number).ptr;
    const auto small = static_cast<unsigned>(number);
    if (small >= 10) *out++ = static_cast<char>('0' + small / 10);
    *out++ = static_cast<char>('0' + small % 10);
    return out;
}

}  // namespace

Http1Engine::Http1Engine(const Limits& limits, RequestHead& head)
    : limits_(limits), head_(head), parser_(limits) {
    grow(kFirstBuffer);
}

inline void Http1Engine::begin_next() {
    begin_ += at_;
    if (begin_ == end_) begin_ = end_ = 0;
    at_ = 0;
    body_eaten_ = 0;
    continued_ = false;
    phase_ = Phase::head;
    parser_.begin(head_);
}

void Http1Engine::reset(std::uint64_t requests) {
    requests_ = requests;
    eof_ = closing_soon_ = lingers_ = false;
    forget_output();
    was_cut_ = false;
    if (output_.capacity() > kKeep) output_.shrink();
    if (is_idle()) return;  // the parser waits for a first byte already
    begin_ = end_ = at_ = 0;
    begin_next();
}

// --- input ---

std::span<char> Http1Engine::make_input_space() {
    if (phase_ == Phase::head) {
        if (begin_ > 0) {  // the head has to stand in one piece
            std::memmove(buffer_.get(), text(), end_ - begin_);
            end_ -= std::exchange(begin_, 0);
        }
        if (end_ == capacity_) grow(capacity_ * 2);
    } else {
        // The head stays where it is, a servlet may be reading it. Behind it the body comes and goes.
        const std::size_t left = end_ - begin_ - at_;
        if (at_ > head_size_) std::memmove(text() + head_size_, text() + at_, left);
        at_ = head_size_;
        end_ = begin_ + head_size_ + left;
        EVC_CHECK(end_ < capacity_, "Http1Engine::input_space() before next() said need_input");
    }
    return {buffer_.get() + end_, capacity_ - end_};
}

void Http1Engine::grow(std::size_t capacity) {
    std::unique_ptr<char[]> bigger(new char[capacity]);
    if (end_ > 0) std::memcpy(bigger.get(), buffer_.get(), end_);
    buffer_ = std::move(bigger);
    capacity_ = capacity;
}

void Http1Engine::time_out() {
    if (phase_ == Phase::draining || is_idle()) return close(false);
    if (phase_ == Phase::head || phase_ == Phase::body) refuse(Status::request_timeout);
}

// So that input_space() never has to move the head once it has been reported.
void Http1Engine::make_body_room() {
    const std::size_t room = std::max(kBodyRoom, Http1Parser::max_waiting(limits_) + 1);
    if (capacity_ - begin_ - head_size_ >= room) return;
    grow(begin_ + head_size_ + room);
    head_.set_text(text());
}

inline Http1Engine::Step Http1Engine::next_in_head() {
    if (begin_ == end_) {  // also after draining
        if (!eof_) return Step::need_input;
        close(false);
        return Step::close;
    }
    switch (parse()) {
        case Event::head:
            head_size_ = at_;
            phase_ = Phase::body;
            if (head_.has_body()) make_body_room();
            return Step::head;
        case Event::need_more: return eof_ ? refuse(Status::bad_request) : Step::need_input;
        default: return refuse(parser_.refusal());
    }
}

Http1Engine::Step Http1Engine::take_step() {
    switch (phase_) {
        case Phase::head: return next_in_head();
        case Phase::body: return next_in_body();
        case Phase::complete: return Step::end;
        case Phase::refused: return Step::refused;
        case Phase::sending: return source_state_ == SourceState::waits ? Step::source : Step::body;
        case Phase::draining:
            if (!drain()) return phase_ == Phase::closed ? Step::close : Step::need_input;
            return next_in_head();
        case Phase::closed: break;
    }
    return Step::close;
}

Http1Engine::Step Http1Engine::next_in_body() {
    switch (parse()) {
        case Event::body: body_eaten_ += piece().size(); return Step::body;
        case Event::end: phase_ = Phase::complete; return Step::end;
        case Event::need_more: break;
        default: return refuse(parser_.refusal());
    }
    if (eof_) return refuse(Status::bad_request);
    if (head_.expects_continue && !continued_ && at_ == head_size_ && begin_ + at_ == end_) {
        continued_ = true;
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        std::ignore = put(output_room(kContinue.size()), kContinue);
        output_.commit(kContinue.size());
    }
    return Step::need_input;
}

// Eats the rest of a body that nobody wants. True when the next request begins.
bool Http1Engine::drain() {
    for (;;) switch (parse()) {
            case Event::body:
                body_eaten_ += piece().size();
                if (body_eaten_ <= limits_.drain) break;
                close(true);
                return false;
            case Event::end: begin_next(); return true;
            case Event::need_more:
                if (eof_) close(false);
                return false;
            default: close(true); return false;
        }
}

Http1Engine::Step Http1Engine::refuse(Status status) {
    refusal_ = status;
    phase_ = Phase::refused;
    return Step::refused;
}

void Http1Engine::close(bool lingering) {
    phase_ = Phase::closed;
    lingers_ = lingering && !eof_;
}

// --- output ---

inline char* Http1Engine::output_room(std::size_t bytes) {
    const std::span<char> room = output_.writable(bytes);
    if (room.empty()) throw std::bad_alloc();
    return room.data();
}

// A connection is kept when the client wants it, the server does not mind, and the place where the next
// request begins can be reached with reasonable effort.
inline bool Http1Engine::decide_keep_alive(const Response& response) {
    if (phase_ == Phase::refused || closing_soon_ || response.closes_connection() || !head_.keep_alive)
        return false;
    if (limits_.requests > 0 && requests_ >= limits_.requests) return false;
    if (phase_ == Phase::complete || !head_.has_body()) return true;
    // Nobody knows whether a client that waits for "100 Continue" will now send its body or the next request.
    if (head_.expects_continue && !continued_ && begin_ + at_ == end_) return false;
    return !head_.has_length || head_.content_length - body_eaten_ <= limits_.drain;
}

// Inlined by force: one call less a request, and it has only one caller.
[[gnu::always_inline]] inline void Http1Engine::write_head(const Response& response, const DateLine& date,
                                                           Framing framing, bool keep, bool inline_body) {
    constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\n";
    constexpr std::size_t kFixed = 256;  // everything below but what is added to it
    const Status status = response.status();
    const std::uint64_t body_size = response.body_size();

    const std::string_view type = response.content_type();
    const std::string_view fields = response.wire_fields();
    const std::size_t body_here = inline_body ? static_cast<std::size_t>(body_size) : 0;
    char* const begin = output_room(kFixed + type.size() + fields.size() + body_here);
    char* out = begin;
    if (status == Status::ok) {
        out = put(out, kOk);
    } else {
        out = put(out, "HTTP/1.1 ");
        out = put_number(out, to_number(status));
        out = put(out, " ");
        out = put(out, reason_phrase(status));
        out = put(out, "\r\n");
    }
    out = put(out, {date.data(), date.size()});
    if (!is_bodyless(status)) {
        if (!type.empty()) {
            out = put(out, "Content-Type: ");
            out = put_short(out, type);
            out = put(out, "\r\n");
        }
        if (framing == Framing::length) [[likely]] {
            out = put(out, "Content-Length: ");
            out = put_number(out, body_size);
            out = put(out, "\r\n");
        } else if (framing == Framing::chunked) {
            out = put(out, "Transfer-Encoding: chunked\r\n");
        }
    } else if (status == Status::reset_content) {
        out = put(out, "Content-Length: 0\r\n");  // the others end with their heads (RFC 9112 §6.3)
    }
    if (!keep)
        out = put(out, "Connection: close\r\n");
    else if (head_.version == Version::http_1_0)
        out = put(out, "Connection: keep-alive\r\n");
    if (!fields.empty()) out = put(out, fields);
    out = put(out, "\r\n");
    if (inline_body) out = put_short(out, response.body_text());
    output_.commit(static_cast<std::size_t>(out - begin));
}

void Http1Engine::respond(Response& response, const DateLine& date) {
    EVC_CHECK(phase_ == Phase::body || phase_ == Phase::complete || phase_ == Phase::refused,
              "Http1Engine::respond() without a request that waits for its response");
    ++requests_;
    bool keep = decide_keep_alive(response);
    const bool bodyless = is_bodyless(response.status()) || head_.method == Method::head;
    Framing framing = Framing::length;
    if (!response.has_size()) [[unlikely]] {
        framing = head_.version == Version::http_1_0 ? Framing::until_close : Framing::chunked;
        if (framing == Framing::until_close && !bodyless) keep = false;
    }
    const bool inline_body = !bodyless && response.has_text() && response.body_size() <= kInlineBody;
    write_head(response, date, framing, keep, inline_body);
    if (response.has_text()) [[likely]] {
        if (!bodyless && !inline_body) response.swap_body(body_);
    } else if (response.has_source()) {
        if (!bodyless) return start_source(response, framing, keep);
        response.take_source().reset();
    } else {
        file_offset_ = response.file_offset();
        file_count_ = response.body_size();
        nutils::UniqueFd file = response.take_file();
        if (!bodyless && file_count_ > 0) file_ = std::move(file);
    }
    go_on(keep);
}

// The response is out, or gathered: what comes after it.
inline void Http1Engine::go_on(bool keep) {
    if (!keep) {
        const bool all_read = phase_ == Phase::complete || (phase_ == Phase::body && !head_.has_body());
        return close(!all_read || begin_ + at_ != end_ || head_.keep_alive);
    }
    if (phase_ == Phase::body && head_.has_body())
        phase_ = Phase::draining;
    else
        begin_next();
}

void Http1Engine::sent() {
    output_.clear();
    if (body_.capacity() > kKeep) std::string().swap(body_);
    body_.clear();
    if (file_) file_.reset();
    if (phase_ == Phase::sending && source_state_ == SourceState::gives) [[unlikely]]
        pull();
}

std::uint64_t Http1Engine::body_in_output(std::uint64_t sent) const {
    if (body_.empty() && !file_)
        return std::min<std::uint64_t>(sent - std::min<std::uint64_t>(sent, piece_at_), piece_size_);
    const std::uint64_t body = body_.size() + (file_ ? file_count_ : 0);
    return std::min(sent - std::min<std::uint64_t>(sent, output_.size()), body);
}

void Http1Engine::forget_output() {
    if (phase_ == Phase::sending) cut();
    if (has_output()) sent();
}

// --- a body that is made while it is sent ---

void Http1Engine::start_source(Response& response, Framing framing, bool keep) {
    source_left_ =
        framing == Framing::length ? response.body_size() : std::numeric_limits<std::uint64_t>::max();
    constexpr std::string_view kEvents = "text/event-stream";
    source_may_end_ = framing != Framing::length &&
                      ascii::equal_ignoring_case(response.content_type().substr(0, kEvents.size()), kEvents);
    source_ = response.take_source();
    framing_ = framing;
    keep_ = keep;
    phase_before_ = std::exchange(phase_, Phase::sending);
    pull();
}

// The next piece, behind what waits to be sent. Throws nothing: the head may be out.
void Http1Engine::pull() {
    const bool chunked = framing_ == Framing::chunked;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, source_left_));
    const std::span<char> room = output_.writable(framed_size(size));
    if (room.empty()) return cut();
    source_failed_ = false;
    source_state_ = SourceState::gives;
    char* end = room.data();
    const std::size_t got = fill(room.subspan(chunked ? chunk_line_size(size) : 0, size));
    piece_at_ = output_.size() + (chunked && got > 0 ? chunk_line_size(got) : 0);
    piece_size_ = got;
    if (got > 0) end = chunked ? frame_chunk(end, got, size) : end + got;
    output_.commit(static_cast<std::size_t>(end - room.data()));
    if (source_failed_) return cut();
    if (source_left_ == 0) finish_source();
}

void Http1Engine::finish_source() {
    if (framing_ == Framing::chunked) put_last_chunk();
    source_.reset();
    source_state_ = SourceState::gives;
    phase_ = phase_before_;
    go_on(keep_);
}

void Http1Engine::end_source() {
    keep_ = false;
    finish_source();
}

// Fills `room`, or as much of it as can be had with reasonable effort, or until the end: source_left_ is 0
// then.
std::size_t Http1Engine::fill(std::span<char> room) {
    const auto fail = [this](const char* why) {
        source_failed_ = true;
        if (told_ != nullptr) return told_->body_broke_off(why);
        cutils::log(cutils::LogLevel::warning, "webby: the body of a response broke off: %s", why);
    };
    std::size_t size = 0, work = 0;
    const auto may_give = [&] {
        return !source_failed_ && source_state_ == SourceState::gives && source_left_ > 0 && work < kWork;
    };
    for (int reads = 0; reads < kReads && size < room.size() && may_give(); ++reads) try {
            const nutils::IoResult got = source_->read(room.subspan(size));
            EVC_CHECK(got.bytes <= room.size() - size,
                      "BodySource::read() gave more than there was room for");
            size += got.bytes;
            const std::size_t worked = source_->take_work();
            work += worked;
            if (framing_ == Framing::length) source_left_ -= got.bytes;
            if (got.eof() && framing_ != Framing::length)
                source_left_ = 0;
            else if (got.eof() && source_left_ > 0)
                fail("it is shorter than it was said to be");
            else if (got.would_block())
                source_state_ = SourceState::waits;
            else if (!got && !got.eof())
                fail(got.error.message().c_str());
            else if (got.bytes == 0 && !got.eof() && worked == 0)
                fail("its source gives nothing");
        } catch (const std::exception& error) {
            fail(error.what());
        } catch (...) {
            fail("its source threw what is not a std::exception");
        }
    worked_ |= work >= kWork;
    if (size == 0 && !source_failed_ && source_state_ == SourceState::gives && source_left_ > 0)
        source_state_ = SourceState::works;
    return size;
}

// The client must not take the part for the whole.
void Http1Engine::cut() {
    source_.reset();
    source_state_ = SourceState::gives;
    was_cut_ = true;
    close(false);
}

// --- a body that is written piece by piece ---

void Http1Engine::begin_stream(Response& response, const DateLine& date) {
    EVC_CHECK(phase_ == Phase::body || phase_ == Phase::complete,
              "Http1Engine::begin_stream() without a request that waits for its response");
    ++requests_;
    keep_ = decide_keep_alive(response);
    stream_is_mute_ = is_bodyless(response.status()) || head_.method == Method::head;
    framing_ = head_.version == Version::http_1_0 ? Framing::until_close : Framing::chunked;
    if (framing_ == Framing::until_close && !stream_is_mute_) keep_ = false;
    write_head(response, date, framing_, keep_, false);
}

void Http1Engine::stream(std::string_view piece) {
    if (stream_is_mute_ || piece.empty()) return;
    const bool chunked = framing_ == Framing::chunked;
    char* const room = output_room(chunked ? framed_size(piece.size()) : piece.size());
    std::memcpy(room + (chunked ? chunk_line_size(piece.size()) : 0), piece.data(), piece.size());
    const char* const end = chunked ? frame_chunk(room, piece.size(), piece.size()) : room + piece.size();
    output_.commit(static_cast<std::size_t>(end - room));
}

void Http1Engine::end_stream() {
    if (!stream_is_mute_ && framing_ == Framing::chunked) put_last_chunk();
    go_on(keep_);
}

void Http1Engine::put_last_chunk() {
    std::ignore = put(output_room(kLastChunk.size()), kLastChunk);
    output_.commit(kLastChunk.size());
}

}  // namespace webby
