// FilesOptions: how a folder is served.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace webby {

//   server.files("/", "./site", {.spa_fallback = "index.html", .cache_control = "max-age=60"});
struct FilesOptions {
    // What stands for a folder: the first of these names that is there.
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

}  // namespace webby
