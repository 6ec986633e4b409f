// The words of HTTP that everything else uses: methods, status codes, versions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// The methods of RFC 9110 and PATCH. `other` is any token beside them; the engine answers it with 501.
enum class Method : std::uint8_t { get, head, post, put, del, connect, options, trace, patch, other };

inline constexpr std::size_t kMethodCount = static_cast<std::size_t>(Method::other);

// "GET", …; "OTHER" for `other`. The text lives for ever.
EVC_API std::string_view to_string(Method method);

// A set of methods, as a route has it and as an Allow field prints it.
class MethodSet {
  public:
    constexpr void add(Method method) { bits_ = static_cast<std::uint16_t>(bits_ | bit(method)); }
    constexpr void add(MethodSet other) { bits_ = static_cast<std::uint16_t>(bits_ | other.bits_); }
    [[nodiscard]] constexpr bool has(Method method) const { return (bits_ & bit(method)) != 0; }
    [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }

  private:
    static constexpr unsigned bit(Method method) { return 1u << static_cast<unsigned>(method); }
    std::uint16_t bits_ = 0;
};

// The codes this server sends or an application is likely to send. Any other number works too:
// static_cast<Status>(418).
enum class Status : std::uint16_t {
    continue_ = 100,
    switching_protocols = 101,
    ok = 200,
    created = 201,
    accepted = 202,
    no_content = 204,
    reset_content = 205,
    partial_content = 206,
    moved_permanently = 301,
    found = 302,
    see_other = 303,
    not_modified = 304,
    temporary_redirect = 307,
    permanent_redirect = 308,
    bad_request = 400,
    unauthorized = 401,
    forbidden = 403,
    not_found = 404,
    method_not_allowed = 405,
    not_acceptable = 406,
    request_timeout = 408,
    conflict = 409,
    gone = 410,
    length_required = 411,
    precondition_failed = 412,
    content_too_large = 413,
    uri_too_long = 414,
    unsupported_media_type = 415,
    range_not_satisfiable = 416,
    expectation_failed = 417,
    misdirected_request = 421,
    unprocessable_content = 422,
    upgrade_required = 426,
    too_many_requests = 429,
    header_fields_too_large = 431,
    internal_error = 500,
    not_implemented = 501,
    bad_gateway = 502,
    service_unavailable = 503,
    gateway_timeout = 504,
    version_not_supported = 505,
};

constexpr unsigned to_number(Status status) { return static_cast<unsigned>(status); }

// "Not Found", …; "Unknown" for a code not in the list. The text lives for ever.
EVC_API std::string_view reason_phrase(Status status);

// True when a response with this status never has a body (RFC 9110 §6.4.1, §15.3.6): 1xx, 204, 205, 304.
constexpr bool is_bodyless(Status status) {
    if (status == Status::ok) return false;  // one comparison for what nearly all are
    return to_number(status) < 200 || status == Status::no_content || status == Status::reset_content ||
           status == Status::not_modified;
}

// What the client speaks. A higher minor version is treated as 1.1 (RFC 9110 §2.5), a higher major one is
// refused.
enum class Version : std::uint8_t { http_1_0, http_1_1 };

constexpr std::string_view to_string(Version version) {
    return version == Version::http_1_0 ? "HTTP/1.0" : "HTTP/1.1";
}

}  // namespace webby
