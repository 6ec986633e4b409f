#include "cutils/log.h"

#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <mutex>
#include <span>

namespace cutils {
namespace {

iovec piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

// False: it failed, and nobody can be told.
bool write_all(std::span<iovec> left) {
    while (!left.empty()) {
        const ssize_t result = ::writev(STDERR_FILENO, left.data(), static_cast<int>(left.size()));
        if (result < 0 && errno == EINTR) continue;
        if (result <= 0) return false;
        auto written = static_cast<std::size_t>(result);
        for (; !left.empty() && written >= left.front().iov_len; left = left.subspan(1))
            written -= left.front().iov_len;
        if (left.empty()) return true;
        left.front().iov_base = static_cast<char*>(left.front().iov_base) + written;
        left.front().iov_len -= written;
    }
    return true;
}

// Who read our stderr may have gone: that must not end the process. (nutils::SigpipeGuard is a floor above.)
void write_without_sigpipe(std::span<iovec> pieces) {
    const int saved = errno;
    sigset_t sigpipe, before;
    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    const bool blocked = pthread_sigmask(SIG_BLOCK, &sigpipe, &before) == 0;
    const bool failed = !write_all(pieces) && errno == EPIPE;
    if (blocked && sigismember(&before, SIGPIPE) == 0) {
        const timespec at_once = {};
        while (failed && sigtimedwait(&sigpipe, nullptr, &at_once) < 0 && errno == EINTR) {
        }
        pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
    }
    errno = saved;
}

// In one call, so that lines of several threads and processes do not mix: it may be many, a dump for
// instance. Only what the kernel left over takes another one. Nobody to tell if it fails.
void write_to_stderr(LogLevel level, std::string_view line, void*) {
    iovec pieces[] = {piece(to_string(level)), piece(" "), piece(line), piece("\n")};
    write_without_sigpipe(pieces);
}

struct Sink {
    LogSink function;
    void* context;
};
std::mutex g_mutex;  // so that a function never meets another one's context
Sink g_sink{write_to_stderr, nullptr};
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
    const std::lock_guard lock(g_mutex);
    g_sink = sink == nullptr ? Sink{write_to_stderr, nullptr} : Sink{sink, context};
}

void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }
bool log_enabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view line) {
    if (!log_enabled(level)) return;
    const Sink sink = [] {
        const std::lock_guard lock(g_mutex);
        return g_sink;
    }();
    sink.function(level, line, sink.context);
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
    // What others chose may stand in it: a line stays one line, and speaks to nobody's terminal.
    for (char& c : std::span(text, used))
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    log_line(level, {text, used});
}

}  // namespace cutils
