#include "nutils/ip_address.h"

#include <net/if.h>

#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>

#include "test/support/death.h"
#include "test/support/net_strings.h"

using nutils::IpAddress;
using test_support::abort_message;
using namespace std::string_view_literals;

namespace {
IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
std::string refusal(std::string_view text) {
    const auto parsed = IpAddress::parse(text);
    return parsed ? "accepted as " + parsed->to_string() : parsed.error().context();
}
}  // namespace

TEST_GROUP_BASE(IpAddress, test_support::Fixture){};

TEST(IpAddress, DefaultIsAnyV4) {
    CHECK_EQUAL(IpAddress::any(), IpAddress());
    CHECK_EQUAL("0.0.0.0", IpAddress().to_string());
}

TEST(IpAddress, KnowsTheSpecialAddresses) {
    CHECK_EQUAL("0.0.0.0", IpAddress::any().to_string());
    CHECK_EQUAL("::", IpAddress::any6().to_string());
    CHECK_EQUAL("127.0.0.1", IpAddress::loopback().to_string());
    CHECK_EQUAL("::1", IpAddress::loopback6().to_string());
}

TEST(IpAddress, TextComesBackAsItWas) {
    for (const char* text : {"0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "::1", "2001:db8::1",
                             "fe80::1%2", "2001:db8:0:1:1:1:1:1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8",
                             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295"})
        CHECK_EQUAL(std::string(text), ip(text).to_string());
}

TEST(IpAddress, ShortensV6) { CHECK_EQUAL("2001:db8::1", ip("2001:0DB8:0:0:0:0:0:1").to_string()); }

TEST(IpAddress, ReadsAScopeByInterfaceName) {
    const unsigned index = if_nametoindex("lo");
    LONGS_EQUAL(index, ip("fe80::1%lo").scope());
    CHECK_EQUAL("fe80::1%" + std::to_string(index), ip("fe80::1%lo").to_string());
}

TEST(IpAddress, RefusesWhatIsNotAnAddress) {
    for (const std::string_view text :
         {"1.2.3"sv, "1.2.3.4.5"sv, "1.2.3.256"sv, "01.2.3.4"sv, "1.2.3.4 "sv, " 1.2.3.4"sv, "1.2.3.-4"sv,
          "0x7f.0.0.1"sv, "127.1"sv, "2130706433"sv, "localhost"sv, "a"sv, "1.2.3.4\0"sv, "1.2.3.4\0.evil"sv,
          "1.2.3.4%1"sv})
        STRCMP_CONTAINS("is not an IP address", refusal(text).c_str());
}

TEST(IpAddress, RefusesWhatIsNotAnIpv6Address) {
    for (const std::string_view text : {"::1::"sv, ":1"sv, "1:2:3:4:5:6:7:8:9"sv, "12345::"sv, "::g"sv,
                                        "::1 "sv, "::1\0"sv, "::1.2.3"sv, ":"sv})
        STRCMP_CONTAINS("is not an IPv6 address", refusal(text).c_str());
}

TEST(IpAddress, RefusesATextFarTooLong) {
    STRCMP_CONTAINS("is not an IP address", refusal(std::string(1000, '1')).c_str());
    STRCMP_CONTAINS("is not an IPv6 address", refusal(std::string(1000, ':')).c_str());
}

TEST(IpAddress, RefusesAnEmptyText) { STRCMP_CONTAINS("is empty", refusal("").c_str()); }

TEST(IpAddress, RefusesBracketsAndSaysWhereTheyBelong) {
    STRCMP_CONTAINS("has brackets", refusal("[::1]").c_str());
}

TEST(IpAddress, RefusesAScopeThatIsNothing) {
    STRCMP_CONTAINS("after '%'", refusal("fe80::1%").c_str());
    STRCMP_CONTAINS("after '%'", refusal("fe80::1%a-name-too-long-for-an-interface").c_str());
    STRCMP_CONTAINS("after '%'", refusal("fe80::1%l\0o"sv).c_str());
}

TEST(IpAddress, AnInterfaceThatIsNotThereIsNoSuchDevice) {
    const auto parsed = IpAddress::parse("fe80::1%nosuchif");
    CHECK(!parsed && parsed.error() == std::errc::no_such_device);
}

TEST(IpAddress, ErrorsAreInvalidArgument) {
    CHECK(IpAddress::parse("x").error() == std::errc::invalid_argument);
}

TEST(IpAddress, TellsTheFamily) {
    CHECK(ip("1.2.3.4").is_v4() && !ip("1.2.3.4").is_v6());
    CHECK(ip("::1").is_v6() && !ip("::1").is_v4());
}

TEST(IpAddress, TellsAny) {
    CHECK(IpAddress::any().is_any() && IpAddress::any6().is_any());
    CHECK(!IpAddress::loopback().is_any() && !IpAddress::loopback6().is_any());
}

TEST(IpAddress, TellsLoopback) {
    CHECK(ip("127.0.0.1").is_loopback() && ip("127.255.0.9").is_loopback() && ip("::1").is_loopback());
    CHECK(!ip("128.0.0.1").is_loopback() && !ip("::2").is_loopback() &&
          !ip("::ffff:127.0.0.1").is_loopback());
}

TEST(IpAddress, TellsLinkLocal) {
    CHECK(ip("169.254.1.1").is_link_local() && ip("fe80::1").is_link_local() &&
          ip("febf::1").is_link_local());
    CHECK(!ip("169.253.1.1").is_link_local() && !ip("fec0::1").is_link_local());
}

TEST(IpAddress, UnmapsAnIpv4AddressInIpv6) {
    CHECK(ip("::ffff:192.0.2.1").is_v4_mapped());
    CHECK_EQUAL(ip("192.0.2.1"), ip("::ffff:192.0.2.1").unmapped());
}

TEST(IpAddress, UnmapsNothingElse) {
    for (const char* text : {"192.0.2.1", "::1", "::192.0.2.1", "::fffe:192.0.2.1"}) {
        CHECK(!ip(text).is_v4_mapped());
        CHECK_EQUAL(ip(text), ip(text).unmapped());
    }
}

TEST(IpAddress, FamiliesAndScopesMakeADifference) {
    CHECK(IpAddress::any() != IpAddress::any6());
    CHECK(ip("fe80::1%1") != ip("fe80::1%2"));
    CHECK(ip("fe80::1") == ip("fe80::1"));
}

TEST(IpAddress, SortsByItsBytes) {
    const std::set<IpAddress> sorted = {ip("10.0.0.2"), ip("9.255.0.0"), ip("10.0.0.1"), ip("::1")};
    std::string text;
    for (const IpAddress& address : sorted) text += address.to_string() + " ";
    CHECK_EQUAL("::1 9.255.0.0 10.0.0.1 10.0.0.2 ", text);
}

TEST(IpAddress, IsAKey) {
    std::unordered_set<IpAddress> seen = {ip("10.0.0.1"), ip("::1"), ip("10.0.0.1")};
    LONGS_EQUAL(2, seen.size());
    CHECK(seen.contains(ip("::1")));
}

TEST(IpAddress, GivesBackWhatItWasMadeOf) {
    const in_addr v4 = {htonl(0x01020304)};
    CHECK(IpAddress(v4).v4().s_addr == v4.s_addr);
    CHECK_EQUAL(ip("2001:db8::1%7"), IpAddress(ip("2001:db8::1").v6(), 7));
}

TEST(IpAddress, AskedForTheOtherFamilyAborts) {
    STRCMP_CONTAINS("of an IPv6 address", abort_message([] { (void)IpAddress::any6().v4(); }).c_str());
    STRCMP_CONTAINS("of an IPv4 address", abort_message([] { (void)IpAddress::any().v6(); }).c_str());
}
