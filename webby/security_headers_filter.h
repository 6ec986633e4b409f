// SecurityHeadersFilter: the fields that tell a browser what a page may not do.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/filter.h"

namespace webby {

// Each can be changed; an empty one is left out. The defaults break no ordinary page.
struct SecurityHeadersOptions {
    std::string content_type_options = "nosniff";
    std::string frame_options = "SAMEORIGIN";
    std::string referrer_policy = "strict-origin-when-cross-origin";
    // Add default-src and script-src for pages you know: this is what nobody should need.
    std::string content_security_policy = "base-uri 'self'; object-src 'none'; frame-ancestors 'self'";
    std::string cross_origin_opener_policy = "same-origin";
    std::string cross_origin_resource_policy = "same-origin";
    std::string permissions_policy{};
    // Under TLS only; elsewhere browsers ignore it. Mind that it cannot be taken back for its max-age.
    std::string strict_transport_security = "max-age=31536000";
    // Whether a request came under TLS. Default: Request::tls(). Behind a proxy that ends TLS, ask
    // forwarded_client().
    std::function<bool(const Request& request)> is_secure{};
};

// Adds to every response those fields that the servlet has not set itself.
//
//   app.add_filter(SecurityHeadersFilter::create({.frame_options = "DENY"}).value());
class EVC_API SecurityHeadersFilter final : public Filter {
  public:
    // Errors: errc::invalid_argument for a value that cannot stand in a field.
    [[nodiscard]] static cutils::Result<std::unique_ptr<SecurityHeadersFilter>> create(
        SecurityHeadersOptions options = {});

    void on_response(const Request& request, Response& response) override;

  private:
    SecurityHeadersFilter() = default;
    [[nodiscard]] bool is_secure(const Request& request) const;

    std::vector<std::pair<std::string_view, std::string>> fields_;
    std::string strict_transport_security_;
    std::function<bool(const Request&)> is_secure_;
};

}  // namespace webby
