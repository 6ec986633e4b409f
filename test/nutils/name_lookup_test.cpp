#include "nutils/name_lookup.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "nutils/net_error.h"
#include "test/support/net_strings.h"

using nutils::look_up_name;
using nutils::lookup_error;
using nutils::NameError;
using nutils::SockAddr;

TEST_GROUP_BASE(LookUpName, test_support::Fixture){};

TEST(LookUpName, FindsThisMachine) {
    const auto addresses = look_up_name("localhost", "80");
    CHECK(addresses);
    for (const SockAddr& address : *addresses) {
        CHECK(address.ip().is_loopback());
        CHECK_EQUAL(80, address.port());
    }
}

TEST(LookUpName, GivesEachAddressOnce) {
    auto addresses = look_up_name("localhost", "").value();
    std::sort(addresses.begin(), addresses.end());
    CHECK(std::adjacent_find(addresses.begin(), addresses.end()) == addresses.end());
}

TEST(LookUpName, NumericAddressesAreThemselvesWhateverThisMachineHas) {
    CHECK_EQUAL(SockAddr::parse("192.0.2.7:1").value(), look_up_name("192.0.2.7", "1")->at(0));
    CHECK_EQUAL(SockAddr::parse("[2001:db8::1]:1").value(), look_up_name("2001:db8::1", "1")->at(0));
}

TEST(LookUpName, WithoutDescriptorsDoesNotSayThatThereIsNoSuchHost) {
    rlimit before = {};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const int lowest_free = ::dup(0);
    ::close(lowest_free);
    const rlimit none_left = {static_cast<rlim_t>(lowest_free), before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none_left);
    const auto failed = look_up_name("localhost", "");
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(failed.error() == std::errc::too_many_files_open);
}

TEST(LookUpName, OfAnUnknownServiceSaysSo) {
    const auto failed = look_up_name("127.0.0.1", "no-such-service");
    CHECK(failed.error() == make_error_code(NameError::no_such_service));
    STRCMP_CONTAINS("looking up 127.0.0.1, service no-such-service (no such service",
                    failed.error().message().c_str());
}

TEST(LookUpName, OfANumberThatIsNoPortSaysSo) {
    for (const char* const service : {"65536", "99999", "18446744073709551616", "+80", " 80", "-1"})
        CHECK(look_up_name("127.0.0.1", service).error() == make_error_code(NameError::no_such_service));
    CHECK(look_up_name("127.0.0.1", "65535").value().front() == SockAddr::loopback(65535));
    CHECK(look_up_name("127.0.0.1", "000080").value().front() == SockAddr::loopback(80));
}

TEST(LookUpName, LooksAtWhatIsBehindAZeroByte) {
    using namespace std::string_literals;
    CHECK(look_up_name("127.0.0.1\0.example.org"s, "80").error() == make_error_code(NameError::not_found));
    CHECK(look_up_name("127.0.0.1", "80\0x"s).error() == make_error_code(NameError::no_such_service));
}

// RFC 6761: nobody may have a name under "invalid". Without a network the system cannot know that.
TEST(LookUpName, OfWhatCannotExistFails) {
    const auto failed = look_up_name("nobody.invalid", "");
    CHECK(!failed);
    CHECK(failed.error() == make_error_code(NameError::not_found) ||
          failed.error() == make_error_code(NameError::no_address) ||
          failed.error() == make_error_code(NameError::try_again) ||
          failed.error() == make_error_code(NameError::failed));
    STRCMP_CONTAINS("looking up nobody.invalid (", failed.error().message().c_str());
}

TEST_GROUP_BASE(LookupError, test_support::Fixture){};

TEST(LookupError, SaysWhatToLookAt) {
    CHECK_EQUAL(
        "looking up example.org (no such host: is the name spelled right?): Name or service not known",
        lookup_error(NameError::not_found, "example.org").message());
    STRCMP_CONTAINS("(no name server has answered",
                    lookup_error(NameError::try_again, "x").message().c_str());
    STRCMP_CONTAINS("(no answer within the deadline",
                    lookup_error(nutils::NetError::timed_out, "x").message().c_str());
    CHECK_EQUAL("looking up x: canceled", lookup_error(nutils::NetError::canceled, "x").message());
}

TEST(LookupError, StaysOneLine) {
    CHECK_EQUAL("looking up a\\x0ab: canceled", lookup_error(nutils::NetError::canceled, "a\nb").message());
}
