// Http1Parser: the grammar of HTTP/1.1 requests, strict. Bytes in, events out, no I/O.
//
// The grammar itself is Boost.Beast's basic_parser, which only http1_parser.cpp includes. What Beast lets
// pass although RFC 9112 leaves no doubt, or leaves a doubt that lets a second request hide in the first, is
// refused here. Plain heads take a short way past it: see plain_head.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "cutils/export.h"
#include "webby/http_types.h"
#include "webby/limits.h"
#include "webby/plain_head.h"
#include "webby/request_head.h"

namespace webby {

// Parses one request at a time; begin() starts the next. Used by one connection at a time; its memory is made
// once.
//
//   parser.begin(head);
//   for (std::size_t at = 0;;) switch (parser.parse(text, at, size)) { … }
//
// What is refused, and how: a framing or grammar doubt 400; Transfer-Encoding other than "chunked" 501, and
// 400 with HTTP/1.0 or beside Content-Length; missing, double or bad Host 400; unknown method and CONNECT
// 501; HTTP/0.x, 2, 3 505; Expect other than 100-continue 417; limits 414, 431, 413. After a refusal the
// connection has to close: nobody knows where the next request would begin.
class EVC_API Http1Parser {
  public:
    enum class Event {
        need_more,  // everything usable is eaten; call again with more bytes behind it
        head,       // the head is complete; RequestHead is filled
        body,       // piece() is a part of the body
        end,        // the request is complete
        refused,    // refusal() says why; only begin() may follow
    };

    // Lifetime: limits must outlive the parser.
    explicit Http1Parser(const Limits& limits);
    ~Http1Parser();
    Http1Parser(const Http1Parser&) = delete;
    Http1Parser& operator=(const Http1Parser&) = delete;

    // Forgets everything; the next byte is the first of a request whose head goes to `head`.
    // Lifetime: head must outlive the request.
    void begin(RequestHead& head) {
        head_ = &head;
        head.clear();
        searched_ = 0;
        state_ = State::start_line;
    }

    // Eats text[at, size) up to the next event and moves `at` behind what was eaten.
    //
    // Before:   text[0] is the first byte of the request until `head` has been reported; the bytes up to `at`
    //           are those given before. What was not eaten comes again, in one piece with what follows.
    // After:    body: piece() is in text. On need_more the rest, text[at, size), has to be kept.
    // Lifetime: the places in RequestHead count from text.
    // Cost:     a plain head see plain_head.h, any other about 25 instructions a byte. No allocation.
    [[nodiscard]] Event parse(char* text, std::size_t& at, std::size_t size) {
        if (state_ == State::start_line && at + searched_ == 0 && size > 0 && takes_short_way_) {
            at = scan_plain_head(*head_, text, size, limits_);
            if (at != 0) {
                state_ = State::finished;
                return Event::head;
            }
            head_->clear();
        }
        return parse_further(text, at, size);
    }

    [[nodiscard]] std::string_view piece() const { return piece_; }
    [[nodiscard]] Status refusal() const { return refusal_; }

    // After `head`: how large the body may be; larger is refused with 413 as soon as it is known. Default:
    // Limits::body.
    void set_body_limit(std::uint64_t bytes);

    // Off, every head goes through Beast: for the test that compares the two.
    void take_short_way(bool on) { takes_short_way_ = on; }

    // The most that parse() can leave uneaten once the head is complete.
    [[nodiscard]] static std::size_t max_waiting(const Limits& limits);

  private:
    struct Grammar;
    struct GrammarBox;

    Event parse_further(char* text, std::size_t& at, std::size_t size);
    void begin_grammar();
    Event parse_start_line(char* text, std::size_t& at, std::size_t size);
    Event parse_fields(char* text, std::size_t& at, std::size_t size);
    Event judge_version(char* text, std::size_t& at, std::size_t size);
    Event parse_body(char* text, std::size_t& at, std::size_t size);
    Event wait_for_chunk(std::string_view waiting);
    Event refuse(Status status);

    enum class State : std::uint8_t { start_line, fields, body, finished, refused };

    const Limits& limits_;
    std::unique_ptr<GrammarBox> box_;
    RequestHead* head_ = nullptr;
    std::string_view piece_;
    std::size_t searched_ = 0;  // up to here the start line has no newline
    Status refusal_ = Status::bad_request;
    State state_ = State::finished;
    bool takes_short_way_ = true;
};

}  // namespace webby
