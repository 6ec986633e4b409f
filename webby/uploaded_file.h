// UploadedFile: what a client sent, in a file that is gone again unless somebody takes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/unique_fd.h"

namespace webby {

// A new file of a name nobody can guess, readable and writable for this user only.
//
//   UploadedFile& photo = form->find("photo")->file;
//   if (auto moved = photo.move_to("/srv/photos/" + safe_file_name(name)); !moved) …
//
// Owner:  whoever holds it; moves. The destructor removes the file that has not been taken.
// Cost:   writes go to the kernel's cache; they block while it is full. What must not block a loop goes to
//         MultipartOptions::on_data instead.
class EVC_API UploadedFile {
  public:
    UploadedFile() noexcept = default;  // none
    // Errors: the errno of open(2), with the path.
    [[nodiscard]] static cutils::Result<UploadedFile> create(const std::string& folder);

    UploadedFile(UploadedFile&& other) noexcept;
    UploadedFile& operator=(UploadedFile&& other) noexcept;
    ~UploadedFile() { remove(); }

    explicit operator bool() const { return static_cast<bool>(fd_); }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::uint64_t size() const { return size_; }
    // Open for reading and writing, at its end.
    [[nodiscard]] int fd() const { return fd_.get(); }

    // Appends. Errors: the errno of write(2).
    [[nodiscard]] cutils::Result<void> write(std::string_view bytes);

    // Takes the file: it stays, under this path, which must be on the same file system. Never replaces a
    // file.
    //
    // After:  this object has none any more.
    // Errors: errc::file_exists; the errno of rename(2); the file is still ours then.
    [[nodiscard]] cutils::Result<void> move_to(const std::string& path);

  private:
    UploadedFile(nutils::UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    void remove() noexcept;

    nutils::UniqueFd fd_;
    std::string path_;
    std::uint64_t size_ = 0;
};

}  // namespace webby
