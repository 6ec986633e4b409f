#include "webby/body_status.h"

#include "nutils/net_error.h"

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

}  // namespace webby
