#include "test/support/fd_leak_check.h"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>

namespace test_support {

FdLeakCheck::Fds FdLeakCheck::open_now() {
    Fds fds;
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return fds;
    while (const dirent* entry = ::readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        const std::size_t fd = std::strtoul(entry->d_name, nullptr, 10);
        if (fd < kLimit) fds.set(fd);
    }
    fds.reset(static_cast<std::size_t>(::dirfd(folder)));
    ::closedir(folder);
    return fds;
}

std::string FdLeakCheck::leaked() const {
    std::string text;
    const Fds now = open_now();
    for (std::size_t fd = 0; fd < kLimit; ++fd) {
        if (!now[fd] || before_[fd]) continue;
        char target[256] = {};
        const ssize_t length =
            ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1);
        if (!text.empty()) text += ", ";
        text += std::to_string(fd) + " -> " +
                std::string(target, length > 0 ? static_cast<std::size_t>(length) : 0);
    }
    return text;
}

}  // namespace test_support
