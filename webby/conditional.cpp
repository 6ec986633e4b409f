#include "webby/conditional.h"

#include <algorithm>
#include <optional>

#include "webby/ascii.h"
#include "webby/http_date.h"

namespace webby {
namespace {

// RFC 9110 §8.8.3: what may stand between the quotes of a tag.
constexpr ascii::CharSet kTagText([](char c) { return c != '"' && c != ' ' && !ascii::is_control(c); });

bool is_weak(std::string_view etag) { return etag.starts_with("W/"); }
std::string_view opaque_part(std::string_view etag) { return is_weak(etag) ? etag.substr(2) : etag; }

// The tag that `text` begins with; empty when it does not begin with one.
std::string_view leading_tag(std::string_view text) {
    const std::size_t open = is_weak(text) ? 2 : 0;
    if (open >= text.size() || text[open] != '"') return {};
    const char* const end = text.data() + text.size();
    const char* const close = kTagText.skip(text.data() + open + 1, end);
    if (close == end || *close != '"') return {};
    return text.substr(0, static_cast<std::size_t>(close + 1 - text.data()));
}

bool same_tag(std::string_view a, std::string_view b, bool weak) {
    return weak ? opaque_part(a) == opaque_part(b) : a == b && !is_weak(a);
}

// Nothing, too, when the field stands there twice: one of them is wrong.
std::optional<std::time_t> date_of(const Request& request, std::string_view name) {
    std::optional<std::string_view> value;
    for (const Headers::Field field : request.headers()) {
        if (!ascii::equal_ignoring_case(field.name, name)) continue;
        if (value) return {};
        value = field.value;
    }
    return value ? parse_http_date(*value) : std::nullopt;
}

}  // namespace

bool etag_matches(std::string_view list, std::string_view etag, bool weak) {
    list = ascii::trim(list);
    if (list == "*") return true;
    while (!list.empty()) {
        if (list.front() == ',' || ascii::is_blank(list.front())) {
            list.remove_prefix(1);
            continue;
        }
        // A tag may have a comma between its quotes, so the list is cut at tags, not at commas.
        const std::string_view tag = leading_tag(list);
        list = ascii::trim(list.substr(tag.size()));
        if (tag.empty() || (!list.empty() && list.front() != ',')) return false;
        if (same_tag(tag, etag, weak)) return true;
    }
    return false;
}

Condition evaluate_conditions(const Request& request, std::string_view etag, std::time_t modified) {
    const Headers& headers = request.headers();
    const bool reads = request.method() == Method::get || request.method() == Method::head;
    if (headers.has("If-Match")) {
        if (!etag_matches(headers.joined("If-Match"), etag, false)) return Condition::failed;
    } else if (const auto since = date_of(request, "If-Unmodified-Since")) {
        if (modified > *since) return Condition::failed;
    }
    if (headers.has("If-None-Match")) {
        if (etag_matches(headers.joined("If-None-Match"), etag, true))
            return reads ? Condition::not_modified : Condition::failed;
    } else if (const auto since = date_of(request, "If-Modified-Since"); since && reads) {
        if (modified <= *since) return Condition::not_modified;
    }
    return Condition::proceed;
}

bool range_counts(const Request& request, std::string_view etag, std::time_t modified, std::time_t now) {
    if (!request.headers().has("If-Range")) return true;
    const std::string value = request.headers().joined("If-Range");
    if (const std::string_view tag = leading_tag(value); !tag.empty())
        return tag.size() == value.size() && same_tag(tag, etag, false);
    const std::optional<std::time_t> date = parse_http_date(value);
    return date && *date == modified && modified < now;
}

}  // namespace webby
