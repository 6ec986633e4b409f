#include "webby/multipart.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "nutils/net_error.h"
#include "webby/ascii.h"
#include "webby/parameters.h"

namespace webby {

using Step = MultipartParser::Step;

namespace {

constexpr std::size_t kMaxBoundary = 70;
constexpr ascii::CharSet kBoundary([](char c) {
    return ascii::is_alnum(c) || (c != 0 && ascii::contains("'()+_,-./:=? ", c));
});

cutils::Error malformed(std::string why) {
    return {std::make_error_code(std::errc::bad_message), "multipart: " + std::move(why)};
}

std::string_view front_token(std::string_view text) { return ascii::trim(text.substr(0, text.find(';'))); }

std::string_view behind_token(std::string_view text) {
    const std::size_t semicolon = text.find(';');
    return semicolon == std::string_view::npos ? std::string_view() : text.substr(semicolon);
}

bool needs_decoding(std::string_view encoding) {
    for (const std::string_view plain : {"binary", "8bit", "7bit"})
        if (ascii::equal_ignoring_case(encoding, plain)) return false;
    return true;
}

}  // namespace

cutils::Result<std::string> multipart_boundary(std::string_view content_type) {
    if (!ascii::equal_ignoring_case(front_token(content_type), "multipart/form-data"))
        return cutils::Error(std::make_error_code(std::errc::not_supported),
                             "multipart: the type is not multipart/form-data");
    std::string_view rest = behind_token(content_type);
    std::optional<std::string> boundary;
    Parameter parameter;
    ParameterStep step;
    while ((step = read_parameter(rest, parameter, Quoting::http)) == ParameterStep::one) {
        if (!ascii::equal_ignoring_case(parameter.name, "boundary")) continue;
        if (boundary) return malformed("two boundaries in Content-Type");
        boundary = std::move(parameter.value);
    }
    if (step == ParameterStep::malformed) return malformed("Content-Type cannot be read");
    if (!boundary) return malformed("no boundary in Content-Type");
    if (boundary->empty() || boundary->size() > kMaxBoundary || boundary->back() == ' ' ||
        !kBoundary.has_all(*boundary))
        return malformed("the boundary is not one that RFC 2046 allows");
    return std::move(*boundary);
}

std::string_view MultipartPart::header(std::string_view wanted) const {
    for (const Header& one : headers)
        if (ascii::equal_ignoring_case(one.name, wanted)) return one.value;
    return {};
}

// A first delimiter has no line end in front of it; matched_ begins as if it had.
MultipartParser::MultipartParser(std::string_view boundary, const MultipartLimits& limits)
    : delimiter_("\r\n--" + std::string(boundary)), limits_(limits) {}

Step MultipartParser::refuse(std::string why) {
    error_ = malformed(std::move(why));
    state_ = State::refused;
    return Step::refused;
}

Step MultipartParser::refuse_too_long(const char* what) {
    error_ = cutils::Error(nutils::NetError::too_long, std::string("multipart: ") + what);
    state_ = State::refused;
    return Step::refused;
}

void MultipartParser::take(std::string_view& input, std::size_t bytes) {
    input.remove_prefix(bytes);
    total_ += bytes;
}

Step MultipartParser::next(std::string_view& input) {
    if (state_ == State::refused) return Step::refused;
    if (input.size() > limits_.total - total_) return refuse_too_long("the body");
    do {
        Step step = Step::need_more;
        switch (state_) {
            case State::preamble:
            case State::data: step = next_in_text(input); break;
            case State::headers: step = next_in_headers(input); break;
            case State::epilogue: take(input, input.size()); break;
            default: step = next_after_delimiter(input); break;
        }
        if (step != Step::need_more) return step;
    } while (!input.empty());
    return Step::need_more;
}

// Bytes of a part are handed out as soon as they cannot be a delimiter any more. The delimiter has its only
// CR in front, so what turns out not to be one is data but for the byte at hand, which may begin another; and
// those bytes are a front of the delimiter, so they need not have been kept.
Step MultipartParser::next_in_text(std::string_view& input) {
    while (!input.empty()) {
        if (matched_ == 0) {
            const std::size_t text = std::min(input.find('\r'), input.size());
            if (text > 0) {
                data_ = input.substr(0, text);
                take(input, text);
                if (state_ == State::data) return give(data_);
                continue;
            }
        }
        if (input.front() != delimiter_[matched_]) {
            const std::string_view held =
                std::string_view(delimiter_).substr(borrowed_, matched_ - borrowed_);
            matched_ = borrowed_ = 0;
            if (state_ == State::data && !held.empty()) return give(held);
            continue;
        }
        take(input, 1);
        if (++matched_ < delimiter_.size()) continue;
        state_ = State::after_delimiter;
        if (std::exchange(in_part_, false)) return Step::part_end;
        return Step::need_more;
    }
    return Step::need_more;
}

Step MultipartParser::give(std::string_view data) {
    part_bytes_ += data.size();
    if (part_bytes_ > limits_.part) return refuse_too_long("a part");
    data_ = data;
    return Step::data;
}

// Behind a delimiter: "--" and the end, or blanks, CR LF and a part.
bool MultipartParser::goes_on_as_delimiter(char c) {
    switch (state_) {
        case State::after_delimiter:
            if (c == '-') {
                state_ = State::closing;
                return true;
            }
            [[fallthrough]];
        case State::padding:
            state_ = c == '\r' ? State::line_end : State::padding;
            return c == '\r' || ascii::is_blank(c);
        case State::closing: state_ = State::epilogue; return c == '-';
        default: state_ = State::headers; return c == '\n';
    }
}

Step MultipartParser::next_after_delimiter(std::string_view& input) {
    while (!input.empty()) {
        const char c = input.front();
        take(input, 1);
        if (!goes_on_as_delimiter(c)) return refuse("a line begins with the boundary and goes on");
        if (state_ == State::epilogue) return Step::end;
        if (state_ != State::headers) continue;
        if (++parts_ > limits_.parts) return refuse_too_long("too many parts");
        head_.clear();
        return Step::need_more;
    }
    return Step::need_more;
}

// The headers are gathered up to the empty line.
Step MultipartParser::next_in_headers(std::string_view& input) {
    while (!input.empty()) {
        const std::size_t line = std::min(input.find('\n'), input.size() - 1) + 1;
        head_.append(input.substr(0, line));
        take(input, line);
        if (head_.size() > limits_.header_bytes) return refuse_too_long("the headers of a part");
        if (head_.ends_with('\n') && !head_.ends_with("\r\n")) return refuse("a line ends without CR");
        if (head_ == "\r\n" || head_.ends_with("\r\n\r\n")) return read_part();
    }
    return Step::need_more;
}

Step MultipartParser::read_part() {
    part_ = {};
    std::string_view rest = head_;
    while (!rest.starts_with("\r\n")) {
        const std::size_t end = rest.find("\r\n");
        if (!read_header(rest.substr(0, end)))
            return state_ == State::refused ? Step::refused
                                            : refuse("a part has a header that cannot be read");
        rest.remove_prefix(end + 2);
    }
    const std::string_view encoding = part_.header("Content-Transfer-Encoding");
    if (!encoding.empty() && needs_decoding(encoding)) return refuse("a part is encoded");
    const std::string_view disposition = part_.header("Content-Disposition");
    if (!read_disposition(disposition)) return refuse("a part has no Content-Disposition that can be read");
    part_.content_type = part_.header("Content-Type");
    state_ = State::data;
    in_part_ = true;
    part_bytes_ = 0;
    matched_ = borrowed_ = 2;  // an empty part's delimiter may follow at once
    return Step::part;
}

bool MultipartParser::read_header(std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = ascii::trim(line.substr(colon + 1));
    if (name.empty() || !ascii::kToken.has_all(name) || !ascii::kFieldValue.has_all(value)) return false;
    if (part_.headers.size() == limits_.header_count) {
        refuse_too_long("too many headers of a part");
        return false;
    }
    // Two of these, and two readers would not agree on what the part is.
    for (const std::string_view once : {"Content-Disposition", "Content-Type", "Content-Transfer-Encoding"})
        if (ascii::equal_ignoring_case(name, once) && !part_.header(once).empty()) return false;
    part_.headers.push_back({std::string(name), std::string(value)});
    return true;
}

bool MultipartParser::read_disposition(std::string_view value) {
    if (!ascii::equal_ignoring_case(front_token(value), "form-data")) return false;
    std::string_view rest = behind_token(value);
    bool named = false;
    Parameter parameter;
    ParameterStep step;
    while ((step = read_parameter(rest, parameter, Quoting::form_data)) == ParameterStep::one) {
        if (ascii::equal_ignoring_case(parameter.name, "name")) {
            if (std::exchange(named, true)) return false;
            part_.name = std::move(parameter.value);
        } else if (ascii::equal_ignoring_case(parameter.name, "filename")) {
            if (part_.filename) return false;
            part_.filename = std::move(parameter.value);
        }
    }
    return step == ParameterStep::end && named;
}

bool MultipartParser::finish() {
    if (state_ == State::epilogue) return true;
    if (state_ == State::refused) return false;
    error_ = cutils::Error(nutils::NetError::truncated, "multipart: the body ends in the middle");
    state_ = State::refused;
    return false;
}

}  // namespace webby
