// TempDir: a fresh folder for a test's files, removed with everything directly in it.
#pragma once

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

namespace test_support {

class TempDir {
  public:
    TempDir() {
        // Short: a unix socket path has room for 107 bytes.
        char pattern[] = "/tmp/evc.XXXXXX";
        if (::mkdtemp(pattern) != nullptr) path_ = pattern;
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    ~TempDir() {
        DIR* const folder = ::opendir(path_.c_str());
        if (folder == nullptr) return;
        while (const dirent* entry = ::readdir(folder)) ::unlink(file(entry->d_name).c_str());
        ::closedir(folder);
        ::rmdir(path_.c_str());
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

}  // namespace test_support
