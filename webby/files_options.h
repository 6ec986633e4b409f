// FilesOptions: how a folder is served.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"

namespace webby {

//   server.files("/", "./site", {.spa_fallback = "index.html", .cache_control = "max-age=60"});
struct FilesOptions {
    // What stands for a folder: the first of these that is there, a name or a path below that folder.
    std::vector<std::string> index{"index.html"};
    // A folder without one is answered with a page that lists it; else it is a 404.
    bool listing = false;
    // For applications of a single page: this file, a path below the root, answers what is not there, where a
    // person seems to ask: the last segment of the path has no ".", or the client says that it takes
    // text/html.
    std::string spa_fallback{};
    // The Cache-Control of files; none by default. The value of a field: no control characters.
    std::string cache_control{};
    // Sends FILE.zst, FILE.br or FILE.gz instead of FILE to who takes it, if it is there and not older.
    bool precompressed = false;
    // Compresses on the way what is_compressible(), for clients that take it; ranges never. Needs stacks of 8
    // pages; see webby/content_coding.h for what else it costs.
    bool compress = false;
    std::uint64_t compress_minimum = 1024;         // bytes; smaller files stay as they are …
    std::uint64_t compress_maximum = 1024 * 1024;  // … and larger ones: those are better compressed once
};

// Errors: errc::invalid_argument, with which of them cannot be meant so: an index that is empty, leads out of
//         its folder, or is one; a cache_control that is not the value of a field.
[[nodiscard]] EVC_API cutils::Result<void> check(const FilesOptions& options);

}  // namespace webby
