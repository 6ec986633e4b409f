// LogCapture: what the libraries log while it lives, for tests that expect a line, or want none on the
// terminal.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "cutils/log.h"

namespace test_support {

//   LogCapture log;
//   loop.run();
//   STRCMP_CONTAINS("coroutine \"fetch\" ended", log.text().c_str());
class LogCapture {
  public:
    LogCapture() { cutils::set_log_sink(&LogCapture::take, this); }
    LogCapture(const LogCapture&) = delete;
    LogCapture& operator=(const LogCapture&) = delete;
    ~LogCapture() { cutils::set_log_sink(nullptr); }

    // "error: LINE\n" for each line so far.
    [[nodiscard]] std::string text() const {
        const std::lock_guard lock(mutex_);
        return text_;
    }
    [[nodiscard]] std::size_t lines() const {
        const std::lock_guard lock(mutex_);
        return lines_;
    }

  private:
    static void take(cutils::LogLevel level, std::string_view line, void* self) {
        auto& capture = *static_cast<LogCapture*>(self);
        const std::lock_guard lock(capture.mutex_);
        ++capture.lines_;
        try {
            capture.text_.append(to_string(level)).append(": ").append(line).append("\n");
        } catch (...) {  // a test that lets allocations fail; a sink must not throw
        }
    }

    mutable std::mutex mutex_;
    std::string text_;
    std::size_t lines_ = 0;
};

}  // namespace test_support
