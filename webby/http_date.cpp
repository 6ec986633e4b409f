#include "webby/http_date.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "webby/ascii.h"

namespace webby {
namespace {

constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

// Days since 1970-01-01 of a date in the Gregorian calendar, and back. Years start in March, so that the leap
// day is the last day of the year.
constexpr std::int64_t kDaysPerEra = 146097;  // 400 years
constexpr std::int64_t kEpochShift = 719468;  // 0000-03-01 to 1970-01-01

struct CivilDate {
    std::int64_t year;
    int month;  // 1..12
    int day;    // 1..31
};

constexpr std::int64_t days_from_civil(CivilDate date) {
    const std::int64_t year = date.month <= 2 ? date.year - 1 : date.year;
    const std::int64_t era = (year >= 0 ? year : year - 399) / 400;
    const std::int64_t year_of_era = year - era * 400;
    const std::int64_t day_of_year =
        (153 * (date.month > 2 ? date.month - 3 : date.month + 9) + 2) / 5 + date.day - 1;
    const std::int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * kDaysPerEra + day_of_era - kEpochShift;
}

constexpr CivilDate civil_from_days(std::int64_t days) {
    days += kEpochShift;
    const std::int64_t era = (days >= 0 ? days : days - kDaysPerEra + 1) / kDaysPerEra;
    const std::int64_t day_of_era = days - era * kDaysPerEra;
    const std::int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const std::int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const std::int64_t shifted_month = (5 * day_of_year + 2) / 153;
    const int month = static_cast<int>(shifted_month < 10 ? shifted_month + 3 : shifted_month - 9);
    return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
            static_cast<int>(day_of_year - (153 * shifted_month + 2) / 5 + 1)};
}

constexpr int days_in_month(std::int64_t year, int month) {
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month == 2) return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

void put_digits(char* out, int width, std::int64_t value) {
    for (int i = width - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

// Eats a date from the left; every step answers whether the text was as expected.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    bool literal(std::string_view text) {
        if (!rest_.starts_with(text)) return false;
        rest_.remove_prefix(text.size());
        return true;
    }
    bool number(std::size_t digits, int& value) {
        if (rest_.size() < digits) return false;
        value = 0;
        for (std::size_t i = 0; i < digits; ++i) {
            if (!ascii::is_digit(rest_[i])) return false;
            value = value * 10 + (rest_[i] - '0');
        }
        rest_.remove_prefix(digits);
        return true;
    }
    bool month(int& value) {
        const std::size_t at = rest_.size() < 3 ? std::string_view::npos : kMonths.find(rest_.substr(0, 3));
        if (at == std::string_view::npos || at % 3 != 0) return false;
        value = static_cast<int>(at / 3) + 1;
        rest_.remove_prefix(3);
        return true;
    }
    bool short_day() {
        const std::size_t at = rest_.size() < 3 ? std::string_view::npos : kDays.find(rest_.substr(0, 3));
        if (at == std::string_view::npos || at % 3 != 0) return false;
        rest_.remove_prefix(3);
        return true;
    }
    bool long_day() {
        for (const std::string_view day :
             {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"})
            if (literal(day)) return true;
        return false;
    }
    bool time(int& hour, int& minute, int& second) {
        return number(2, hour) && literal(":") && number(2, minute) && literal(":") && number(2, second);
    }
    [[nodiscard]] bool at_end() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

std::optional<std::time_t> to_time(int year, int month, int day, int hour, int minute, int second) {
    if (day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60) return {};
    return days_from_civil({year, month, day}) * 86400 + hour * 3600 + minute * 60 + second;
}

}  // namespace

void write_http_date(std::time_t time, char* out) {
    constexpr std::time_t kFirst = -62'167'219'200, kLast = 253'402'300'799;  // of the years 0 and 9999
    time = std::clamp(time, kFirst, kLast);
    std::int64_t days = time / 86400;
    std::int64_t seconds = time % 86400;
    if (seconds < 0) seconds += 86400, --days;
    const CivilDate date = civil_from_days(days);
    const auto weekday = static_cast<std::size_t>(((days + 4) % 7 + 7) % 7);  // 1970-01-01 was a Thursday
    std::memcpy(out, "Xxx, 00 Xxx 0000 00:00:00 GMT", kHttpDateSize);
    std::memcpy(out, kDays.data() + weekday * 3, 3);
    put_digits(out + 5, 2, date.day);
    std::memcpy(out + 8, kMonths.data() + static_cast<std::size_t>(date.month - 1) * 3, 3);
    put_digits(out + 12, 4, date.year);
    put_digits(out + 17, 2, seconds / 3600);
    put_digits(out + 20, 2, seconds / 60 % 60);
    put_digits(out + 23, 2, seconds % 60);
}

std::optional<std::time_t> parse_http_date(std::string_view text) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;

    Reader fixed(text);  // Sun, 06 Nov 1994 08:49:37 GMT
    if (fixed.short_day() && fixed.literal(", ") && fixed.number(2, day) && fixed.literal(" ") &&
        fixed.month(month) && fixed.literal(" ") && fixed.number(4, year) && fixed.literal(" ") &&
        fixed.time(hour, minute, second) && fixed.literal(" GMT") && fixed.at_end())
        return to_time(year, month, day, hour, minute, second);

    Reader rfc850(text);  // Sunday, 06-Nov-94 08:49:37 GMT
    if (rfc850.long_day() && rfc850.literal(", ") && rfc850.number(2, day) && rfc850.literal("-") &&
        rfc850.month(month) && rfc850.literal("-") && rfc850.number(2, year) && rfc850.literal(" ") &&
        rfc850.time(hour, minute, second) && rfc850.literal(" GMT") && rfc850.at_end())
        return to_time(year + (year < 70 ? 2000 : 1900), month, day, hour, minute, second);

    Reader asctime(text);  // Sun Nov  6 08:49:37 1994
    if (asctime.short_day() && asctime.literal(" ") && asctime.month(month) && asctime.literal(" ") &&
        (asctime.literal(" ") ? asctime.number(1, day) : asctime.number(2, day)) && asctime.literal(" ") &&
        asctime.time(hour, minute, second) && asctime.literal(" ") && asctime.number(4, year) &&
        asctime.at_end())
        return to_time(year, month, day, hour, minute, second);
    return {};
}

void DateCache::refresh(cutils::TimePoint now) {
    timespec wall{};
    clock_gettime(CLOCK_REALTIME, &wall);
    time_ = wall.tv_sec;
    std::memcpy(line_.data(), "Date: ", 6);
    write_http_date(time_, line_.data() + 6);
    std::memcpy(line_.data() + 6 + kHttpDateSize, "\r\n", 2);
    refresh_at_ = now + std::chrono::nanoseconds(1'000'000'000 - wall.tv_nsec);
}

}  // namespace webby
