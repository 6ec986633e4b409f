// Base64 (RFC 4648 §4), read strictly.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// Nothing for what is not base64: other characters, padding that is missing or too much, bits that are set
// behind the last byte. So each text has one spelling.
[[nodiscard]] EVC_API std::optional<std::string> base64_decode(std::string_view text);

}  // namespace webby
