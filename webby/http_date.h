// Dates as HTTP writes them ("Sun, 06 Nov 1994 08:49:37 GMT"), read and written without the locale, and a
// cache of the current one.
#pragma once

#include <array>
#include <cstddef>
#include <ctime>
#include <optional>
#include <string_view>

#include "cutils/clock.h"
#include "cutils/export.h"

namespace webby {

inline constexpr std::size_t kHttpDateSize = 29;

// A header line, "Date: …\r\n".
using DateLine = std::array<char, 6 + kHttpDateSize + 2>;

// Writes `time` (seconds since 1970, UTC) as an IMF-fixdate of exactly kHttpDateSize bytes, no terminator.
// What is out of the years 0 to 9999 is their end.
EVC_API void write_http_date(std::time_t time, char* out);

// Reads the three forms RFC 9110 §5.6.7 asks a server to accept: IMF-fixdate, RFC 850 and asctime. Anything
// else: nothing.
EVC_API std::optional<std::time_t> parse_http_date(std::string_view text);

// The current date as a header line, written anew once a second.
//
// Owner: one for each loop or thread; not shared between threads.
// Cost:  a comparison; once a second one clock_gettime and one formatting.
class EVC_API DateCache {
  public:
    // `now` is the caller's cached monotonic time; it only says whether a second has gone by.
    // Lifetime: until the next call.
    [[nodiscard]] const DateLine& header_line(cutils::TimePoint now) {
        if (now >= refresh_at_) [[unlikely]]
            refresh(now);
        return line_;
    }
    // The current time in seconds since 1970, as of the same second.
    [[nodiscard]] std::time_t unix_time(cutils::TimePoint now) {
        if (now >= refresh_at_) refresh(now);
        return time_;
    }

  private:
    void refresh(cutils::TimePoint now);

    DateLine line_{};
    cutils::TimePoint refresh_at_ = cutils::TimePoint::min();
    std::time_t time_ = 0;
};

}  // namespace webby
