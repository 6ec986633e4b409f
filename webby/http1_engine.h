// Http1Engine: one side of an HTTP/1.1 conversation. Eats bytes and emits requests, takes responses and emits
// bytes; never touches a socket, a clock or a thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/export.h"
#include "nutils/byte_buffer.h"
#include "nutils/unique_fd.h"
#include "webby/body_source.h"
#include "webby/http1_parser.h"
#include "webby/http_date.h"
#include "webby/http_types.h"
#include "webby/limits.h"
#include "webby/request_head.h"
#include "webby/response.h"

namespace webby {

// Who is told why a body broke off in the middle, and knows whose it was. Must not throw.
class BrokenBody {
  public:
    virtual void body_broke_off(const char* why) noexcept = 0;

  protected:
    ~BrokenBody() = default;
};

// Whoever drives it turns this crank:
//
//   for (;;) switch (engine.next()) {
//       case Step::head:       choose who answers; set_body_limit(); perhaps respond() already
//       case Step::body:       keep or forget engine.piece(); then send output(), if must_send()
//       case Step::end:        respond()
//       case Step::refused:    respond() with engine.refusal(); the connection closes after it
//       case Step::need_input: send output(), if any; then read into input_space() and say received(),
//                              end_of_input() or time_out()
//       case Step::source:     send output(), if any; then wait until source() may give more, and pull()
//       case Step::close:      send output(), if any; then close, lingering if lingers()
//   }
//
// A response whose body is made while it is sent comes out piece by piece: until it is complete, must_send()
// is true again after each sent(), and next() says body, with an empty piece. There may be nothing to send
// yet when its source is working: pull_again() before next() makes it get on.
//
// Pipelined requests come one by one, in order; their responses gather in output() and go out together.
//
// Owner: a connection while it works; an idle one has none. Reused for the next: reset(). One thread.
// Cost:  no allocation once it has seen a few requests.
class EVC_API Http1Engine {
  public:
    enum class Step { need_input, head, body, end, refused, source, close };

    // Lifetime: both must outlive the engine. Requests are read into `head`.
    Http1Engine(const Limits& limits, RequestHead& head);
    // Instead of a line in the log. Lifetime: outlives the engine.
    void tell_of_broken_bodies(BrokenBody& told) { told_ = &told; }

    // For a connection that has just come, or comes back from being idle and has made so many requests.
    void reset(std::uint64_t requests = 0);

    // --- input ---

    // Where the next bytes go; never empty. Before: the last step was need_input.
    [[nodiscard]] std::span<char> input_space() {
        if (phase_ == Phase::head && begin_ == 0 && end_ != capacity_) [[likely]]
            return {buffer_.get() + end_, capacity_ - end_};
        return make_input_space();
    }
    void received(std::size_t bytes) { end_ += bytes; }
    // The client will send nothing more. Requests that are complete are still answered.
    void end_of_input() { eof_ = true; }
    // The client took too long. In the middle of a request it is refused with 408; between two the engine
    // closes.
    void time_out();

    [[nodiscard]] Step next() { return is_idle() && !eof_ ? Step::need_input : take_step(); }

    // A part of the body, after Step::body. Lifetime: until the next call of next() or input_space().
    [[nodiscard]] std::string_view piece() const {
        return phase_ == Phase::sending ? std::string_view() : parser_.piece();
    }
    // Why, after Step::refused.
    [[nodiscard]] Status refusal() const { return refusal_; }
    // After Step::head.
    void set_body_limit(std::uint64_t bytes) { parser_.set_body_limit(bytes); }

    // True when the current request has been refused and waits for the answer that says so.
    [[nodiscard]] bool next_is_refused() const { return phase_ == Phase::refused; }
    [[nodiscard]] bool at_end_of_input() const { return eof_; }

    // True when nothing of the next request is here: the connection may be put to sleep.
    [[nodiscard]] bool is_idle() const { return phase_ == Phase::head && begin_ == end_; }
    // True between the first byte of a request and the end of its head.
    [[nodiscard]] bool is_reading_head() const { return phase_ == Phase::head && begin_ != end_; }

    // True when a connection that ends now breaks off a request or a response: also after cut().
    [[nodiscard]] bool is_in_the_middle() const {
        return was_cut_ || has_output() || (phase_ != Phase::closed && !is_idle());
    }
    // When the connection ends: the response has no end but that, and is not complete. Only a reset tells the
    // client.
    [[nodiscard]] bool must_reset() const {
        return framing_ == Framing::until_close && (was_cut_ || phase_ == Phase::sending);
    }
    // True while the rest of a body is eaten that nobody reads.
    [[nodiscard]] bool is_draining() const { return phase_ == Phase::draining; }
    // How many requests have been answered.
    [[nodiscard]] std::uint64_t requests() const { return requests_; }
    // How much of the current request's body has arrived.
    [[nodiscard]] std::uint64_t body_eaten() const { return body_eaten_; }

    // --- output ---

    // Writes the response to the current request, once, after head, end or refused; takes its body along.
    //
    // After: the next step is the next request, what is left of this one's body (forgotten, up to
    //        Limits::drain), or close.
    // Cost:  about 150 instructions for a small response. May throw std::bad_alloc, nothing written.
    void respond(Response& response, const DateLine& date);

    // The same for a body that is written piece by piece: the head; then pieces of it; then its end, from
    // where the steps go on. In between the request's body may still be read. cut() instead of the end: the
    // connection closes, and the client knows that this was not all.
    // May throw std::bad_alloc, nothing written.
    void begin_stream(Response& response, const DateLine& date);
    void stream(std::string_view piece);
    void end_stream();
    void cut();
    // Whether anybody wants the pieces; not for HEAD.
    [[nodiscard]] bool is_mute() const { return stream_is_mute_; }

    // The source of the body that is being sent, after Step::source: it has nothing now.
    [[nodiscard]] BodySource& source() { return *source_; }
    [[nodiscard]] bool waits_for_source() const { return source_state_ == SourceState::waits; }
    // Reads what it has by now; what it gave last has to be sent before.
    void pull_again() {
        if (source_state_ != SourceState::gives && output_.empty()) pull();
    }
    // Whether it has worked so much that others should go first; asked again, false.
    [[nodiscard]] bool take_worked() { return std::exchange(worked_, false); }
    // Whether it may end anywhere: an event stream, whose clients come back. Half of anything else must not
    // look like all of it.
    [[nodiscard]] bool source_may_end() const { return source_may_end_; }
    // It ends here, complete as it is. Before: source_may_end().
    void end_source();

    // What has to be sent: text, then body, then count bytes of a file.
    struct Output {
        std::string_view text;
        std::string_view body;
        int file = -1;
        off_t offset = 0;
        std::uint64_t count = 0;
    };
    [[nodiscard]] bool has_output() const { return !output_.empty(); }
    [[nodiscard]] std::string_view output_text() const { return output_.readable(); }
    [[nodiscard]] Output output() const {
        return {output_.readable(), body_, file_.get(), file_offset_, file_count_};
    }
    // Send before the next respond(): a body or a file cannot be followed by another response, and text has
    // gathered.
    [[nodiscard]] bool must_send() const {
        return file_ || !body_.empty() || output_.size() >= kSendAt ||
               (phase_ == Phase::sending && source_state_ != SourceState::waits);
    }
    // About how many bytes of memory the answer holds until it is sent.
    [[nodiscard]] std::size_t held() const {
        return output_.size() + body_.capacity() + (source_ != nullptr ? source_->held() : 0);
    }
    // A body is being made.
    [[nodiscard]] bool is_sending() const { return phase_ == Phase::sending; }
    // How much of the body of the last response there is in the first `sent` bytes of output().
    [[nodiscard]] std::uint64_t body_in_output(std::uint64_t sent) const;
    // All of output() has been sent. Reads the next piece of a body that is made meanwhile.
    void sent();
    // The connection has ended: drops what was to be sent, and what it was to be made of.
    void forget_output();

    static constexpr std::size_t kInlineBody = 8 * 1024;  // larger texts are not copied behind their head

    // From now on every response closes its connection: the server is stopping.
    void close_after_response() { closing_soon_ = true; }
    // After Step::close: the client may still be sending, so a plain close(2) could destroy the answer on its
    // way.
    [[nodiscard]] bool lingers() const { return lingers_; }

  private:
    enum class Phase : std::uint8_t {
        head,      // waiting for a request, or in the middle of its head
        body,      // the head is out, the body is not complete
        complete,  // the request is complete and waits for its response
        refused,   // … or was refused, and waits for the answer that says so
        sending,   // answered: the rest of the response's body is being made
        draining,  // answered before its body was complete: eating the rest
        closed,
    };
    static constexpr std::size_t kFirstBuffer = 8 * 1024;
    static constexpr std::size_t kBodyRoom = 4 * 1024;
    static constexpr std::size_t kSendAt = 16 * 1024;
    static constexpr std::size_t kPiece = 32 * 1024;  // of a body from a source, sent at a time …
    static constexpr int kReads = 32;                 // … and how often its source is asked for it,
    static constexpr std::size_t kWork = 16 * 1024;   // … and how much that may work
    enum class Framing : std::uint8_t { length, chunked, until_close };

    [[nodiscard]] char* text() const { return buffer_.get() + begin_; }
    Http1Parser::Event parse() { return parser_.parse(text(), at_, end_ - begin_); }
    Step take_step();
    Step next_in_head();
    Step next_in_body();
    bool drain();
    Step refuse(Status status);
    void close(bool lingering);
    void begin_next();
    bool decide_keep_alive(const Response& response);
    void write_head(const Response& response, const DateLine& date, Framing framing, bool keep,
                    bool inline_body);
    void go_on(bool keep);
    void start_source(Response& response, Framing framing, bool keep);
    void pull();
    void finish_source();
    void put_last_chunk();
    [[nodiscard]] std::size_t fill(std::span<char> room);
    [[nodiscard]] char* output_room(std::size_t bytes);
    std::span<char> make_input_space();
    void grow(std::size_t capacity);
    void make_body_room();

    const Limits& limits_;
    RequestHead& head_;
    Http1Parser parser_;

    std::unique_ptr<char[]> buffer_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;  // of the current request
    std::size_t end_ = 0;    // of what has been received
    std::size_t at_ = 0;     // how much of the request is eaten, from begin_
    std::size_t head_size_ = 0;
    std::uint64_t body_eaten_ = 0;
    std::uint64_t requests_ = 0;

    nutils::ByteBuffer output_;
    std::string body_;
    nutils::UniqueFd file_;
    off_t file_offset_ = 0;
    std::uint64_t file_count_ = 0;
    std::unique_ptr<BodySource> source_;
    std::uint64_t source_left_ = 0;  // bytes it may still give
    std::size_t piece_at_ = 0;       // where its piece begins in output_ …
    std::size_t piece_size_ = 0;     // … without what frames it

    Phase phase_ = Phase::closed;
    Phase phase_before_ = Phase::closed;  // while sending: what it was when the response began …
    Framing framing_ = Framing::length;
    bool keep_ = false;  // … and what becomes of the connection
    enum class SourceState : std::uint8_t {
        gives,
        works,  // it had nothing yet when it was asked, but is getting on
        waits,  // it had nothing
    };
    SourceState source_state_ = SourceState::gives;
    bool source_failed_ = false;
    bool source_may_end_ = false;
    bool worked_ = false;
    bool stream_is_mute_ = false;  // HEAD: nobody wants the pieces
    Status refusal_ = Status::bad_request;
    bool eof_ = false;
    bool continued_ = false;
    bool closing_soon_ = false;
    bool lingers_ = false;
    bool was_cut_ = false;
    BrokenBody* told_ = nullptr;
};

}  // namespace webby
