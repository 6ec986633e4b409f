// What a test includes instead of CppUTest/TestHarness.h: CppUTest with its traps closed.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include "test/support/sanitizers.h"

// clang with ASan: CppUTest warns about what main.cpp does anyway.
#if defined(__clang__) && defined(TEST_SUPPORT_ASAN) && !defined(CPPUTEST_MEM_LEAK_DETECTION_DISABLED)
#define CPPUTEST_MEM_LEAK_DETECTION_DISABLED 1
#define CPPUTEST_USE_MEM_LEAK_DETECTION 0
#endif

#include "CppUTest/TestHarness.h"

// CppUTest makes `new` a macro, so that leak reports can name a line, and every header behind it fails to
// compile that uses placement new. Includes in any order are worth more.
#undef new

// How CHECK_EQUAL shows these types.
inline SimpleString StringFrom(const std::error_code& error) {
    return SimpleString((std::string(error.category().name()) + ": " + error.message()).c_str());
}
inline SimpleString StringFrom(std::string_view text) { return SimpleString(std::string(text).c_str()); }
template <class Rep, class Period>
SimpleString StringFrom(std::chrono::duration<Rep, Period> duration) {
    return StringFrom(static_cast<long>(std::chrono::nanoseconds(duration).count())) + SimpleString(" ns");
}

namespace test_support {

template <class Expected, class Actual>
void check_equal(const Expected& expected, const Actual& actual, const char* file, size_t line) {
    bool equal = false;
    if constexpr (std::is_integral_v<Expected> && std::is_integral_v<Actual> &&
                  !std::is_same_v<Expected, bool> && !std::is_same_v<Actual, bool>)
        equal = std::cmp_equal(+expected, +actual);  // whatever their signs; + for characters
    else
        equal = expected == actual;
    UtestShell::getCurrent()->assertEquals(!equal, StringFrom(expected).asCharString(),
                                           StringFrom(actual).asCharString(), nullptr, file, line);
}

// A base of test groups in whose tests exceptions may fly: CppUTest 4.0 dies of one that is not its own; here
// it is a failure of the test, and tear-down still runs.
//
//   TEST_GROUP_BASE(Parser, test_support::Fixture) { … };
class Fixture : public Utest {
  public:
    void run() override {
        try {
            Utest::run();
            return;
        } catch (const std::exception& error) {
            report(error.what());
        } catch (...) {
            report("something that is not a std::exception");
        }
        teardown();
    }

  private:
    struct GoOn : TestTerminator {
        void exitCurrentTest() const override {}
    };
    static void report(const char* what) {
        UtestShell* const test = UtestShell::getCurrent();
        test->fail((std::string("an exception left the test: ") + what).c_str(),
                   test->getFile().asCharString(), test->getLineNumber(), GoOn());
    }
};

}  // namespace test_support

// CHECK also takes what is a bool only when asked (IoResult, Result, UniqueFd), and expressions with commas.
// CHECK_EQUAL evaluates each side once, and compares text with text.
#undef CHECK
#undef CHECK_TEXT
#undef CHECK_EQUAL
#define CHECK(...) \
    CHECK_TRUE_LOCATION(static_cast<bool>(__VA_ARGS__), "CHECK", #__VA_ARGS__, nullptr, __FILE__, __LINE__)
#define CHECK_TEXT(condition, text) \
    CHECK_TRUE_LOCATION(static_cast<bool>(condition), "CHECK", #condition, text, __FILE__, __LINE__)
#define CHECK_EQUAL(expected, actual) ::test_support::check_equal(expected, actual, __FILE__, __LINE__)
