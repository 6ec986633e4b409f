#include "webby/basic_auth_filter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "webby/ascii.h"
#include "webby/base64.h"
#include "webby/constant_time.h"

namespace webby {
namespace {

bool has_control(std::string_view text) { return std::any_of(text.begin(), text.end(), ascii::is_control); }

cutils::Error refuse(const char* why) {
    return {std::make_error_code(std::errc::invalid_argument), std::string("basic authentication: ") + why};
}

// What stands behind "Basic ", decoded.
std::optional<std::string> offered_by(const Request& request) {
    const std::string_view field = request.header("Authorization");
    const std::size_t blank = field.find(' ');
    if (blank == std::string_view::npos || !ascii::equal_ignoring_case(field.substr(0, blank), "Basic"))
        return {};
    return base64_decode(ascii::trim(field.substr(blank)));
}

std::string challenge_for(std::string_view realm) {
    std::string challenge = "Basic realm=\"";
    for (const char c : realm) {
        if (c == '"' || c == '\\') challenge += '\\';
        challenge += c;
    }
    return challenge + "\", charset=\"UTF-8\"";
}

}  // namespace

cutils::Result<std::unique_ptr<BasicAuthFilter>> BasicAuthFilter::create(BasicAuthOptions options) {
    if (options.users.empty() && !options.check) return refuse("nobody may come in: no users, no check");
    if (!options.users.empty() && options.check) return refuse("either users or a check, not both");
    if (has_control(options.realm)) return refuse("control characters in the realm");
    for (const auto& [name, password] : options.users)
        if (has_control(name) || name.find(':') != std::string::npos)
            return refuse("a name with \":\" or control characters");
    return std::unique_ptr<BasicAuthFilter>(new BasicAuthFilter(std::move(options)));
}

BasicAuthFilter::BasicAuthFilter(BasicAuthOptions options)
    : check_(std::move(options.check)), challenge_(challenge_for(options.realm)) {
    for (const auto& [name, password] : options.users) credentials_.push_back(name + ":" + password);
}

bool BasicAuthFilter::is_known(std::string_view credentials) const {
    const std::size_t colon = credentials.find(':');
    if (colon == std::string_view::npos) return false;
    if (check_) return check_(credentials.substr(0, colon), credentials.substr(colon + 1));
    bool known = false;
    for (const std::string& one : credentials_) known |= equal_in_constant_time(credentials, one);
    return known;
}

bool BasicAuthFilter::on_request(Request& request, Response& response) {
    const std::optional<std::string> offered = offered_by(request);
    if (offered && is_known(*offered)) {
        request.set_user(std::string_view(*offered).substr(0, offered->find(':')));
        return true;
    }
    response.error(Status::unauthorized);
    response.set_header("WWW-Authenticate", challenge_);
    return false;
}

}  // namespace webby
