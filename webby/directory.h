// Directory: a folder whose files can be opened by a path from outside, and nothing beyond it.
#pragma once

#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/unique_fd.h"

namespace webby {

// Holds the folder itself open: what is renamed or mounted around it later does not matter.
//
// Owner:  whoever serves from it; movable. Any thread.
class EVC_API Directory {
  public:
    // Errors: the errno of open(2) (ENOENT, ENOTDIR, EACCES, …), with the path.
    [[nodiscard]] static cutils::Result<Directory> open(const std::string& path);

    // Opens a file or folder below, read-only, whatever stands in `path`: "..", a symbolic link, a path that
    // others change meanwhile never lead out. Links that stay inside are followed where the kernel has
    // openat2(2) (5.6); elsewhere no link is.
    //
    // Before: path has no leading "/" and no NUL; "" is the folder itself.
    // After:  the descriptor is close-on-exec and non-blocking (a FIFO does not stall whoever opens it).
    // Errors: errc::no_such_file_or_directory for what leads out, too; the errno of openat2(2).
    // Cost:   one openat2(2); without it, one openat(2) a segment.
    [[nodiscard]] cutils::Result<nutils::UniqueFd> open_beneath(std::string_view path) const;

    // The same without openat2(2): what older kernels get. Public for the tests; use_steps() makes
    // open_beneath() do so.
    [[nodiscard]] cutils::Result<nutils::UniqueFd> open_stepwise(std::string_view path) const;
    void use_steps() { steps_ = true; }

    // The folder itself, for calls like fstatat(2): they follow links that lead out. Lifetime: as the object.
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    explicit Directory(nutils::UniqueFd fd) : fd_(std::move(fd)) {}

    nutils::UniqueFd fd_;
    bool steps_ = false;
};

}  // namespace webby
