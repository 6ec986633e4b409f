// What a test includes instead of CppUTest/TestHarness.h, and LAST: CppUTest redefines `new`, which headers behind it
// would not survive.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>

#include "test/support/sanitizers.h"

// clang with ASan: CppUTest warns about what main.cpp does anyway.
#if defined(__clang__) && defined(TEST_SUPPORT_ASAN) && !defined(CPPUTEST_MEM_LEAK_DETECTION_DISABLED)
#define CPPUTEST_MEM_LEAK_DETECTION_DISABLED 1
#define CPPUTEST_USE_MEM_LEAK_DETECTION 0
#endif

#include "CppUTest/TestHarness.h"

// CHECK also takes what is a bool only when asked (IoResult, Result, UniqueFd), and expressions with commas.
#undef CHECK
#undef CHECK_TEXT
#define CHECK(...) \
    CHECK_TRUE_LOCATION(static_cast<bool>(__VA_ARGS__), "CHECK", #__VA_ARGS__, nullptr, __FILE__, __LINE__)
#define CHECK_TEXT(condition, text) \
    CHECK_TRUE_LOCATION(static_cast<bool>(condition), "CHECK", #condition, text, __FILE__, __LINE__)

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

// A base of test groups in whose tests exceptions may fly: CppUTest 4.0 dies of one that is not its own; here it is a
// failure of the test, and tear-down still runs.
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
        test->fail((std::string("an exception left the test: ") + what).c_str(), test->getFile().asCharString(),
                   test->getLineNumber(), GoOn());
    }
};

}  // namespace test_support
