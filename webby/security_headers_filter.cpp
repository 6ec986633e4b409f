#include "webby/security_headers_filter.h"

#include "webby/ascii.h"

namespace webby {
namespace {

constexpr std::string_view kStrictTransport = "Strict-Transport-Security";

void set_if_missing(Response& response, std::string_view name, std::string_view value) {
    if (!response.find_header(name)) response.add_header(name, value);
}

}  // namespace

cutils::Result<std::unique_ptr<SecurityHeadersFilter>> SecurityHeadersFilter::create(
    SecurityHeadersOptions options) {
    const std::pair<std::string_view, std::string&> all[] = {
        {"X-Content-Type-Options", options.content_type_options},
        {"X-Frame-Options", options.frame_options},
        {"Referrer-Policy", options.referrer_policy},
        {"Content-Security-Policy", options.content_security_policy},
        {"Cross-Origin-Opener-Policy", options.cross_origin_opener_policy},
        {"Cross-Origin-Resource-Policy", options.cross_origin_resource_policy},
        {"Permissions-Policy", options.permissions_policy},
        {kStrictTransport, options.strict_transport_security},
    };
    std::unique_ptr<SecurityHeadersFilter> filter(new SecurityHeadersFilter);
    for (const auto& [name, value] : all) {
        if (!ascii::kFieldValue.has_all(value))
            return cutils::Error(std::make_error_code(std::errc::invalid_argument),
                                 std::string(name) + ": control characters in the value");
        if (name == kStrictTransport || value.empty()) continue;
        filter->fields_.emplace_back(name, std::move(value));
    }
    filter->strict_transport_security_ = std::move(options.strict_transport_security);
    filter->is_secure_ = std::move(options.is_secure);
    return filter;
}

bool SecurityHeadersFilter::is_secure(const Request& request) const {
    return is_secure_ ? is_secure_(request) : request.tls().has_value();
}

void SecurityHeadersFilter::on_response(const Request& request, Response& response) {
    for (const auto& [name, value] : fields_) set_if_missing(response, name, value);
    if (!strict_transport_security_.empty() && is_secure(request))
        set_if_missing(response, kStrictTransport, strict_transport_security_);
}

}  // namespace webby
