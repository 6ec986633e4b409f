#include "webby/request_id_filter.h"

#include "webby/ascii.h"
#include "webby/random_hex.h"

namespace webby {
namespace {

constexpr std::string_view kField = "X-Request-Id";
constexpr std::size_t kLongest = 128;
constexpr std::size_t kRandomBytes = 16;

constexpr ascii::CharSet kSane([](char c) {
    return ascii::is_alnum(c) || c == '.' || c == '_' || c == '-' || c == '~';
});

bool is_sane(std::string_view id) { return !id.empty() && id.size() <= kLongest && kSane.has_all(id); }

}  // namespace

bool RequestIdFilter::on_request(Request& request, Response& response) {
    (void)response;
    const std::string_view incoming = request.header(kField);
    if (options_.trust_incoming && is_sane(incoming))
        request.set_id(incoming);
    else
        request.set_id(random_hex(kRandomBytes));
    return true;
}

// At the end, since an error on the way forgets the fields there were.
void RequestIdFilter::on_response(const Request& request, Response& response) {
    response.set_header(kField, request.id());
}

}  // namespace webby
