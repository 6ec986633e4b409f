// The lines of an access log, in the formats that tools read.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "webby/http_types.h"

namespace webby {

//   common     127.0.0.1 - ada [06/Nov/1994:08:49:37 +0000] "GET /hello HTTP/1.1" 200 14
//   combined   the same, and "https://example.org/" "curl/7.88.1": Referer and User-Agent
//   json       {"time":"1994-11-06T08:49:37Z","peer":"127.0.0.1","user":"ada","host":"example.org",
//               "method":"GET","target":"/hello","version":"HTTP/1.1","status":200,"bytes":14,
//               "seconds":0.000314,"id":"5f0e…","referer":null,"user_agent":"curl/7.88.1"}    (on one line)
enum class AccessLogFormat : std::uint8_t { common, combined, json };

[[nodiscard]] EVC_API std::string_view to_string(AccessLogFormat format);
// "common", "combined", "json".
[[nodiscard]] EVC_API std::optional<AccessLogFormat> parse_access_log_format(std::string_view name);

// What a line tells. Lifetime: only while it is written.
struct AccessLine {
    std::string_view peer;
    std::string_view user{};    // empty: nobody has proved to be somebody
    std::string_view method{};  // empty: refused before its line was read; then neither target nor version
    std::string_view target{};
    Version version = Version::http_1_1;
    Status status = Status::ok;
    std::uint64_t bytes = 0;  // of the body
    std::time_t when = 0;
    // Not in the common format:
    std::string_view referer{};
    std::string_view user_agent{};
    // Only in JSON:
    std::string_view host{};
    std::string_view id{};
    std::optional<std::chrono::nanoseconds> took{};  // from the head's end to the response's; in seconds
};

// Appends the line, without a newline. Times are UTC.
//
// What the client chose stands there escaped, so that a line is always one line and its quotes are ours. In
// the common and combined formats control characters, quotes, backslashes and bytes above ASCII become \xNN,
// and so do blanks in a user's name, which has no quotes; what is not there is "-". In JSON control
// characters, DEL, quotes and backslashes are escaped as RFC 8259 has it, UTF-8 stays, what is no UTF-8
// becomes U+FFFD, and what is not there is null.
EVC_API void append_access_line(std::string& out, AccessLogFormat format, const AccessLine& line);

}  // namespace webby
