#include "cutils/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace cutils {
namespace {

void write_to_stderr(LogLevel level, std::string_view line, void*) {
    char text[2200];
    const int length = std::snprintf(text, sizeof text, "%s %.*s\n", to_string(level),
                                     static_cast<int>(line.size() > 2100 ? 2100 : line.size()), line.data());
    // One write, so that lines of several threads and processes do not mix. Nobody to tell if it fails.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, static_cast<size_t>(length));
}


// Taken down before it is replaced, so that a reader never pairs the new function with the old context.
std::atomic<LogSink> g_function{nullptr};
std::atomic<void*> g_context{nullptr};
std::atomic<LogLevel> g_level{LogLevel::info};

}  // namespace

const char* to_string(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return "debug";
        case LogLevel::info: return "info";
        case LogLevel::warning: return "warning";
        case LogLevel::error: return "error";
    }
    return "?";
}

void set_log_sink(LogSink sink, void* context) {
    g_function.store(nullptr, std::memory_order_release);
    g_context.store(context, std::memory_order_release);
    g_function.store(sink, std::memory_order_release);
}

void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }
bool log_enabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view line) {
    if (!log_enabled(level)) return;
    LogSink function = g_function.load(std::memory_order_acquire);
    if (function == nullptr) return write_to_stderr(level, line, nullptr);
    function(level, line, g_context.load(std::memory_order_acquire));
}

void log(LogLevel level, const char* format, ...) {
    if (!log_enabled(level)) return;
    char text[2048];
    std::va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    size_t used = static_cast<size_t>(length);
    if (used >= sizeof text) {
        std::memcpy(text + sizeof text - 4, "…", 4);  // three bytes of UTF-8 and the end
        used = sizeof text - 1;
    }
    log_line(level, {text, used});
}

}  // namespace cutils
