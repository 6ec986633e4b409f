// Which sanitizer this program is built with, and whether it runs under valgrind.
#pragma once

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

namespace test_support {

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_SUPPORT_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TEST_SUPPORT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(TEST_SUPPORT_ASAN)
#define TEST_SUPPORT_ASAN 1
#elif defined(__SANITIZE_THREAD__) && !defined(TEST_SUPPORT_TSAN)
#define TEST_SUPPORT_TSAN 1
#endif

#ifdef TEST_SUPPORT_ASAN
inline constexpr bool kAsan = true;
#else
inline constexpr bool kAsan = false;
#endif
#ifdef TEST_SUPPORT_TSAN
inline constexpr bool kTsan = true;
#else
inline constexpr bool kTsan = false;
#endif
inline constexpr bool kSanitized = kAsan || kTsan;
// Debug and coverage builds are slow, too.
#ifdef __OPTIMIZE__
inline constexpr bool kSlow = kSanitized;
#else
inline constexpr bool kSlow = true;
#endif

// Known when the program runs. What takes long is done less often then.
inline bool under_valgrind() {
#ifdef RUNNING_ON_VALGRIND
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}
// Somebody looks at every byte: what a process needs of time and memory says nothing of it.
inline bool is_watched() { return kSanitized || under_valgrind(); }

// How long something may take that is done soon: seconds, or a duration.
template <class Time>
Time patience(Time usual) {
    return under_valgrind() ? usual * 10 : usual;
}

// What follows is wrong on purpose, in a child that is to die of it.
inline void no_more_reports_of_valgrind() {
#ifdef VALGRIND_DISABLE_ERROR_REPORTING
    VALGRIND_DISABLE_ERROR_REPORTING;
#endif
}

}  // namespace test_support
