#include "webby/request.h"

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <random>

#include "webby/cookie.h"
#include "webby/form.h"
#include "webby/uri.h"

namespace webby {

std::optional<std::string> Request::query_param(std::string_view name) const {
    return form_value(query(), name);
}

const ForwardedClient& Request::client() const {
    if (client_ != nullptr) return *client_;
    static const ForwardedTrust kNobody;
    const ForwardedTrust* const trust = source_->trust();
    client_ = std::make_unique<ForwardedClient>(
        forwarded_client(headers(), peer(), trust != nullptr ? *trust : kNobody));
    return *client_;
}

std::string_view Request::scheme() const {
    if (source_->trust() != nullptr && !client().proto.empty()) return client().proto;
    return tls() ? "https" : "http";
}

std::string_view Request::id() const {
    if (!id_.empty()) return id_;
    static const std::uint32_t start = std::random_device()();
    static std::atomic<std::uint64_t> count{0};
    char text[32];
    const int size = std::snprintf(text, sizeof text, "%08" PRIx32 "-%" PRIx64, start,
                                   count.fetch_add(1, std::memory_order_relaxed) + 1);
    return id_.assign(text, static_cast<std::size_t>(size));
}

std::optional<std::string_view> Request::cookie(std::string_view name) const {
    for (CookieReader cookies(headers()); cookies.next();)
        if (cookies.name() == name) return cookies.value();
    return {};
}

cutils::Result<FormFields> Request::form(const FormLimits& limits) const {
    if (!is_form_type(header("Content-Type")))
        return cutils::Error(std::make_error_code(std::errc::not_supported), "form: not the type of a form");
    return FormFields::parse(body(), limits);
}

}  // namespace webby
