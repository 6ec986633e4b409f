// What to answer when the body of a request could not be read.
#pragma once

#include <system_error>

#include "cutils/export.h"
#include "cutils/result.h"
#include "webby/http_types.h"

namespace webby {

class Request;
class Response;

// 413 for NetError::too_long, 415 for errc::not_supported (a Content-Type that is not the one expected), 408
// for NetError::timed_out, 400 for what is malformed or truncated, 507 for a full disk, 500 for the rest.
[[nodiscard]] EVC_API Status body_status(const std::error_code& error);

// Answers with that status.
//
//   if (!form) return refuse_body(request, response, form.error());
//
// The client reads what was wrong where that was its doing. What failed on our side (5xx) may name folders of
// ours: it goes to the log, with the request's id, and the client gets the status alone.
EVC_API void refuse_body(const Request& request, Response& response, const cutils::Error& error);

}  // namespace webby
