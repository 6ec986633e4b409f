// AccessLog: one line for every request.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/unique_fd.h"
#include "webby/access_line.h"
#include "webby/request.h"

namespace webby {

// The file that the access logs of a server's loops and threads append to.
//
// Owner:  the server; outlives the logs.
// Thread: any.
class EVC_API AccessLogFile {
  public:
    // Appends to a file; "-" is stdout. Errors: the errno of open(2), with the path.
    [[nodiscard]] static cutils::Result<AccessLogFile> open(const std::string& path);

    // Opens the path again, for all who write: after somebody has moved the file away (logrotate). No line is
    // lost or torn. Nothing, for stdout.
    // Errors: those of open(); then the old file stays.
    [[nodiscard]] cutils::Result<void> reopen() const;

    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    friend class AccessLog;
    // What all who write know of it.
    struct State {
        std::atomic<bool> torn{false};  // it ends with a part of a line
        std::atomic<bool> complained{false};
    };
    AccessLogFile(std::string path, nutils::UniqueFd fd)
        : path_(std::move(path)), fd_(std::move(fd)), state_(std::make_unique<State>()) {}
    std::string path_;
    nutils::UniqueFd fd_;
    std::unique_ptr<State> state_;
};

// Owner:  one for each loop or thread. Lines gather and are written with one write(2) at flush().
// Errors: what cannot be written is dropped, with a line in the log the first time, and again after reopen().
//         What can be written later begins on a line of its own.
class EVC_API AccessLog {
  public:
    explicit AccessLog(const AccessLogFile& file, AccessLogFormat format = AccessLogFormat::common)
        : AccessLog(file.fd(), file.state_.get(), format) {}

    // Another one, for another thread, that writes to the same file in the same format.
    [[nodiscard]] cutils::Result<AccessLog> duplicate() const { return AccessLog(fd_, state_, format_); }

    // took: since the end of its head; nothing for a request that was refused.
    void add(const Request& request, Status status, std::uint64_t body_bytes, std::time_t when,
             std::optional<std::chrono::nanoseconds> took = {});
    // The same in two parts, for an answer that is still being sent: when it begins, and when it is known how
    // much of it went out.
    struct Kept {
        std::string text;  // what `line` views
        AccessLine line;
    };
    [[nodiscard]] std::unique_ptr<Kept> keep(const Request& request, Status status, std::time_t when) const;
    void add(const Kept& kept, std::uint64_t body_bytes, std::optional<std::chrono::nanoseconds> took);
    // Whether lines wait for flush(); it is called by itself when many do.
    [[nodiscard]] bool has_lines() const { return !lines_.empty(); }
    void flush();

  private:
    AccessLog(int fd, AccessLogFile::State* state, AccessLogFormat format)
        : fd_(fd), state_(state), format_(format) {}
    [[nodiscard]] AccessLine line_of(const Request& request, std::string_view peer) const;
    void add(const AccessLine& line);

    static constexpr std::size_t kFlushAt = 16 * 1024;

    int fd_;
    AccessLogFile::State* state_;
    AccessLogFormat format_;
    std::string lines_;
};

}  // namespace webby
