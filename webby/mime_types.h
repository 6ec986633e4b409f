// Which type a file is sent as, by the end of its name.
#pragma once

#include <string_view>

#include "cutils/export.h"

namespace webby {

// "text/html; charset=utf-8" for "a/index.HTML"; "application/octet-stream" for what is not known. Text is
// declared as UTF-8. The result lives for ever.
[[nodiscard]] EVC_API std::string_view mime_type(std::string_view file_name);

}  // namespace webby
