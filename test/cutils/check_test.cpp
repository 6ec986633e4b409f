#include "cutils/check.h"

#include <string>

#include "test/support/death.h"
#include "test/support/harness.h"

using test_support::abort_message;

TEST_GROUP(Check) { int zero = 0; };

TEST(Check, WhatIsTrueCostsNothing) {
    EVC_CHECK(zero == 0, "must be zero");
    EVC_CHECK(&zero, "a pointer is a condition, too");
}

TEST(Check, TheConditionIsEvaluatedOnce) {
    EVC_CHECK(++zero == 1, "must be one");
    LONGS_EQUAL(1, zero);
}

TEST(Check, WhatIsFalseAbortsWithOneLineThatSaysWhatWhereAndWhy) {
    const std::string said = abort_message([this] { EVC_CHECK(zero == 1, "must be one"); });
    STRCMP_CONTAINS("test/cutils/check_test.cpp:", said.c_str());
    STRCMP_CONTAINS(": must be one (zero == 1 is false)\n", said.c_str());
    LONGS_EQUAL(said.size() - 1, said.find('\n'));
}

TEST(Check, IsAnExpression) {
    const auto checked = [](int value) { return EVC_CHECK(value > 0, "must be positive"), value; };
    LONGS_EQUAL(3, checked(3));
}
