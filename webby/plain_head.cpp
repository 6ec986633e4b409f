#include "webby/plain_head.h"

#include <cstring>
#include <utility>

#include "webby/ascii.h"
#include "webby/uri.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace webby {
namespace {

// In a path, "/" and "%" are looked at closer; a query may have everything that cannot end it or break a log
// line.
constexpr ascii::CharSet kPathChar([](char c) {
    return ascii::is_alnum(c) || (c != 0 && ascii::contains("-._~!$&'()*+,;=:@", c));
});
constexpr ascii::CharSet kQueryChar([](char c) {
    return kPathChar.has(c) || (c != 0 && ascii::contains("/?%[]|\"<>^`{}\\", c));
});

// The first byte of [at, end) that may not stand in a field's value, or end.
const char* skip_value(const char* at, const char* end) {
#ifdef __SSE2__
    const __m128i below_space = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, below_space), bytes);
        const __m128i bad =
            _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control), _mm_cmpeq_epi8(bytes, del));
        if (const int mask = _mm_movemask_epi8(bad)) return at + __builtin_ctz(static_cast<unsigned>(mask));
    }
#endif
    return ascii::kFieldValue.skip(at, end);
}

// Reads from the left; every step answers whether it went on plainly.
class Scan {
  public:
    Scan(RequestHead& head, const char* text, const char* end)
        : head_(head), text_(text), at_(text), end_(end) {}

    bool request_line() {
        if (left() < 16) return false;  // "GET / HTTP/1.1\r\n"
        if (std::memcmp(at_, "GET ", 4) == 0) {
            head_.method = Method::get;
            head_.method_name = {offset(at_), 3};
            at_ += 4;
        } else if (std::memcmp(at_, "HEAD ", 5) == 0) {
            head_.method = Method::head;
            head_.method_name = {offset(at_), 4};
            at_ += 5;
        } else {
            return false;
        }
        const char* const target = at_;
        if (!path()) return false;
        head_.path = {offset(target), offset(at_) - offset(target)};
        if (*at_ == '?') {
            const char* const query = ++at_;
            at_ = kQueryChar.skip(at_, end_);
            if (at_ != query) head_.query = {offset(query), offset(at_) - offset(query)};
        }
        head_.target = {offset(target), offset(at_) - offset(target)};
        if (left() < 11 || std::memcmp(at_, " HTTP/1.1\r\n", 11) != 0) return false;
        at_ += 11;
        return true;
    }

    // Up to and with the empty line.
    bool fields(std::size_t max_count) {
        bool has_host = false;
        head_.keep_alive = true;
        for (;;) {
            if (left() < 2) return false;
            if (*at_ == '\r') break;
            if (!has_host && same_host_again()) {
                has_host = true;
                continue;
            }
            const char* const name = at_;
            at_ = ascii::kToken.skip(at_, end_);
            const std::string_view name_text(name, static_cast<std::size_t>(at_ - name));
            if (name_text.empty() || at_ == end_ || *at_++ != ':') return false;
            while (at_ != end_ && ascii::is_blank(*at_)) ++at_;
            const char* const value = at_;
            at_ = skip_value(at_, end_);
            const char* value_end = at_;
            if (left() < 3 || at_[0] != '\r' || at_[1] != '\n' || ascii::is_blank(at_[2])) return false;
            at_ += 2;
            while (value_end != value && ascii::is_blank(value_end[-1])) --value_end;
            const std::string_view value_text(value, static_cast<std::size_t>(value_end - value));
            if (!is_plain_field(name_text, value_text, has_host)) return false;
            head_.headers.add(name_text, value_text);
        }
        if (at_[1] != '\n' || !has_host || head_.headers.size() > max_count) return false;
        at_ += 2;
        return true;
    }

    [[nodiscard]] std::size_t eaten() const { return offset(at_); }

  private:
    bool path() {
        if (*at_ != '/') return false;
        do {
            ++at_;
            if (at_ != end_ && (*at_ == '/' || *at_ == '.')) return false;
            at_ = kPathChar.skip(at_, end_);
            if (at_ == end_) return false;
        } while (*at_ == '/');
        return *at_ == ' ' || *at_ == '?';
    }

    // Every request has this field, and clients ask for the same host again and again.
    bool same_host_again() {
        const std::string& line = head_.last_host_line;
        if (left() <= line.size() || !ascii::same_bytes({at_, line.size()}, line)) return false;
        const char* const next = at_ + line.size();
        if (line.empty() || ascii::is_blank(*next)) return false;
        const char* const name = std::exchange(at_, next);
        take_host(name, {name + kHostName.size(), line.size() - kHostName.size() - 2});
        return true;
    }
    void take_host(const char* name, std::string_view host) {
        head_.authority = {offset(host.data()), static_cast<std::uint32_t>(host.size())};
        head_.headers.add({name, 4}, host);
    }
    void remember(std::string_view host) {
        head_.last_host_line.assign(kHostName).append(host).append("\r\n");
    }
    static constexpr std::string_view kHostName = "Host: ";

    // The length tells most names apart from those that matter.
    bool is_plain_field(std::string_view name, std::string_view value, bool& has_host) {
        switch (name.size()) {
            case 4:
                if (std::memcmp(name.data(), "Host", 4) != 0 && !ascii::token_is(name, "host")) return true;
                if (has_host || !is_valid_host(value)) return false;
                has_host = true;
                remember(value);
                head_.authority = {offset(value.data()), static_cast<std::uint32_t>(value.size())};
                return true;
            case 6: return !ascii::token_is(name, "expect");
            case 10:
                if (!ascii::token_is(name, "connection")) return true;
                if (ascii::equal_ignoring_case(value, "keep-alive")) return true;
                head_.keep_alive = false;
                return ascii::equal_ignoring_case(value, "close");
            case 14: return !ascii::token_is(name, "content-length");
            case 16: return !ascii::token_is(name, "proxy-connection");
            case 17: return !ascii::token_is(name, "transfer-encoding");
            default: return true;
        }
    }

    [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
    [[nodiscard]] std::uint32_t offset(const char* place) const {
        return static_cast<std::uint32_t>(place - text_);
    }

    RequestHead& head_;
    const char* text_;
    const char* at_;
    const char* end_;
};

}  // namespace

std::size_t scan_plain_head(RequestHead& head, const char* text, std::size_t size, const Limits& limits) {
    head.set_text(text);
    Scan scan(head, text, text + size);
    if (!scan.request_line() || scan.eaten() > limits.request_line + 2) return 0;
    if (!scan.fields(limits.header_count) || scan.eaten() > limits.head) return 0;
    return scan.eaten();
}

}  // namespace webby
