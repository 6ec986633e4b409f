#include "webby/cookie.h"

#include "webby/ascii.h"
#include "webby/http_date.h"

namespace webby {
namespace {

constexpr std::size_t kMaxPair = 4096;
constexpr std::size_t kMaxAttribute = 1024;
constexpr std::time_t kYear1601 = -11644473600;
constexpr std::time_t kYear10000 = 253402300800;

// RFC 6265 §4.1.1, cookie-octet.
constexpr ascii::CharSet kCookieOctet([](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
});
constexpr ascii::CharSet kAttribute([](char c) { return c >= 0x20 && c < 0x7f && c != ';'; });
constexpr ascii::CharSet kDomain([](char c) { return ascii::is_alnum(c) || c == '-' || c == '.'; });

cutils::Error refuse(std::string why) {
    return {std::make_error_code(std::errc::invalid_argument), "cookie: " + std::move(why)};
}

bool is_good_value(std::string_view value) {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
        value = value.substr(1, value.size() - 2);
    return kCookieOctet.has_all(value);
}

// Labels of letters, digits and inner hyphens.
bool is_good_domain(std::string_view domain) {
    if (!kDomain.has_all(domain)) return false;
    while (true) {
        const std::string_view label = domain.substr(0, domain.find('.'));
        if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') return false;
        if (label.size() == domain.size()) return true;
        domain.remove_prefix(label.size() + 1);
    }
}

bool has_prefix(std::string_view name, std::string_view prefix) {
    return ascii::equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

// Why a browser would not take it; empty when it would.
std::string_view refusal_of_browsers(const SetCookie& cookie) {
    if (!cookie.secure) {
        if (cookie.same_site == SameSite::none) return "SameSite=None without Secure";
        if (cookie.partitioned) return "Partitioned without Secure";
        if (has_prefix(cookie.name, "__Secure-")) return "__Secure- without Secure";
        if (has_prefix(cookie.name, "__Host-")) return "__Host- without Secure";
    }
    if (!has_prefix(cookie.name, "__Host-")) return {};
    if (!cookie.domain.empty()) return "__Host- with a domain";
    if (cookie.path != "/") return "__Host- with a path other than \"/\"";
    return {};
}

// A leading dot means nothing (RFC 6265 §5.2.3), and some still write it.
std::string_view domain_of(const SetCookie& cookie) {
    const std::string_view domain = cookie.domain;
    return domain.starts_with('.') ? domain.substr(1) : domain;
}

std::string_view refusal_of(const SetCookie& cookie) {
    if (cookie.name.empty() || !ascii::kToken.has_all(cookie.name)) return "its name is not a token";
    if (!is_good_value(cookie.value)) return "characters in its value that cannot stand there";
    if (cookie.name.size() + cookie.value.size() > kMaxPair) return "more than 4096 bytes";
    if (!cookie.path.empty() && (cookie.path.front() != '/' || !kAttribute.has_all(cookie.path)))
        return "its path does not begin with \"/\", or has characters that cannot stand there";
    if (!cookie.domain.empty() && !is_good_domain(domain_of(cookie))) return "its domain is no host name";
    if (cookie.path.size() > kMaxAttribute || cookie.domain.size() > kMaxAttribute)
        return "more than 1024 bytes of path or domain";
    if (cookie.expires && (*cookie.expires < kYear1601 || *cookie.expires >= kYear10000))
        return "it expires out of the years 1601 to 9999";
    return refusal_of_browsers(cookie);
}

void append_lifetime(std::string& out, const SetCookie& cookie) {
    if (cookie.expires) {
        char date[kHttpDateSize];
        write_http_date(*cookie.expires, date);
        out.append("; Expires=").append(date, kHttpDateSize);
    }
    if (cookie.max_age) out.append("; Max-Age=").append(std::to_string(cookie.max_age->count()));
}

}  // namespace

bool CookieReader::next_in_field() {
    while (!rest_.empty()) {
        const std::string_view whole = rest_.substr(0, rest_.find(';'));
        rest_.remove_prefix(whole.size() < rest_.size() ? whole.size() + 1 : rest_.size());
        const std::string_view pair = ascii::trim(whole);
        if (pair.empty() || pair == "=") continue;
        const std::size_t equals = pair.find('=');
        const bool named = equals != std::string_view::npos;
        name_ = named ? ascii::trim(pair.substr(0, equals)) : std::string_view();
        value_ = named ? ascii::trim(pair.substr(equals + 1)) : pair;
        return true;
    }
    return false;
}

bool CookieReader::next() {
    while (!next_in_field()) {
        if (headers_ == nullptr) return false;
        while (field_ < headers_->size() && !ascii::equal_ignoring_case((*headers_)[field_].name, "Cookie"))
            ++field_;
        if (field_ == headers_->size()) return false;
        rest_ = (*headers_)[field_++].value;
    }
    return true;
}

SetCookie SetCookie::removal() const {
    SetCookie gone = *this;
    gone.value.clear();
    gone.max_age = std::chrono::seconds(0);
    gone.expires = 0;
    return gone;
}

cutils::Result<std::string> SetCookie::to_string() const {
    if (const std::string_view why = refusal_of(*this); !why.empty()) return refuse(std::string(why));
    std::string out = name;
    out.append("=").append(value);
    if (!path.empty()) out.append("; Path=").append(path);
    if (!domain.empty()) out.append("; Domain=").append(domain_of(*this));
    append_lifetime(out, *this);
    if (secure) out.append("; Secure");
    if (http_only) out.append("; HttpOnly");
    if (same_site == SameSite::lax) out.append("; SameSite=Lax");
    if (same_site == SameSite::strict) out.append("; SameSite=Strict");
    if (same_site == SameSite::none) out.append("; SameSite=None");
    if (partitioned) out.append("; Partitioned");
    return out;
}

cutils::Result<void> add_cookie(Response& response, const SetCookie& cookie) {
    const cutils::Result<std::string> text = cookie.to_string();
    if (!text) return text.error();
    response.add_header("Set-Cookie", *text);
    return {};
}

}  // namespace webby
