// Is a shared library's file whole? The loader maps what the file's headers promise; a page that is not there
// is a SIGBUS in the middle of it.
#pragma once

#include <string>

namespace webby::program {

// The headers promise more than the file has: it was copied only in part, or the disk was full. False for
// what cannot be opened or is nothing of the kind: the loader has better words for that.
[[nodiscard]] bool is_cut_off(const std::string& path);

}  // namespace webby::program
