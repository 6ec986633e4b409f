#include "webby/byte_ranges.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "webby/ascii.h"

namespace webby {
namespace {

// Digits and nothing else; a number too large for us is larger than any file.
std::optional<std::uint64_t> parse_number(std::string_view text) {
    if (text.empty() || !ascii::is_digit(text.front())) return {};
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (end != text.data() + text.size()) return {};
    return error == std::errc() ? number : std::numeric_limits<std::uint64_t>::max();
}

}  // namespace

ByteRanges::ByteRanges(std::string_view field, std::uint64_t size) {
    const bool valid = parse(field, size);
    if (valid && count_ == 0)
        meaning_ = Meaning::unsatisfiable;
    else if (valid && !overlap())
        meaning_ = Meaning::satisfiable;
    else
        count_ = 0;
}

// False when the field is to be ignored.
bool ByteRanges::parse(std::string_view field, std::uint64_t size) {
    constexpr std::string_view kUnit = "bytes=";
    field = ascii::trim(field);
    if (!ascii::equal_ignoring_case(field.substr(0, kUnit.size()), kUnit)) return false;
    for (field.remove_prefix(kUnit.size()); !field.empty();) {
        const std::size_t comma = field.find(',');
        const std::string_view spec = ascii::trim(field.substr(0, comma));
        field = comma == std::string_view::npos ? std::string_view() : field.substr(comma + 1);
        if (!spec.empty() && !add(spec, size)) return false;
    }
    return asked_ > 0;
}

// "first-", "first-last" or "-suffix".
bool ByteRanges::add(std::string_view spec, std::uint64_t size) {
    if (++asked_ > kMost) return false;
    const std::size_t dash = spec.find('-');
    if (dash == std::string_view::npos) return false;
    const std::string_view before = spec.substr(0, dash), behind = spec.substr(dash + 1);
    if (before.empty()) {
        const std::optional<std::uint64_t> suffix = parse_number(behind);
        // The end of nothing can be had, and is nothing: no Content-Range could say so.
        if (!suffix || (*suffix > 0 && size == 0)) return false;
        if (*suffix == 0) return true;
        const std::uint64_t length = std::min(*suffix, size);
        ranges_[count_++] = {size - length, length};
        return true;
    }
    const std::optional<std::uint64_t> first = parse_number(before);
    std::optional<std::uint64_t> last = std::numeric_limits<std::uint64_t>::max();
    if (!behind.empty()) last = parse_number(behind);
    if (!first || !last || *last < *first) return false;
    if (*first < size) ranges_[count_++] = {*first, std::min(*last, size - 1) - *first + 1};
    return true;
}

bool ByteRanges::overlap() const {
    std::array<ByteRange, kMost> sorted;
    const auto end = std::copy(ranges().begin(), ranges().end(), sorted.begin());
    std::sort(sorted.begin(), end, [](const ByteRange& a, const ByteRange& b) { return a.first < b.first; });
    return std::adjacent_find(sorted.begin(), end, [](const ByteRange& a, const ByteRange& b) {
               return b.first - a.first < a.size;
           }) != end;
}

}  // namespace webby
