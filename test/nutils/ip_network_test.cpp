#include "nutils/ip_network.h"

#include <string>
#include <string_view>

#include "test/support/death.h"
#include "test/support/net_strings.h"

#include "test/support/harness.h"

using nutils::IpAddress;
using nutils::IpNetwork;
using nutils::IpNetworkList;
using nutils::SockAddr;
using namespace std::string_view_literals;

namespace {
IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }
bool has(std::string_view network, std::string_view address) {
    return IpNetwork::parse(network).value().contains(ip(address));
}
std::string refusal(std::string_view text) {
    const auto parsed = IpNetwork::parse(text);
    return parsed ? "accepted as " + parsed->to_string() : parsed.error().context();
}
}  // namespace

TEST_GROUP_BASE(IpNetwork, test_support::Fixture){};

TEST(IpNetwork, TextComesBackAsItWas) {
    for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.1", "::/0", "::1", "2001:db8::/32",
                             "fe80::/10", "128.0.0.0/1", "192.0.2.254/31"})
        CHECK_EQUAL(std::string(text), IpNetwork::parse(text).value().to_string());
    CHECK_EQUAL("::1", IpNetwork::parse("::1/128").value().to_string());
    CHECK_EQUAL("10.0.0.0/8", IpNetwork::parse("::ffff:10.0.0.0/104").value().to_string());
}

TEST(IpNetwork, HasTheAddressesThatBeginWithItsBits) {
    CHECK(has("10.0.0.0/8", "10.255.0.1"));
    CHECK_FALSE(has("10.0.0.0/8", "11.0.0.0"));
    CHECK(has("172.16.0.0/12", "172.31.255.255"));
    CHECK_FALSE(has("172.16.0.0/12", "172.32.0.0"));
    CHECK(has("192.0.2.254/31", "192.0.2.255"));
    CHECK_FALSE(has("192.0.2.254/31", "192.0.2.253"));
    CHECK(has("192.0.2.1", "192.0.2.1"));
    CHECK_FALSE(has("192.0.2.1", "192.0.2.2"));
    CHECK(has("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK_FALSE(has("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(has("::1", "::1"));
    CHECK_FALSE(has("::1", "::"));
    CHECK(has("0.0.0.0/0", "255.255.255.255"));
}

TEST(IpNetwork, AMappedAddressIsTheOneInsideIt) {
    CHECK(has("10.0.0.0/8", "::ffff:10.1.2.3"));
    CHECK(has("::ffff:10.0.0.0/104", "10.1.2.3"));
    CHECK(has("::ffff:10.0.0.0/104", "::ffff:10.1.2.3"));
    CHECK_FALSE(has("::ffff:10.0.0.0/104", "11.1.2.3"));
    CHECK(has("::/0", "10.1.2.3"));
    CHECK(has("::ffff:0:0/96", "10.1.2.3"));
    CHECK_FALSE(has("::1", "0.0.0.1"));
    CHECK_FALSE(has("0.0.0.0/0", "::1"));
}

TEST(IpNetwork, ScopesDoNotMatter) { CHECK(has("fe80::/10", "fe80::1%2")); }

TEST(IpNetwork, RefusesWhatIsNoNetwork) {
    for (const std::string_view text :
         {""sv, "/"sv, "/8"sv, "10.0.0.0/"sv, "10.0.0.0/33"sv, "10.0.0.0/-1"sv, "10.0.0.0/08"sv, "10/8"sv,
          "10.0.0.0/8/8"sv, "10.0.0.0/ 8"sv, "10.0.0.0/8 "sv, "::/129"sv, "fe80::%2/64"sv, "a/8"sv,
          "10.0.0.0/255.0.0.0"sv, "10.0.0.0/99999999999"sv, "10.0.0.0/8\0"sv})
        CHECK_FALSE_TEXT(IpNetwork::parse(text).ok(), std::string(text).c_str());
}

TEST(IpNetwork, BitsBehindThePrefixAreAMistake) {
    STRCMP_CONTAINS("write 10.0.0.0/8", refusal("10.1.0.0/8").c_str());
    STRCMP_CONTAINS("write 2001:db8::/32", refusal("2001:db8::1/32").c_str());
    CHECK(IpNetwork(ip("10.1.2.3"), 8) == IpNetwork::parse("10.0.0.0/8").value());
}

TEST(IpNetwork, APrefixLongerThanItsAddressIsABug) {
    STRCMP_CONTAINS("prefix",
                    test_support::abort_message([] { (void)IpNetwork(IpAddress::any(), 33); }).c_str());
}

TEST_GROUP_BASE(IpNetworkList, test_support::Fixture){};

TEST(IpNetworkList, HasWhatOneOfItsNetworksHas) {
    const IpNetworkList list = IpNetworkList::parse(" 10.0.0.0/8,::1\n192.0.2.1 , ").value();
    CHECK(list.contains(ip("10.9.9.9")));
    CHECK(list.contains(ip("::1")));
    CHECK(list.contains(SockAddr::parse("192.0.2.1:80").value()));
    CHECK_FALSE(list.contains(ip("192.0.2.2")));
    CHECK_FALSE(IpNetworkList().contains(ip("10.0.0.1")));
    CHECK(IpNetworkList::parse("").value().empty());
}

TEST(IpNetworkList, OneBadNetworkSpoilsIt) { CHECK_FALSE(IpNetworkList::parse("10.0.0.0/8 x").ok()); }

TEST(IpNetworkList, UnixSocketsAreInNone) {
    CHECK_FALSE(IpNetworkList::parse("0.0.0.0/0 ::/0").value().contains(SockAddr::unix_path("/x").value()));
    CHECK_FALSE(IpNetworkList::parse("0.0.0.0/0 ::/0").value().contains(SockAddr()));
}

TEST(IpNetworkList, KnowsWhatIsNear) {
    CHECK(IpNetworkList::loopback().contains(ip("127.9.9.9")));
    CHECK_FALSE(IpNetworkList::loopback().contains(ip("10.0.0.1")));
    for (const char* address :
         {"127.0.0.1", "::1", "10.0.0.1", "172.31.0.1", "192.168.9.9", "169.254.1.1", "fd00::1", "fe80::1"})
        CHECK(IpNetworkList::local().contains(ip(address)));
    CHECK_FALSE(IpNetworkList::local().contains(ip("192.0.2.1")));
}
