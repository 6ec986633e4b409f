// Conditional requests (RFC 9110 §13): does the client have it already, or is it not what the client thinks
// it is?
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "webby/request.h"

namespace webby {

enum class Condition {
    proceed,       // answer as if nothing had been asked
    not_modified,  // 304: the client's copy is good
    failed,        // 412: the client's idea of it is out of date
};

// What the conditions of a GET or HEAD come to, in the order of RFC 9110 §13.2.2: If-Match, or else
// If-Unmodified-Since; then If-None-Match, or else If-Modified-Since. Dates that cannot be read are ignored.
//
// Before: etag is a quoted tag, "W/" in front if weak; modified is in seconds, as Last-Modified would say it.
[[nodiscard]] EVC_API Condition evaluate_conditions(const Request& request, std::string_view etag,
                                                    std::time_t modified);

// Whether a list of tags, as in If-None-Match, has `etag` or is "*". Weak comparison ignores "W/"; strong
// wants neither to be weak.
[[nodiscard]] EVC_API bool etag_matches(std::string_view list, std::string_view etag, bool weak);

}  // namespace webby
