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

// What the conditions of a request come to, in the order of RFC 9110 §13.2.2: If-Match, or else
// If-Unmodified-Since; then If-None-Match, or else If-Modified-Since (of GET and HEAD). Dates that cannot be
// read, or stand there twice, are ignored. If-Range comes after all of them: see range_counts().
//
//   switch (evaluate_conditions(request, etag, modified)) {
//       case Condition::not_modified: response.status(Status::not_modified); return;
//       case Condition::failed: response.error(Status::precondition_failed); return;
//       case Condition::proceed: break;
//   }
//
// Before: etag is a quoted tag, "W/" in front if weak; modified is in seconds, as Last-Modified would say it.
[[nodiscard]] EVC_API Condition evaluate_conditions(const Request& request, std::string_view etag,
                                                    std::time_t modified);

// Whether the Range of a request is to be looked at, by its If-Range (RFC 9110 §13.1.5): what the client has
// a part of must be the very same, byte for byte. True without If-Range.
//
// Before: etag and modified as above; now is the current time. A date counts only if it is older than a
//         second: before, what it names may still change within it.
[[nodiscard]] EVC_API bool range_counts(const Request& request, std::string_view etag, std::time_t modified,
                                        std::time_t now);

// Whether a list of tags, as in If-None-Match, has `etag` or is "*". Weak comparison ignores "W/"; strong
// wants neither to be weak. What follows something malformed is not looked at.
[[nodiscard]] EVC_API bool etag_matches(std::string_view list, std::string_view etag, bool weak);

}  // namespace webby
