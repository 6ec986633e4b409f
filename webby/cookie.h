// Cookies: those a client sends, and those a server sets (RFC 6265, and what browsers make of it).
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/headers.h"
#include "webby/response.h"

namespace webby {

// Walks through the cookies of a request, over all its Cookie fields, in the order in which they came.
//
//   for (CookieReader cookies(request.headers()); cookies.next();) use(cookies.name(), cookies.value());
//   if (auto session = request.cookie("session")) …
//
// Lenient, as browsers are: pairs between ";", blanks around names and values dropped, an empty pair left
// out; a pair without "=" is a value without a name; quotes are a part of the value; any bytes but control
// characters.
//
// Security: anybody who can set a cookie for a parent domain can send a second one of the same name; only the
//           prefixes "__Host-" and "__Secure-" tell whose it is.
// Lifetime: views into the request. Cost: no allocation.
class EVC_API CookieReader {
  public:
    explicit CookieReader(const Headers& headers) : headers_(&headers) {}
    // Of one field's value.
    explicit CookieReader(std::string_view field) : rest_(field) {}

    // The next cookie; false at the end.
    bool next();
    [[nodiscard]] std::string_view name() const { return name_; }
    [[nodiscard]] std::string_view value() const { return value_; }

  private:
    bool next_in_field();

    const Headers* headers_ = nullptr;
    std::size_t field_ = 0;
    std::string_view rest_;
    std::string_view name_;
    std::string_view value_;
};

enum class SameSite {
    unset,   // the browser's default, which is Lax in most
    lax,     // also sent when the user follows a link from elsewhere
    strict,  // only with requests that come from our own pages
    none,    // always; wants `secure`
};

// A cookie to set.
//
//   SetCookie cookie{.name = "__Host-session", .value = token, .path = "/", .secure = true, .http_only =
//   true}; if (auto added = add_cookie(response, cookie); !added) …
struct EVC_API SetCookie {
    std::string name;
    std::string value{};   // as it stands: encode what may be anything (percent_encode_path(), base64)
    std::string path{};    // empty: the folder of the request's path
    std::string domain{};  // empty: this host only; else it and all below it
    std::optional<std::chrono::seconds> max_age{};  // without it and expires: until the browser is closed
    std::optional<std::time_t> expires{};           // max_age goes first where both are
    bool secure = false;                            // over TLS only
    bool http_only = false;                         // scripts do not see it
    SameSite same_site = SameSite::unset;
    bool partitioned = false;  // one for each top-level site it is embedded in; wants `secure`

    // A cookie that makes the browser forget this one: same name, path and domain.
    [[nodiscard]] SetCookie removal() const;

    // The value of a Set-Cookie field.
    //
    // Errors: errc::invalid_argument, with what is wrong: a name that is not a token; a value with blanks,
    //         quotes inside, commas, semicolons, backslashes, control characters or bytes above ASCII
    //         (nobody adds attributes or fields through us); a path without its leading "/" or with ";" or
    //         control characters; a domain that is no host name; more than 4096 bytes of name and value or
    //         1024 of an attribute, which browsers ignore; an expiry out of the years 1601 to 9999; and what
    //         browsers would silently refuse: SameSite=None or Partitioned without Secure, "__Secure-"
    //         without Secure, "__Host-" without Secure, with a domain or a path other than "/".
    [[nodiscard]] cutils::Result<std::string> to_string() const;
};

// Adds the Set-Cookie field. Errors: those of to_string(); the response is unchanged then.
[[nodiscard]] EVC_API cutils::Result<void> add_cookie(Response& response, const SetCookie& cookie);

}  // namespace webby
