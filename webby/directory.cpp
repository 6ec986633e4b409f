#include "webby/directory.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace webby {
namespace {

constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

// errno as an error; "leads out" and "is a link" look like "is not there" from outside.
cutils::Error failure(int number) {
    if (number == EXDEV || number == ELOOP || number == ENOTDIR || number == ENAMETOOLONG) number = ENOENT;
    return std::error_code(number, std::generic_category());
}

}  // namespace

cutils::Result<Directory> Directory::open(const std::string& path) {
    nutils::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return cutils::Error::from_errno(path);
    return Directory(std::move(fd));
}

cutils::Result<nutils::UniqueFd> Directory::open_beneath(std::string_view path) const {
    static std::atomic<bool> has_openat2{true};
    if (steps_ || !has_openat2.load(std::memory_order_relaxed)) return open_stepwise(path);
    const std::string name = path.empty() ? "." : std::string(path);
    open_how how = {};
    how.flags = static_cast<unsigned>(kFlags);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    for (int tries = 0; tries < 10; ++tries) {
        nutils::UniqueFd fd(
            static_cast<int>(::syscall(SYS_openat2, fd_.get(), name.c_str(), &how, sizeof how)));
        if (fd) return fd;
        if (errno == EAGAIN || errno == EINTR) continue;  // something was renamed meanwhile: look again
        if (errno != ENOSYS && errno != EPERM) return failure(errno);
        if (errno == ENOSYS) has_openat2.store(false, std::memory_order_relaxed);
        break;  // EPERM: a sandbox that does not know the call, or a file that really is forbidden: the steps
                // tell
    }
    return open_stepwise(path);
}

cutils::Result<nutils::UniqueFd> Directory::open_stepwise(std::string_view path) const {
    nutils::UniqueFd current;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string segment(path.substr(0, slash));
        path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
        const bool is_folder = slash != std::string_view::npos;
        if (segment.empty() || segment == "." || segment == "..") return failure(ENOENT);
        const int from = current ? current.get() : fd_.get();
        nutils::UniqueFd next(
            ::openat(from, segment.c_str(), kFlags | O_NOFOLLOW | (is_folder ? O_DIRECTORY : 0)));
        if (!next) return failure(errno);
        current = std::move(next);
    }
    if (!current) current = nutils::UniqueFd(::openat(fd_.get(), ".", kFlags | O_DIRECTORY));
    if (!current) return failure(errno);
    return current;
}

}  // namespace webby
