// Which sanitizer this program is built with.
#pragma once

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

}  // namespace test_support
