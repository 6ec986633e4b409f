// FileSource: a part of a file as a BodySource. Internal.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

#include "nutils/unique_fd.h"
#include "webby/body_source.h"

namespace webby {

// pread(2) of what is there; a file that is shorter by now is an error.
[[nodiscard]] inline nutils::IoResult read_file(int fd, std::uint64_t offset, std::span<char> buffer) {
    for (;;) {
        const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (got > 0) return {static_cast<std::size_t>(got), {}};
        if (got == 0) return {0, nutils::NetError::truncated};
        if (errno != EINTR) return {0, std::error_code(errno, std::generic_category())};
    }
}

// Fills the buffer.
[[nodiscard]] inline nutils::IoResult read_file_exact(int fd, std::uint64_t offset, std::span<char> buffer) {
    for (std::size_t done = 0; done < buffer.size();) {
        const nutils::IoResult got = read_file(fd, offset + done, buffer.subspan(done));
        if (!got) return {done, got.error};
        done += got.bytes;
    }
    return {buffer.size(), {}};
}

// The bytes [offset, offset + size).
class FileSource final : public BodySource {
  public:
    FileSource(nutils::UniqueFd file, std::uint64_t offset, std::uint64_t size)
        : file_(std::move(file)), at_(offset), left_(size) {}

    nutils::IoResult read(std::span<char> buffer) override {
        if (left_ == 0) return {0, nutils::NetError::eof};
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_));
        const nutils::IoResult got = read_file(file_.get(), at_, buffer.first(size));
        at_ += got.bytes;
        left_ -= got.bytes;
        return got;
    }

  private:
    nutils::UniqueFd file_;
    std::uint64_t at_;
    std::uint64_t left_;
};

}  // namespace webby
