// BasicAuthFilter: only those who know a password come in (RFC 7617).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/filter.h"

namespace webby {

struct BasicAuthOptions {
    std::string realm = "restricted";            // what the browser shows
    std::map<std::string, std::string> users{};  // name to password
    // Asked when there are no users above: is this the password of this name? Any thread of the server; may
    // suspend. It should take as long for a name it does not know.
    std::function<bool(std::string_view user, std::string_view password)> check{};
};

// Answers 401 with a challenge unless the request has the name and password of a user; Request::user() is the
// name then.
//
//   app.add_filter(BasicAuthFilter::create({.realm = "admin", .users = {{"ada", password}}}).value());
//
// A password travels as it is: use it under TLS only. What was offered is compared with every user, each in a
// time that depends only on what was offered: neither a name nor a part of a password can be found by timing.
//
// Cost: one pass over the offered text for each user.
class EVC_API BasicAuthFilter final : public Filter {
  public:
    // Errors: errc::invalid_argument for neither users nor a check, both, a name with ":" (it would end
    //         there) or control characters in a name or the realm.
    [[nodiscard]] static cutils::Result<std::unique_ptr<BasicAuthFilter>> create(BasicAuthOptions options);

    [[nodiscard]] bool on_request(Request& request, Response& response) override;

  private:
    explicit BasicAuthFilter(BasicAuthOptions options);
    [[nodiscard]] bool is_known(std::string_view credentials) const;

    std::vector<std::string> credentials_;  // "name:password"
    std::function<bool(std::string_view, std::string_view)> check_;
    std::string challenge_;
};

}  // namespace webby
