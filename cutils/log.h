// Logging: one line an event, to a sink the application may replace.
//
// The libraries log only what nobody else could report: an exception that left a coroutine, an acceptor out
// of descriptors. Errors that a caller sees as a value are not logged.
#pragma once

#include <string_view>

#include "cutils/export.h"

namespace cutils {

enum class LogLevel { debug, info, warning, error };

EVC_API const char* to_string(LogLevel level);

// Where lines go. Called with a line without a newline at its end (a dump has some inside), from any thread,
// possibly from several at once; must not throw and must not suspend.
using LogSink = void (*)(LogLevel level, std::string_view line, void* context);

// Replaces the sink; null restores the default: stderr, "LEVEL LINE\n", whole, one writev(2) a line.
// Any thread; lines being written meanwhile may still go to the old sink.
EVC_API void set_log_sink(LogSink sink, void* context = nullptr);

// Lines below `level` are dropped before they are formatted. Default: info.
EVC_API void set_log_level(LogLevel level);
EVC_API bool log_enabled(LogLevel level);

// As it is: of any length, whatever is in it.
EVC_API void log_line(LogLevel level, std::string_view line);

// printf-style, checked by the compiler; a line longer than 2 KiB ends in "…", and control characters in it
// are shown as "?".
[[gnu::format(printf, 2, 3)]] EVC_API void log(LogLevel level, const char* format, ...);

}  // namespace cutils
