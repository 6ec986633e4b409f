// What to answer when the body of a request could not be read.
#pragma once

#include <system_error>

#include "cutils/export.h"
#include "webby/http_types.h"

namespace webby {

//   if (!form) return response.error(body_status(form.error().code()), form.error().context());
//
// 413 for NetError::too_long, 415 for errc::not_supported (a Content-Type that is not the one expected), 408
// for NetError::timed_out, 400 for what is malformed or truncated, 507 for a full disk, 500 for the rest.
[[nodiscard]] EVC_API Status body_status(const std::error_code& error);

}  // namespace webby
