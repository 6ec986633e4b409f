#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <memory>
#include <vector>

#include "webby/folder_listing_internal.h"
#include "webby/uri.h"

namespace webby {
namespace {

constexpr std::size_t kMost = 10'000;

struct Entry {
    std::string name;
    std::uint64_t size = 0;
    std::time_t modified = 0;
    bool is_folder = false;
};

void append_escaped(std::string& page, std::string_view text) {
    for (const char c : text) switch (c) {
            case '&': page += "&amp;"; break;
            case '<': page += "&lt;"; break;
            case '>': page += "&gt;"; break;
            case '"': page += "&quot;"; break;
            case '\'': page += "&#39;"; break;
            default: page += c;
        }
}

std::string readable_size(std::uint64_t size) {
    static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    double value = static_cast<double>(size);
    for (; value >= 1024; value /= 1024) ++unit;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
    return text;
}

std::string readable_date(std::time_t time) {
    std::tm parts{};
    char text[32];
    if (::gmtime_r(&time, &parts) == nullptr ||
        std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts) == 0)
        return {};
    return text;
}

// False when there are more than we list.
bool read_entries(DIR* folder, std::vector<Entry>& entries,
                  const std::function<std::optional<struct stat>(const char*)>& follow) {
    while (const dirent* const found = ::readdir(folder)) {
        if (found->d_name[0] == '.') continue;
        struct stat info {};
        if (::fstatat(::dirfd(folder), found->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISLNK(info.st_mode)) {
            const std::optional<struct stat> target = follow(found->d_name);
            if (!target) continue;
            info = *target;
        }
        if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) continue;
        if (entries.size() == kMost) return false;
        entries.push_back({found->d_name, static_cast<std::uint64_t>(info.st_size), info.st_mtim.tv_sec,
                           S_ISDIR(info.st_mode)});
    }
    return true;
}

void append_row(std::string& page, const Entry& entry) {
    const std::string_view slash = entry.is_folder ? "/" : "";
    page.append("<tr><td><a href=\"./");  // "./": a name with a colon is no scheme
    append_escaped(page, percent_encode_path(entry.name));
    page.append(slash).append("\">");
    append_escaped(page, entry.name);
    page.append(slash).append("</a></td><td>");
    if (!entry.is_folder) page.append(readable_size(entry.size));
    page.append("</td><td>").append(readable_date(entry.modified)).append("</td></tr>\n");
}

}  // namespace

std::string list_folder(nutils::UniqueFd folder, std::string_view path,
                        const std::function<std::optional<struct stat>(const char*)>& follow) {
    const std::unique_ptr<DIR, int (*)(DIR*)> opened(::fdopendir(folder.get()), &::closedir);
    std::vector<Entry> entries;
    bool complete = false;
    if (opened) {
        (void)folder.release();
        complete = read_entries(opened.get(), entries, follow);
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return a.is_folder != b.is_folder ? a.is_folder : a.name < b.name;
    });
    std::string page =
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width, initial-scale=1\">"
        "<title>";
    append_escaped(page, path);
    page.append(
        "</title><style>body{font-family:sans-serif}h1,td:first-child{overflow-wrap:anywhere}td{padding:.1em "
        ".5em}td:nth-child(n+2){white-space:nowrap}td:nth-child(2){text-align:right}"
        "</style></head>\n<body><h1>");
    append_escaped(page, path);
    page.append("</h1>\n<table>\n");
    if (path != "/") page.append("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    for (const Entry& entry : entries) append_row(page, entry);
    page.append("</table>\n");
    if (!complete) page.append("<p>There is more than this.</p>\n");
    return page.append("</body></html>\n");
}

}  // namespace webby
