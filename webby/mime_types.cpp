#include "webby/mime_types.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "webby/ascii.h"

namespace webby {
namespace {

struct Entry {
    std::string_view extension;
    std::string_view type;
};

// In order, for the binary search.
constexpr Entry kTypes[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"atom", "application/atom+xml; charset=utf-8"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"br", "application/octet-stream"},
    {"bz2", "application/x-bzip2"},
    {"c", "text/plain; charset=utf-8"},
    {"cc", "text/plain; charset=utf-8"},
    {"conf", "text/plain; charset=utf-8"},
    {"cpp", "text/plain; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"h", "text/plain; charset=utf-8"},
    {"hpp", "text/plain; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"html", "text/html; charset=utf-8"},
    {"ico", "image/x-icon"},
    {"ics", "text/calendar; charset=utf-8"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"log", "text/plain; charset=utf-8"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"mkv", "video/x-matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpeg", "video/mpeg"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rss", "application/rss+xml; charset=utf-8"},
    {"rtf", "application/rtf"},
    {"sh", "text/plain; charset=utf-8"},
    {"svg", "image/svg+xml; charset=utf-8"},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain; charset=utf-8"},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml; charset=utf-8"},
    {"xml", "application/xml; charset=utf-8"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

constexpr bool is_sorted() {
    for (std::size_t i = 1; i < std::size(kTypes); ++i)
        if (!(kTypes[i - 1].extension < kTypes[i].extension)) return false;
    return true;
}
static_assert(is_sorted());

constexpr std::size_t kLongestExtension = 11;  // webmanifest

}  // namespace

std::string_view mime_type(std::string_view file_name) {
    constexpr std::string_view kUnknown = "application/octet-stream";
    file_name.remove_prefix(file_name.rfind('/') + 1);
    const std::size_t dot = file_name.rfind('.');
    if (dot == std::string_view::npos) return kUnknown;
    const std::string_view extension = file_name.substr(dot + 1);
    if (extension.size() > kLongestExtension) return kUnknown;
    std::array<char, kLongestExtension> buffer;
    std::transform(extension.begin(), extension.end(), buffer.begin(), ascii::lower);
    const std::string_view key(buffer.data(), extension.size());
    const Entry* const found =
        std::lower_bound(std::begin(kTypes), std::end(kTypes), key,
                         [](const Entry& e, std::string_view k) { return e.extension < k; });
    return found != std::end(kTypes) && found->extension == key ? found->type : kUnknown;
}

}  // namespace webby
