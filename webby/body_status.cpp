#include "webby/body_status.h"

#include <string>

#include "cutils/log.h"
#include "nutils/net_error.h"
#include "webby/request.h"
#include "webby/response.h"

namespace webby {

using nutils::NetError;

Status body_status(const std::error_code& error) {
    if (error == NetError::too_long) return Status::content_too_large;
    if (error == NetError::timed_out) return Status::request_timeout;
    if (error == std::errc::not_supported) return Status::unsupported_media_type;
    if (error == NetError::truncated || error == NetError::eof || error == std::errc::bad_message)
        return Status::bad_request;
    if (error == std::errc::no_space_on_device) return static_cast<Status>(507);
    return Status::internal_error;
}

void refuse_body(const Request& request, Response& response, const cutils::Error& error) {
    const Status status = body_status(error.code());
    if (to_number(status) < 500) return response.error(status, error.context());
    cutils::log(cutils::LogLevel::error, "webby: a body could not be taken: %.1000s [request %s]",
                error.message().c_str(), std::string(request.id()).c_str());
    response.error(status);
}

}  // namespace webby
