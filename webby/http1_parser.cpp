// Beast checks its own invariants with asserts that a client can reach: a last chunk that arrives in two
// pieces stops at "n >= 5", although the code behind it is right without. Input from outside must never abort
// the process.
#define BOOST_DISABLE_ASSERTS

#include "webby/http1_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>

#include "webby/ascii.h"
#include "webby/uri.h"

namespace webby {

namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

Method method_from(http::verb verb) {
    switch (verb) {
        case http::verb::get: return Method::get;
        case http::verb::head: return Method::head;
        case http::verb::post: return Method::post;
        case http::verb::put: return Method::put;
        case http::verb::delete_: return Method::del;
        case http::verb::options: return Method::options;
        case http::verb::trace: return Method::trace;
        case http::verb::patch: return Method::patch;
        default: return Method::other;  // CONNECT too: this is no proxy
    }
}

constexpr ascii::CharSet kDigit(ascii::is_digit);

std::string_view to_std(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// Beast's parser with our conditions in its callbacks. A callback refuses by setting `refusal` and an error
// code, which makes Beast return at once.
struct Http1Parser::Grammar final : http::basic_parser<true> {
    Grammar(const Limits& the_limits, RequestHead& the_head)
        : limits(the_limits), head(the_head), body_limit_left(the_limits.body) {
        header_limit(
            std::numeric_limits<std::uint32_t>::max());  // the limits here count the same bytes however
        body_limit(boost::none);                         // they arrive; Beast's count what one call is given
    }

    const Limits& limits;
    RequestHead& head;
    const char* text_end = nullptr;
    std::string_view piece;
    std::uint64_t body_limit_left;
    std::size_t trailer_bytes = 0;
    Status refusal = Status::bad_request;
    unsigned hosts = 0;
    unsigned encodings = 0;
    unsigned lengths = 0;
    bool encoding_is_chunked = false;
    bool unknown_expectation = false;
    bool closes = false;  // one of the options in Connection
    bool head_done = false;

    void refuse(Status status, beast::error_code& ec) {
        refusal = status;
        ec = http::error::bad_value;
    }

    void on_request_impl(http::verb verb, beast::string_view method, beast::string_view target, int version,
                         beast::error_code& ec) override {
        head.method = method_from(verb);
        head.version = version == 10 ? Version::http_1_0 : Version::http_1_1;
        head.method_name = head.place_of(to_std(method));
        head.target = head.place_of(to_std(target));
        // "GET " + target + " HTTP/1.1"
        if (method.size() + target.size() + 10 > limits.request_line) refuse(Status::uri_too_long, ec);
    }

    void on_field_impl(http::field field, beast::string_view name, beast::string_view value,
                       beast::error_code& ec) override {
        if (is_folded(name, value)) return refuse(Status::bad_request, ec);
        if (head_done) return on_trailer(name.size() + value.size() + 4, ec);
        switch (field) {
            case http::field::host:
                if (++hosts > 1 || !is_valid_host(to_std(value))) return refuse(Status::bad_request, ec);
                head.authority = head.place_of(to_std(value));
                break;
            case http::field::content_length:  // Beast also takes lists of equal numbers
                if (++lengths > 1 || !kDigit.has_all(to_std(value))) return refuse(Status::bad_request, ec);
                break;
            case http::field::transfer_encoding:
                ++encodings;
                encoding_is_chunked = ascii::equal_ignoring_case(to_std(value), "chunked");
                break;
            case http::field::connection: closes |= list_has_token(to_std(value), "close"); break;
            case http::field::expect:
                if (ascii::equal_ignoring_case(to_std(value), "100-continue"))
                    head.expects_continue = true;
                else
                    unknown_expectation = true;
                break;
            default: break;
        }
        if (head.headers.size() >= limits.header_count) return refuse(Status::header_fields_too_large, ec);
        head.headers.add(to_std(name), to_std(value));
    }

    // obs-fold, which RFC 9112 §5.2 lets a server refuse: a line break between name and value, or a value
    // that Beast had to put together in memory of its own.
    [[nodiscard]] bool is_folded(beast::string_view name, beast::string_view value) const {
        const char* const name_end = name.data() + name.size();
        if (std::less<>()(value.data(), name_end) || std::less<>()(text_end, value.data())) return true;
        for (const char* at = name_end; at != value.data(); ++at)
            if (*at == '\r') return true;
        return false;
    }

    // Trailers are bounded, checked by Beast, and then forgotten.
    void on_trailer(std::size_t bytes, beast::error_code& ec) {
        trailer_bytes += bytes;
        if (trailer_bytes > limits.trailers) refuse(Status::header_fields_too_large, ec);
    }

    void on_header_impl(beast::error_code& ec) override {
        head_done = true;
        const bool old = head.version == Version::http_1_0;
        if (encodings > 0) {
            if (old || lengths > 0 || encodings > 1) return refuse(Status::bad_request, ec);
            if (!encoding_is_chunked) return refuse(Status::not_implemented, ec);
        }
        if (hosts == 0 && !old) return refuse(Status::bad_request, ec);
        if (head.method == Method::other) return refuse(Status::not_implemented, ec);
        if (!read_target()) return refuse(Status::bad_request, ec);
        if (unknown_expectation && !old) return refuse(Status::expectation_failed, ec);

        head.keep_alive = keep_alive() && !closes;  // in 1.0 Beast looks at "keep-alive" alone
        head.chunked = encodings > 0;
        head.has_length = lengths > 0;
        if (head.has_length) head.content_length = *content_length();
        // A client that speaks 1.0 cannot have meant it (RFC 9110 §10.1.1); without a body there is nothing
        // to go on with.
        if (old || !head.has_body()) head.expects_continue = false;
    }

    bool read_target() {
        const std::optional<TargetParts> parts = split_target(head.view(head.target));
        if (!parts) return false;
        if (!parts->authority.empty()) {
            if (!is_valid_host(parts->authority)) return false;
            head.authority = head.place_of(parts->authority);
        }
        if (!parts->query.empty()) head.query = head.place_of(parts->query);
        if (parts->path.empty() || parts->path == "*") {
            head.decoded_path.assign(1, parts->path.empty() ? '/' : '*');
            return parts->path.empty() || head.method == Method::options;
        }
        if (!is_plain_path(parts->path)) return normalize_path(parts->path, head.decoded_path);
        head.path = head.place_of(parts->path);
        return true;
    }

    void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}

    std::size_t on_body_impl(beast::string_view body, beast::error_code&) override {
        piece = to_std(body);
        return body.size();
    }

    void on_chunk_header_impl(std::uint64_t size, beast::string_view extensions,
                              beast::error_code& ec) override {
        if (extensions.size() > limits.chunk_line) return refuse(Status::bad_request, ec);
        // Beast takes anything between quotes: a line break there ends the line for others.
        if (!ascii::kFieldValue.has_all(to_std(extensions))) return refuse(Status::bad_request, ec);
        if (size > body_limit_left) return refuse(Status::content_too_large, ec);
        body_limit_left -= size;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, beast::error_code& ec) override {
        return on_body_impl(body, ec);
    }

    void on_finish_impl(beast::error_code&) override {}
    void on_response_impl(int, beast::string_view, int, beast::error_code&) override {}
};

// Where the grammar lives: made anew for each request, in place.
struct Http1Parser::GrammarBox {
    std::optional<Grammar> grammar;
};

Http1Parser::Http1Parser(const Limits& limits) : limits_(limits), box_(std::make_unique<GrammarBox>()) {}
Http1Parser::~Http1Parser() = default;

void Http1Parser::begin_grammar() {
    head_->clear();
    box_->grammar.emplace(limits_, *head_);
}

void Http1Parser::set_body_limit(std::uint64_t bytes) {
    if (state_ == State::body) box_->grammar->body_limit_left = bytes;
}

Http1Parser::Event Http1Parser::parse_further(char* text, std::size_t& at, std::size_t size) {
    switch (state_) {
        case State::start_line: return parse_start_line(text, at, size);
        case State::fields: return parse_fields(text, at, size);
        case State::body: return parse_body(text, at, size);
        case State::finished: return Event::end;
        case State::refused: break;
    }
    return Event::refused;
}

Http1Parser::Event Http1Parser::refuse(Status status) {
    refusal_ = status;
    state_ = State::refused;
    return Event::refused;
}

// Judges the start line only when all of it is there, so that the answer does not depend on how it was cut
// up.
Http1Parser::Event Http1Parser::parse_start_line(char* text, std::size_t& at, std::size_t size) {
    while (at < size && text[at] == '\r') {  // RFC 9112 §2.2: skip empty lines before a request
        if (at + 1 == size) return Event::need_more;
        if (text[at + 1] != '\n' || at >= 2 * limits_.empty_lines) return refuse(Status::bad_request);
        at += 2;
    }
    if (at == size) return Event::need_more;
    if (!ascii::kToken.has(text[at])) return refuse(Status::bad_request);

    // Who asks with HEAD reads no body behind the answer, whatever may be wrong with the rest.
    const Method asked =
        std::string_view(text + at, size - at).starts_with("HEAD ") ? Method::head : Method::other;
    head_->method = asked;
    if (searched_ < at) searched_ = at;
    const void* const newline = std::memchr(text + searched_, '\n', size - searched_);
    if (newline != nullptr) {
        if (static_cast<const char*>(newline)[-1] != '\r') return refuse(Status::bad_request);
        begin_grammar();
        head_->method = asked;
        return parse_fields(text, at, size);
    }
    searched_ = size;
    if (size - at <= limits_.request_line) return Event::need_more;
    const bool has_target = std::memchr(text + at, ' ', size - at) != nullptr;
    return refuse(has_target ? Status::uri_too_long : Status::bad_request);
}

Http1Parser::Event Http1Parser::parse_fields(char* text, std::size_t& at, std::size_t size) {
    if (at == size) return Event::need_more;
    Grammar& grammar = *box_->grammar;
    head_->set_text(text);
    grammar.text_end = text + size;
    beast::error_code ec;
    const std::size_t eaten = grammar.put(boost::asio::const_buffer(text + at, size - at), ec);
    at += eaten;
    if (!ec) {
        if (at > limits_.head) return refuse(Status::header_fields_too_large);
        state_ = grammar.is_done() ? State::finished : State::body;
        return Event::head;
    }
    if (ec == http::error::need_more) {
        state_ = State::fields;
        return size > limits_.head ? refuse(Status::header_fields_too_large) : Event::need_more;
    }
    if (ec == http::error::bad_version && state_ == State::start_line) return judge_version(text, at, size);
    return refuse(grammar.refusal);
}

// Beast knows the versions 1.0 and 1.1 and nothing else.
Http1Parser::Event Http1Parser::judge_version(char* text, std::size_t& at, std::size_t size) {
    const std::string_view rest(text + at, size - at);
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    const std::size_t last_space = line.rfind(' ');
    const std::string_view version = line.substr(last_space + 1);
    if (version.size() != 8 || !version.starts_with("HTTP/") || !ascii::is_digit(version[5]) ||
        version[6] != '.' || !ascii::is_digit(version[7]) || line.find(' ', line.find(' ') + 1) != last_space)
        return refuse(Status::bad_request);
    if (version[5] != '1') return refuse(Status::version_not_supported);
    // HTTP/1.2 and above are to be taken for the highest minor version we know (RFC 9110 §2.5). The buffer is
    // ours.
    text[at + last_space + 8] = '1';
    begin_grammar();
    return parse_fields(text, at, size);
}

Http1Parser::Event Http1Parser::parse_body(char* text, std::size_t& at, std::size_t size) {
    Grammar& grammar = *box_->grammar;
    if (!head_->chunked && head_->content_length > grammar.body_limit_left)
        return refuse(Status::content_too_large);
    grammar.text_end = text + size;
    while (!grammar.is_done()) {
        if (at == size) return Event::need_more;
        grammar.piece = {};
        beast::error_code ec;
        at += grammar.put(boost::asio::const_buffer(text + at, size - at), ec);
        if (ec == http::error::need_more) return wait_for_chunk({text + at, size - at});
        if (ec) return refuse(grammar.refusal);
        piece_ = grammar.piece;
        if (!piece_.empty()) return Event::body;
    }
    state_ = State::finished;
    return Event::end;
}

// Beast wants a chunk's first line whole, and the last chunk with its trailers; nothing says how long they
// may be.
Http1Parser::Event Http1Parser::wait_for_chunk(std::string_view waiting) {
    constexpr std::size_t kSizeAndLineEnds = 2 + 18 + 2;
    const bool line_complete = waiting.find('\n', 2) != std::string_view::npos;
    if (!line_complete)
        return waiting.size() > limits_.chunk_line + kSizeAndLineEnds ? refuse(Status::bad_request)
                                                                      : Event::need_more;
    return waiting.size() > max_waiting(limits_) ? refuse(Status::header_fields_too_large) : Event::need_more;
}

std::size_t Http1Parser::max_waiting(const Limits& limits) {
    return limits.chunk_line + limits.trailers + 32;
}

}  // namespace webby
