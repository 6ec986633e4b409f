#include "webby/conditional.h"

#include <optional>

#include "webby/ascii.h"
#include "webby/http_date.h"

namespace webby {
namespace {

std::string_view opaque_part(std::string_view etag) { return etag.starts_with("W/") ? etag.substr(2) : etag; }

std::optional<std::time_t> date_of(const Request& request, std::string_view name) {
    const auto value = request.headers().find(name);
    return value ? parse_http_date(*value) : std::nullopt;
}

}  // namespace

bool etag_matches(std::string_view list, std::string_view etag, bool weak) {
    list = ascii::trim(list);
    if (list == "*") return true;
    while (!list.empty()) {
        // A tag may have a comma between its quotes, so the list is cut at tags, not at commas.
        const std::size_t open = list.find('"');
        if (open == std::string_view::npos) return false;
        const std::size_t close = list.find('"', open + 1);
        if (close == std::string_view::npos) return false;
        const std::size_t begin = open >= 2 && list.substr(open - 2, 2) == "W/" ? open - 2 : open;
        const std::string_view tag = list.substr(begin, close + 1 - begin);
        if (weak ? opaque_part(tag) == opaque_part(etag) : tag == etag && !etag.starts_with("W/"))
            return true;
        list.remove_prefix(close + 1);
    }
    return false;
}

Condition evaluate_conditions(const Request& request, std::string_view etag, std::time_t modified) {
    const Headers& headers = request.headers();
    if (headers.has("If-Match")) {
        if (!etag_matches(headers.joined("If-Match"), etag, false)) return Condition::failed;
    } else if (const auto since = date_of(request, "If-Unmodified-Since")) {
        if (modified > *since) return Condition::failed;
    }
    if (headers.has("If-None-Match")) {
        if (etag_matches(headers.joined("If-None-Match"), etag, true)) return Condition::not_modified;
    } else if (const auto since = date_of(request, "If-Modified-Since")) {
        if (modified <= *since) return Condition::not_modified;
    }
    return Condition::proceed;
}

}  // namespace webby
