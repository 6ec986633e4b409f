// Names that nobody can guess.
#pragma once

#include <cstddef>
#include <string>

#include "cutils/export.h"

namespace webby {

// `bytes` bytes of the kernel's randomness as hexadecimal digits, twice as many. Thread: any.
// Cost: one getrandom(2). Before: at most 32 bytes.
// Errors: std::system_error where neither getrandom(2) nor /dev/urandom is to be had: in a servlet or filter
//         a 500.
[[nodiscard]] EVC_API std::string random_hex(std::size_t bytes);

}  // namespace webby
