// CHECK: what must be true, in every build. A caller's bug ends the process with one line that says what,
// where and why, instead of a corrupted connection an hour later.
#pragma once

#include "cutils/export.h"

namespace cutils {

// Prints "FILE:LINE: MESSAGE (EXPRESSION is false)" to stderr and aborts. Never returns.
[[noreturn]] EVC_API void check_failed(const char* file, int line, const char* expression,
                                       const char* message) noexcept;

}  // namespace cutils

// EVC_CHECK(condition, "what the caller did wrong, and what to do instead");
#define EVC_CHECK(condition, message)             \
    (__builtin_expect(!!(condition), 1) ? (void)0 \
                                        : ::cutils::check_failed(__FILE__, __LINE__, #condition, message))
