// safe_file_name(): what a client called its file, made fit to be the name of one of ours.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// safe_file_name("C:\\x\\..\\.profile") is "profile"
//
// What follows the last "/" or "\", with broken UTF-8 replaced; without control characters, line separators,
// characters that turn the direction of writing or cannot be seen; `<>:"|?*` and a first "-" become "_";
// without dots and blanks in front and at the end; a name that Windows keeps for a device ("nul.txt") gets a
// "_" in front. Cut to `max_bytes` between characters, the extension kept where it is short. Never empty:
// "file" then. So it never leads out of a folder, is never hidden, and shows as what it is.
//
// It does not make the name unique, and does not judge the extension: serve what others uploaded from a host
// of its own or with a type you choose.
//
// Before: max_bytes >= 16.
[[nodiscard]] EVC_API std::string safe_file_name(std::string_view name, std::size_t max_bytes = 200);

}  // namespace webby
