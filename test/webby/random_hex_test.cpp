#include "webby/random_hex.h"

#include <string>
#include <system_error>

#include "test/support/death.h"
#include "test/support/fault_injection.h"

#include "test/support/harness.h"

using webby::random_hex;

TEST_GROUP_BASE(RandomHex, test_support::Fixture) { test_support::FaultInjection faults; };

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

TEST(RandomHex, AnInterruptedCallIsMadeAgain) {
    faults.fail("getrandom", EINTR);
    CHECK(random_hex(16) != random_hex(16));
    CHECK_EQUAL(3, faults.calls("getrandom"));
}

TEST(RandomHex, WithoutTheSystemCallThereIsTheDevice) {
    faults.fail("getrandom", ENOSYS, 2);
    CHECK(random_hex(16) != random_hex(16));
}

TEST(RandomHex, WithoutEitherItSaysSo) {
    faults.fail("getrandom", ENOSYS);
    faults.fail("read", EIO);
    std::string what;
    try {
        (void)random_hex(16);
    } catch (const std::system_error& error) {
        what = error.what();
    }
    STRCMP_CONTAINS("/dev/urandom", what.c_str());
}
