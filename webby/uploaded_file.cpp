#include "webby/uploaded_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "webby/random_hex.h"

namespace webby {
namespace {

// Without replacing what is there. File systems that cannot say so in one step (EINVAL) can link.
bool rename_to_new(const char* from, const char* to) {
    if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
    if (errno != EINVAL && errno != ENOSYS) return false;
    return ::link(from, to) == 0 && ::unlink(from) == 0;
}

}  // namespace

cutils::Result<UploadedFile> UploadedFile::create(const std::string& folder) {
    std::string path = folder + "/upload-";
    try {
        path += random_hex(16);
    } catch (const std::system_error& error) {
        return cutils::Error(error.code(), path);
    }
    nutils::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return cutils::Error::from_errno(path);
    return UploadedFile(std::move(fd), std::move(path));
}

UploadedFile::UploadedFile(UploadedFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      path_(std::exchange(other.path_, {})),
      size_(std::exchange(other.size_, 0)) {}

UploadedFile& UploadedFile::operator=(UploadedFile&& other) noexcept {
    if (this == &other) return *this;
    remove();
    fd_ = std::move(other.fd_);
    path_ = std::exchange(other.path_, {});
    size_ = std::exchange(other.size_, 0);
    return *this;
}

void UploadedFile::remove() noexcept {
    if (fd_) ::unlink(path_.c_str());
    fd_.reset();
}

cutils::Result<void> UploadedFile::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t wrote = ::write(fd_.get(), bytes.data(), bytes.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return cutils::Error::from_errno(path_);
        bytes.remove_prefix(static_cast<std::size_t>(wrote));
        size_ += static_cast<std::uint64_t>(wrote);
    }
    return {};
}

cutils::Result<void> UploadedFile::move_to(const std::string& path) {
    if (!rename_to_new(path_.c_str(), path.c_str())) return cutils::Error::from_errno(path);
    fd_.reset();
    path_.clear();
    size_ = 0;
    return {};
}

}  // namespace webby
