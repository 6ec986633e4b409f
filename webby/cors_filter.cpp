#include "webby/cors_filter.h"

#include <algorithm>
#include <utility>

#include "webby/ascii.h"

namespace webby {
namespace {

constexpr std::string_view kAny = "*";

bool has(const std::vector<std::string>& list, std::string_view one) {
    return std::find(list.begin(), list.end(), one) != list.end();
}

std::string joined(const std::vector<std::string>& list) {
    std::string all;
    for (const std::string& one : list) all.append(all.empty() ? "" : ", ").append(one);
    return all;
}

bool are_tokens(const std::vector<std::string>& list) {
    return std::all_of(list.begin(), list.end(),
                       [](const std::string& one) { return !one.empty() && ascii::kToken.has_all(one); });
}

// As browsers write it: nothing behind the host and its port.
bool is_origin(std::string_view text) {
    if (text == kAny || text == "null") return true;
    const std::size_t end = text.find("://");
    if (end == std::string_view::npos || end == 0) return false;
    const std::string_view host = text.substr(end + 3);
    return !host.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return !ascii::is_control(c) && c != ' ' && !(c >= 'A' && c <= 'Z');
    }) && host.find_first_of("/?#@") == std::string_view::npos;
}

cutils::Error refuse(std::string why) {
    return {std::make_error_code(std::errc::invalid_argument), "CORS: " + std::move(why)};
}

bool is_preflight(const Request& request) {
    return request.method() == Method::options && request.headers().has("Origin") &&
           request.headers().has("Access-Control-Request-Method");
}

}  // namespace

cutils::Result<std::unique_ptr<CorsFilter>> CorsFilter::create(CorsOptions options) {
    if (options.origins.empty() != static_cast<bool>(options.allow))
        return refuse("either a list of origins or a function that allows them");
    for (const std::string& origin : options.origins)
        if (!is_origin(origin)) return refuse("\"" + origin + "\" is not an origin, in small letters");
    if (options.credentials && has(options.origins, kAny))
        return refuse("any origin with credentials: every page could act as the user");
    if (!are_tokens(options.methods) || !are_tokens(options.headers) || !are_tokens(options.exposed))
        return refuse("a method or a header that is not a token");
    return std::unique_ptr<CorsFilter>(new CorsFilter(std::move(options)));
}

CorsFilter::CorsFilter(CorsOptions options)
    : options_(std::move(options)),
      methods_(joined(options_.methods)),
      headers_(joined(options_.headers)),
      exposed_(joined(options_.exposed)),
      any_origin_(has(options_.origins, kAny)),
      any_header_(has(options_.headers, kAny)) {}

bool CorsFilter::allows(std::string_view origin) const {
    if (options_.allow) return options_.allow(origin);
    return any_origin_ || has(options_.origins, origin);
}

void CorsFilter::permit(std::string_view origin, Response& response) const {
    response.set_header("Access-Control-Allow-Origin", any_origin_ ? kAny : origin);
    if (options_.credentials) response.set_header("Access-Control-Allow-Credentials", "true");
}

void CorsFilter::answer_preflight(const Request& request, Response& response) const {
    const std::string_view origin = request.header("Origin");
    response.status(Status::no_content);
    response.add_header("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers");
    if (!allows(origin)) return;
    response.set_header("Access-Control-Allow-Methods", methods_);
    // "*" would not cover Authorization, nor anything with credentials: so what was asked for is repeated.
    const std::string asked =
        any_header_ ? request.headers().joined("Access-Control-Request-Headers") : headers_;
    if (!asked.empty()) response.set_header("Access-Control-Allow-Headers", asked);
    response.set_header("Access-Control-Max-Age", std::to_string(options_.max_age.count()));
}

bool CorsFilter::on_request(Request& request, Response& response) {
    if (!is_preflight(request)) return true;
    answer_preflight(request, response);
    return false;
}

// Here, so that what the server answers itself is told about, too.
void CorsFilter::on_response(const Request& request, Response& response) {
    if (!any_origin_) response.add_header("Vary", "Origin");
    const auto origin = request.headers().find("Origin");
    if (!origin || !allows(*origin)) return;
    permit(*origin, response);
    if (!exposed_.empty() && !is_preflight(request))
        response.set_header("Access-Control-Expose-Headers", exposed_);
}

}  // namespace webby
