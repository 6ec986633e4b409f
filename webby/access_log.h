// AccessLog: one line for every request, in the common log format.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/unique_fd.h"
#include "webby/request.h"

namespace webby {

//   127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /hello HTTP/1.1" 200 14
//
// What the client chose stands there escaped, so that a line is always one line and its quotes are ours:
// control characters, quotes, backslashes and bytes above ASCII become \xNN. Times are UTC.
//
// Owner:  one for each loop or thread. Lines gather and are written with one write(2) at flush().
// Errors: what cannot be written is dropped, with a line in the log the first time.
class EVC_API AccessLog {
  public:
    // Appends to a file; "-" is stdout. Errors: the errno of open(2), with the path.
    [[nodiscard]] static cutils::Result<AccessLog> open(const std::string& path);

    // Another one, for another thread, that writes to the same file. Errors: of fcntl(2).
    [[nodiscard]] cutils::Result<AccessLog> duplicate() const;

    void add(const Request& request, Status status, std::uint64_t body_bytes, std::time_t when);
    // Whether lines wait for flush(); it is called by itself when many do.
    [[nodiscard]] bool has_lines() const { return !lines_.empty(); }
    void flush();

    // The line for one request, without a newline. A request that was refused before its line was read has
    // "-" there.
    static void format(std::string& out, std::string_view peer, std::string_view method,
                       std::string_view target, Version version, Status status, std::uint64_t body_bytes,
                       std::time_t when);

  private:
    explicit AccessLog(nutils::UniqueFd file) : file_(std::move(file)) {}

    static constexpr std::size_t kFlushAt = 16 * 1024;

    nutils::UniqueFd file_;
    std::string lines_;
    bool complained_ = false;
};

}  // namespace webby
