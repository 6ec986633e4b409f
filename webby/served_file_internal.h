// ServedFile: what is known of a file before anybody asks for it. Internal.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "nutils/unique_fd.h"

namespace webby {

// Whether a file is still what it was: as far as stat(2) can tell.
struct FileStamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    timespec modified{};
    timespec changed{};

    FileStamp() = default;
    explicit FileStamp(const struct stat& info)
        : device(info.st_dev),
          inode(info.st_ino),
          size(info.st_size),
          modified(info.st_mtim),
          changed(info.st_ctim) {}

    [[nodiscard]] bool operator==(const FileStamp& other) const {
        return device == other.device && inode == other.inode && size == other.size &&
               same(modified, other.modified) && same(changed, other.changed);
    }
    // Whether it was changed after `other`.
    [[nodiscard]] bool is_newer_than(const FileStamp& other) const {
        return modified.tv_sec != other.modified.tv_sec ? modified.tv_sec > other.modified.tv_sec
                                                        : modified.tv_nsec > other.modified.tv_nsec;
    }
    // Whether a later change must show. Clocks of file systems tick a few hundred times a second, some once
    // in two: what was changed just now can be changed again within the same tick.
    [[nodiscard]] bool has_settled(std::time_t now) const {
        constexpr std::time_t kTick = 3;
        return modified.tv_sec + kTick <= now && changed.tv_sec + kTick <= now;
    }

  private:
    static bool same(const timespec& a, const timespec& b) {
        return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    }
};

struct ServedFile {
    // Up to here a file is read as a whole: cheaper than a second send and sendfile(2).
    static constexpr std::uint64_t kSmall = 16 * 1024;

    FileStamp stamp;
    std::string etag;       // strong
    std::string fields;     // in wire form: ETag, Last-Modified, Accept-Ranges, and what the options add
    std::string_view type;  // lives for ever
    std::string content;    // of a small one
    bool varies = false;    // the client's Accept-Encoding has a say

    [[nodiscard]] std::uint64_t size() const { return static_cast<std::uint64_t>(stamp.size); }
    [[nodiscard]] std::time_t modified() const { return stamp.modified.tv_sec; }
    [[nodiscard]] bool is_small() const { return size() <= kSmall; }
};

}  // namespace webby
