// CorsFilter: which pages of other origins may ask this server, and what they may see (WHATWG Fetch, CORS).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/filter.h"

namespace webby {

struct CorsOptions {
    // "https://app.example", …, or "*": any. "null", the origin of files and sandboxes, only where it is
    // named.
    std::vector<std::string> origins{};
    // Asked instead when there are none above. Any thread of the server.
    std::function<bool(std::string_view origin)> allow{};
    std::vector<std::string> methods{"GET", "HEAD", "POST"};
    std::vector<std::string>
        headers{};  // that a page may send beside the harmless ones; "*": what it asks for
    std::vector<std::string> exposed{};  // that a page may read beside the harmless ones
    bool credentials = false;            // with cookies and passwords
    std::chrono::seconds max_age{600};   // how long a browser remembers a preflight
};

// Answers preflight requests (OPTIONS with Origin and Access-Control-Request-Method) with 204, and tells the
// browser about all other responses. An origin that is not allowed gets the same answers without a word of
// permission. It restrains browsers, not clients: it is no access control.
//
//   app.add_filter(CorsFilter::create({.origins = {"https://app.example"}, .credentials = true}).value());
//
// With credentials an origin is always named, never "*"; whatever depends on the origin says so in Vary.
class EVC_API CorsFilter final : public Filter {
  public:
    // Errors: errc::invalid_argument for neither origins nor `allow`, or both; "*" together with
    //         credentials, which would let any page act as the user; an origin that is not
    //         "scheme://host[:port]"; a method or header that is no token.
    [[nodiscard]] static cutils::Result<std::unique_ptr<CorsFilter>> create(CorsOptions options);

    [[nodiscard]] bool on_request(Request& request, Response& response) override;
    void on_response(const Request& request, Response& response) override;

  private:
    explicit CorsFilter(CorsOptions options);
    [[nodiscard]] bool allows(std::string_view origin) const;
    void permit(std::string_view origin, Response& response) const;
    void answer_preflight(const Request& request, Response& response) const;

    CorsOptions options_;
    std::string methods_;
    std::string headers_;
    std::string exposed_;
    bool any_origin_;
    bool any_header_;
};

}  // namespace webby
