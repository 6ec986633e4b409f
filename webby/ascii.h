// Characters as HTTP sees them: ASCII, whatever the locale. Internal to webby's .cpp files, harmless
// elsewhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace webby::ascii {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return lower(c) >= 'a' && lower(c) <= 'z'; }
constexpr bool is_alnum(char c) { return is_digit(c) || is_alpha(c); }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    const char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

// a == b, without a call for what is short: two overlapping loads instead.
inline bool same_bytes(std::string_view a, std::string_view b) {
    const std::size_t size = a.size();
    if (size != b.size()) return false;
    const auto same_word = [&]<class Word>(Word, std::size_t at) {
        Word x, y;
        std::memcpy(&x, a.data() + at, sizeof x);
        std::memcpy(&y, b.data() + at, sizeof y);
        return x == y;
    };
    if (size > 32 || size < 4) return std::memcmp(a.data(), b.data(), size) == 0;
    const auto same_sixteen = [&](std::size_t at) {
        return same_word(std::uint64_t{}, at) && same_word(std::uint64_t{}, at + 8);
    };
    if (size >= 16) return same_sixteen(0) && same_sixteen(size - 16);
    if (size >= 8) return same_word(std::uint64_t{}, 0) && same_word(std::uint64_t{}, size - 8);
    return same_word(std::uint32_t{}, 0) && same_word(std::uint32_t{}, size - 4);
}

// equal_ignoring_case for a token, such as the name of a field, and letters and "-" in lower case: faster,
// because no other character of a token becomes one of these by setting a bit.
constexpr bool token_is(std::string_view token, std::string_view lower_case) {
    if (token.size() != lower_case.size()) return false;
    for (std::size_t i = 0; i < token.size(); ++i)
        if ((token[i] | 0x20) != lower_case[i]) return false;
    return true;
}

constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

// A set of characters with a lookup of one load.
class CharSet {
  public:
    template <class Predicate>
    explicit constexpr CharSet(Predicate&& contains) {
        for (unsigned c = 0; c < 256; ++c) table_[c] = contains(static_cast<char>(c));
    }
    [[nodiscard]] constexpr bool has(char c) const { return table_[static_cast<unsigned char>(c)]; }
    // The first place in [at, end) whose byte is not in the set, or end.
    [[nodiscard]] constexpr const char* skip(const char* at, const char* end) const {
        while (at != end && has(*at)) ++at;
        return at;
    }
    [[nodiscard]] constexpr bool has_all(std::string_view text) const {
        const char* const end = text.data() + text.size();
        return skip(text.data(), end) == end;
    }

  private:
    std::array<bool, 256> table_{};
};

constexpr bool contains(std::string_view set, char c) { return set.find(c) != std::string_view::npos; }

// RFC 9110 token: the names of methods and fields.
inline constexpr CharSet kToken([](char c) {
    return is_alnum(c) || (c != 0 && contains("!#$%&'*+-.^_`|~", c));
});

// RFC 9110 field value: anything visible, blanks, and bytes above ASCII.
inline constexpr CharSet kFieldValue([](char c) { return c == '\t' || !is_control(c); });

}  // namespace webby::ascii
