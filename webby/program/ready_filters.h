// The filters that the command line can ask for.
#pragma once

#include <optional>

#include "cutils/result.h"
#include "webby/program/arguments.h"
#include "webby/program/password_file.h"
#include "webby/rate_limit_filter.h"

namespace webby::program {

// What --rate-limit says. Errors: without the option's name.
[[nodiscard]] cutils::Result<RateLimitOptions> parse_rate(const std::string& text);

// Adds them, for all hosts: --compress (for servlets; files have their own), --request-id,
// --security-headers, --cors, --rate-limit, --auth-file. In this order requests pass them, so that what is
// refused has an id, and a browser may read the refusal. With --auth-file, `passwords` is that file.
// Errors: with the option's name.
[[nodiscard]] cutils::Result<void> add_ready_filters(Server& server, const Arguments& arguments,
                                                     std::optional<PasswordFile>& passwords);

}  // namespace webby::program
