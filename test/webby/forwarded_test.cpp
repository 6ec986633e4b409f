#include "webby/forwarded.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "test/support/harness.h"

using namespace webby;
using nutils::IpNetworkList;
using nutils::SockAddr;

TEST_GROUP_BASE(Forwarded, test_support::Fixture) {
    ForwardedTrust trust{.networks = IpNetworkList::parse("10.0.0.0/8 fd00::/8").value()};
    std::string peer = "10.0.0.1:9";

    // "address proto host", the identifier in place of the address.
    std::string client(const std::vector<std::pair<std::string, std::string>>& fields) {
        std::string text;
        for (const auto& [name, value] : fields) text += name + value;
        Headers headers;
        const std::string_view all = text;
        headers.set_text(all.data());
        std::size_t at = 0;
        for (const auto& [name, value] : fields) {
            headers.add(all.substr(at, name.size()), all.substr(at + name.size(), value.size()));
            at += name.size() + value.size();
        }
        const ForwardedClient who = forwarded_client(headers, SockAddr::parse(peer).value(), trust);
        std::string told = who.identifier.empty() ? who.address.to_string() : who.identifier;
        if (!who.identifier.empty()) CHECK(who.address.is_none());
        if (!who.proto.empty()) told += " " + who.proto;
        if (!who.host.empty()) told += " " + who.host;
        return who.forwarded ? told : "peer " + told;
    }
    std::string by_x(const std::string& value) {
        trust.by = ForwardedBy::x_forwarded;
        return client({{"X-Forwarded-For", value}});
    }
    std::string by_standard(const std::string& value) {
        trust.by = ForwardedBy::forwarded;
        return client({{"Forwarded", value}});
    }
};

TEST(Forwarded, AStrangerIsNotBelieved) {
    peer = "192.0.2.1:9";
    CHECK_EQUAL("peer 192.0.2.1:9", by_x("127.0.0.1"));
    CHECK_EQUAL("peer 192.0.2.1:9", by_standard("for=127.0.0.1"));
}

TEST(Forwarded, WithoutTheFieldTheProxyItselfAsks) {
    CHECK_EQUAL("peer 10.0.0.1:9", client({}));
    CHECK_EQUAL("peer 10.0.0.1:9", by_x(""));
    CHECK_EQUAL("peer 10.0.0.1:9", by_x(" , ,"));
    CHECK_EQUAL("peer 10.0.0.1:9", client({{"Forwarded", "for=192.0.2.1"}}));  // not the one that is written
}

TEST(Forwarded, IsReadFromTheRightPastTrustedNetworks) {
    CHECK_EQUAL("192.0.2.7:0", by_x("1.1.1.1, 192.0.2.7"));
    CHECK_EQUAL("192.0.2.7:0", by_x("1.1.1.1, 192.0.2.7, 10.0.0.3,10.0.0.2"));
    CHECK_EQUAL("192.0.2.7:0", by_standard("for=1.1.1.1, for=192.0.2.7;by=10.0.0.3 , FOR=10.0.0.3"));
    CHECK_EQUAL("[2001:db8::1]:0", by_x("1.1.1.1, 2001:db8::1, fd00::1"));
}

TEST(Forwarded, FieldsOfOneNameAreOneList) {
    CHECK_EQUAL("192.0.2.7:0",
                client({{"X-Forwarded-For", "1.1.1.1"}, {"x-forwarded-for", "192.0.2.7, 10.0.0.2"}}));
    CHECK_EQUAL("192.0.2.7:0",
                client({{"X-Forwarded-For", "1.1.1.1, 192.0.2.7"}, {"x-forwarded-for", "10.0.0.2"}}));
}

TEST(Forwarded, WhenAllAreTrustedTheFirstIsTheClient) {
    CHECK_EQUAL("10.0.0.7:0", by_x("10.0.0.7, 10.0.0.2"));
}

TEST(Forwarded, PortsAndQuotesAreRead) {
    CHECK_EQUAL("192.0.2.7:4711", by_x("192.0.2.7:4711"));
    CHECK_EQUAL("[2001:db8::1]:80", by_x("[2001:db8::1]:80"));
    CHECK_EQUAL("[2001:db8::1]:0", by_x("\"[2001:db8::1]\""));
    CHECK_EQUAL("192.0.2.7:0", by_x("::ffff:192.0.2.7"));
    CHECK_EQUAL("[2001:db8:cafe::17]:4711", by_standard("For=\"[2001:db8:cafe::17]:4711\""));
    CHECK_EQUAL("192.0.2.7:0", by_standard("for=\"192.0.2.7:_port\""));
    CHECK_EQUAL("192.0.2.7:80", by_standard("for=\"192.0.2.\\7:80\""));
}

TEST(Forwarded, WhatIsNoAddressIsAStranger) {
    for (const char* text :
         {"x", "192.0.2.7:x", "192.0.2.7:65536", "192.0.2.7:", "[::1", "[::1]80", "[192.0.2.7]", "::1:80:zz",
          "fe80::1%1", "192.0.2.07", "192.0.2.7 192.0.2.8", "\"192.0.2.7", "_x y"})
        CHECK_EQUAL("none", by_x("1.1.1.1, " + std::string(text)));
    for (const char* text : {"for", "for=", "for=a b", "for=1.2.3.4;for=10.0.0.1", "by=1.2.3.4", "for=::1",
                             "x;", "for=\"::1\"x"})
        CHECK_EQUAL_TEXT(std::string("none"), by_standard("for=1.1.1.1, " + std::string(text)), text);
}

TEST(Forwarded, AHiddenClientHasAnIdentifier) {
    CHECK_EQUAL("unknown", by_standard("for=1.1.1.1, for=unknown"));
    CHECK_EQUAL("_gazonk", by_standard("for=\"_gazonk\", for=10.0.0.3"));
    CHECK_EQUAL("unknown", by_x("unknown"));
    CHECK_EQUAL("none", by_standard("for=\"_a b\""));
}

TEST(Forwarded, AClientCannotSwallowWhatAProxyAppends) {
    for (const char* evil :
         {"for=\"", "for=\"1.1.1.1", "for=\"a\\", "\"", "for=\"x\", \"", ";;;\"\\\"", ",\","})
        CHECK_EQUAL("192.0.2.7:0", by_standard(std::string(evil) + ", for=192.0.2.7"));
    CHECK_EQUAL("192.0.2.7:0", by_standard("for=\", for=192.0.2.7, for=10.0.0.3"));
    CHECK_EQUAL("[2001:db8::1]:1", by_standard("for=\", for=\"[2001:db8::1]:1\""));
    trust.by = ForwardedBy::x_forwarded;
    CHECK_EQUAL("192.0.2.7:0", by_x("\", 192.0.2.7"));
}

TEST(Forwarded, CommasAndQuotesInQuotesSeparateNothing) {
    CHECK_EQUAL("192.0.2.7:0 https", by_standard("for=192.0.2.7;x=\"a, for=1.1.1.1\";proto=https"));
    CHECK_EQUAL("192.0.2.7:0 https", by_standard("for=192.0.2.7;x=\"a\\\", for=1.1.1.1\";proto=https"));
}

TEST(Forwarded, ProtoAndHostAreTheClients) {
    CHECK_EQUAL(
        "192.0.2.7:0 https a.example:8080",
        by_standard("for=1.1.1.1;proto=http;host=evil, for=192.0.2.7;proto=HTTPS;host=\"a.example:8080\", "
                    "for=10.0.0.3;proto=http;host=inside"));
    CHECK_EQUAL("192.0.2.7:0", by_standard("for=192.0.2.7;proto=gopher;host=\"a b\""));
    CHECK_EQUAL("unknown https", by_standard("for=unknown;proto=https"));
}

TEST(Forwarded, XForwardedProtoAndHostStandBesideTheirAddresses) {
    trust.by = ForwardedBy::x_forwarded;
    CHECK_EQUAL("192.0.2.7:0 https b", client({{"X-Forwarded-For", "1.1.1.1, 192.0.2.7, 10.0.0.3"},
                                               {"X-Forwarded-Proto", "http, https, http"},
                                               {"X-Forwarded-Host", "a, b, c"}}));
    CHECK_EQUAL("192.0.2.7:0 https b", client({{"X-Forwarded-For", "1.1.1.1, 192.0.2.7, 10.0.0.3"},
                                               {"X-Forwarded-Proto", "http, https"},
                                               {"X-Forwarded-Host", "b"}}));
    CHECK_EQUAL("peer 10.0.0.1:9", client({{"X-Forwarded-Proto", "https"}}));
}

TEST(Forwarded, UnixPeersAreTrustedWhenToldTo) {
    peer = "unix:/run/proxy";
    CHECK_EQUAL("peer unix:/run/proxy", by_x("192.0.2.7"));
    trust.unix_sockets = true;
    CHECK_EQUAL("192.0.2.7:0", by_x("192.0.2.7"));
}
