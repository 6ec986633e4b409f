// A page that lists a folder. Internal.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <sys/stat.h>

#include "nutils/unique_fd.h"

namespace webby {

// HTML, with everything that comes from names escaped: folders first, then files, in the order of their
// names, with sizes and dates; no hidden ones, nothing that is neither. At most 10,000 of them, said so where
// there are more.
//
// folder: taken over. path: as the client asked for it, decoded, with "/" at both ends. follow: what a link
// leads to, as far as it is to be seen.
[[nodiscard]] std::string list_folder(nutils::UniqueFd folder, std::string_view path,
                                      const std::function<std::optional<struct stat>(const char*)>& follow);

}  // namespace webby
