// UniqueFd: owns one file descriptor and closes it.
#pragma once

#include <utility>

#include "cutils/export.h"

namespace nutils {

// Closes `fd` once, whatever close(2) says: on Linux the descriptor is gone even after EINTR, and a second
// close could hit the descriptor that another thread has just been given. Keeps errno.
//
// Before: fd is open and owned by the caller. A descriptor that is not open means that somebody closes twice,
//         which one day closes a stranger's connection: it aborts.
EVC_API void close_fd(int fd) noexcept;

// Owner: whoever holds it; moves, never copies. One thread at a time.
//
//   UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
//   if (!file) return Error::from_errno(path);
//   ::fstat(file.get(), &status);
//
// After being moved from it is empty. The destructor closes.
class [[nodiscard]] UniqueFd {
  public:
    UniqueFd() noexcept = default;
    // Takes ownership; a negative number (what a failed system call returns) means empty.
    explicit UniqueFd(int fd) noexcept : fd_(fd < 0 ? kNone : fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(other.release());
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    explicit operator bool() const noexcept { return fd_ != kNone; }

    // The descriptor, still owned here; -1 when empty.
    [[nodiscard]] int get() const noexcept { return fd_; }

    // Gives the descriptor away: the caller closes it.
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, kNone); }

    // Closes what it has, if anything, and takes `fd` instead. Keeps errno.
    void reset(int fd = kNone) noexcept {
        const int old = std::exchange(fd_, fd < 0 ? kNone : fd);
        if (old != kNone) close_fd(old);
    }

  private:
    static constexpr int kNone = -1;
    int fd_ = kNone;
};

}  // namespace nutils
