#include "webby/uri.h"

#include <cstring>

#include "webby/ascii.h"

namespace webby {
namespace {

// Bytes after which a path needs a closer look.
constexpr ascii::CharSet kPathSpecial([](char c) { return c == '/' || c == '%' || c == 0; });

constexpr ascii::CharSet kPathSafe([](char c) {
    return ascii::is_alnum(c) || (c != 0 && ascii::contains("-._~!$&'()*+,;=:@/", c));
});

constexpr ascii::CharSet kHostChar([](char c) {
    return ascii::is_alnum(c) || (c != 0 && ascii::contains("-._~!$&'()*+,;=%", c));
});

constexpr ascii::CharSet kAddressChar([](char c) {
    return ascii::hex_value(c) >= 0 || c == ':' || c == '.';
});

constexpr ascii::CharSet kDigit(ascii::is_digit);

// Decodes the escape at text[at]; -1 when it is broken.
int decode_escape(std::string_view text, std::size_t at) {
    if (at + 2 >= text.size()) return -1;
    const int high = ascii::hex_value(text[at + 1]);
    const int low = ascii::hex_value(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string_view strip_scheme(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"})
        if (target.size() > scheme.size() &&
            ascii::equal_ignoring_case(target.substr(0, scheme.size()), scheme))
            return target.substr(scheme.size());
    return {};
}

}  // namespace

std::optional<TargetParts> split_target(std::string_view target) {
    TargetParts parts;
    if (target.empty() || target.find('#') != std::string_view::npos) return {};
    if (target == "*") {
        parts.path = target;
        return parts;
    }
    if (target[0] != '/') {
        target = strip_scheme(target);
        if (target.empty()) return {};
        const std::size_t end = target.find_first_of("/?");
        parts.authority = target.substr(0, end);
        target = end == std::string_view::npos ? std::string_view() : target.substr(end);
        if (parts.authority.empty()) return {};
    }
    const std::size_t mark = target.find('?');
    parts.path = target.substr(0, mark);
    if (mark != std::string_view::npos) parts.query = target.substr(mark + 1);
    return parts;
}

bool is_plain_path(std::string_view path) {
    const char* at = path.data();
    const char* const end = at + path.size();
    for (; at != end; ++at) {
        if (!kPathSpecial.has(*at)) continue;
        if (*at != '/') return false;
        if (at + 1 != end && (at[1] == '/' || at[1] == '.')) return false;
    }
    return true;
}

bool normalize_path(std::string_view path, std::string& out) {
    out.clear();
    for (std::size_t i = 0; i < path.size(); ++i) {
        int c = static_cast<unsigned char>(path[i]);
        if (c == '%') {
            c = decode_escape(path, i);
            i += 2;
        }
        if (c <= 0) return false;
        out += static_cast<char>(c);
    }
    // In place: `kept` is what has been accepted so far and always ends before the slash that begins a
    // segment.
    std::size_t kept = 0;
    for (std::size_t at = 0; at < out.size();) {
        std::size_t end = out.find('/', at + 1);
        if (end == std::string::npos) end = out.size();
        const std::string_view segment(out.data() + at + 1, end - at - 1);
        const bool last = end == out.size();
        if (segment == "..") {
            if (kept == 0) return false;
            kept = out.rfind('/', kept - 1);
            if (last) out[kept++] = '/';
        } else if (segment == "." || segment.empty()) {
            if (last) out[kept++] = '/';
        } else {
            const std::size_t size = end - at;
            if (kept != at) std::memmove(out.data() + kept, out.data() + at, size);
            kept += size;
        }
        at = end;
    }
    out.resize(kept);
    return true;
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '+' && plus_is_space) c = ' ';
        if (c == '%') {
            if (const int value = decode_escape(text, i); value >= 0) {
                c = static_cast<char>(value);
                i += 2;
            }
        }
        out += c;
    }
    return out;
}

std::string percent_encode_path(std::string_view path) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(path.size());
    for (const char c : path) {
        if (kPathSafe.has(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += kHex[byte >> 4];
        out += kHex[byte & 15];
    }
    return out;
}

bool is_valid_host(std::string_view host) {
    const char* const begin = host.data();
    const char* const end = begin + host.size();
    const char* at = begin;
    if (host.starts_with('[')) {
        at = kAddressChar.skip(begin + 1, end);
        if (at - begin < 3 || at == end || *at++ != ']') return false;
    } else {
        at = kHostChar.skip(begin, end);
    }
    if (at == begin) return false;
    if (at == end) return true;
    return *at == ':' && end - at <= 6 && kDigit.skip(at + 1, end) == end;
}

}  // namespace webby
