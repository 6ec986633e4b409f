#include "webby/files_options.h"

#include <string_view>
#include <system_error>

#include "webby/ascii.h"

namespace webby {
namespace {

// Below the folder, and not the folder itself.
bool names_a_file(std::string_view path) {
    if (path.empty() || path.find('\0') != std::string_view::npos) return false;
    for (;;) {
        const std::string_view segment = path.substr(0, path.find('/'));
        if (segment.empty() || segment == "." || segment == "..") return false;
        if (segment.size() == path.size()) return true;
        path.remove_prefix(segment.size() + 1);
    }
}

cutils::Error wrong(std::string what) {
    return {std::make_error_code(std::errc::invalid_argument), std::move(what)};
}

}  // namespace

cutils::Result<void> check(const FilesOptions& options) {
    for (const std::string& index : options.index)
        if (!names_a_file(index))
            return wrong("FilesOptions::index \"" + index + "\": not the name of a file in a folder");
    if (!ascii::kFieldValue.has_all(options.cache_control))
        return wrong("FilesOptions::cache_control: \"" + options.cache_control +
                     "\" has a control character");
    return {};
}

}  // namespace webby
