#include "webby/random_hex.h"

#include <string>

#include "test/support/death.h"

#include "test/support/harness.h"

using webby::random_hex;

TEST_GROUP_BASE(RandomHex, test_support::Fixture){};

TEST(RandomHex, HasTwoDigitsAByteAndDiffersEachTime) {
    const std::string one = random_hex(16);
    CHECK_EQUAL(32, one.size());
    CHECK(one.find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(one != random_hex(16));
    CHECK_EQUAL(std::string(), random_hex(0));
}

TEST(RandomHex, TooManyBytesAreABug) {
    STRCMP_CONTAINS("more than 32", test_support::abort_message([] { (void)random_hex(33); }).c_str());
}
