#include "nutils/sock_addr.h"

#include <linux/netlink.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "nutils/socket_ops.h"
#include "test/support/death.h"
#include "test/support/fault_injection.h"
#include "test/support/net_strings.h"
#include "test/support/socket_pairs.h"
#include "test/support/temp_dir.h"

using namespace nutils;
using namespace test_support;
using namespace std::string_view_literals;

namespace {

SockAddr addr(std::string_view text) { return SockAddr::parse(text).value(); }

// Why `text` is no address; and that every such error is the caller's mistake.
std::string refusal(std::string_view text) {
    const auto parsed = SockAddr::parse(text);
    if (parsed) return "accepted as " + parsed->to_string();
    CHECK(parsed.error() == std::errc::invalid_argument);
    return parsed.error().context();
}

void comes_back(std::string_view text) { CHECK_EQUAL(std::string(text), addr(text).to_string()); }

constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);

// A unix address as the kernel might give it.
SockAddr from_kernel(std::string_view sun_path) {
    struct {
        sockaddr_un un;
        char more[8];
    } raw = {};
    raw.un.sun_family = AF_UNIX;
    std::memcpy(reinterpret_cast<char*>(&raw) + kPathOffset, sun_path.data(), sun_path.size());
    return SockAddr::from_sockaddr(reinterpret_cast<const sockaddr*>(&raw),
                                   static_cast<socklen_t>(kPathOffset + sun_path.size()));
}

}  // namespace

TEST_GROUP_BASE(SockAddr, Fixture) { FaultInjection faults; };

TEST(SockAddr, DefaultIsNone) {
    const SockAddr none;
    CHECK(none.is_none() && !none.is_ip() && !none.is_unix());
    CHECK_EQUAL("none", none.to_string());
    LONGS_EQUAL(0, none.port());
}

TEST(SockAddr, MakesTheUsualOnes) {
    CHECK_EQUAL("0.0.0.0:80", SockAddr::any(80).to_string());
    CHECK_EQUAL("[::]:80", SockAddr::any6(80).to_string());
    CHECK_EQUAL("127.0.0.1:0", SockAddr::loopback(0).to_string());
    CHECK_EQUAL("[::1]:65535", SockAddr::loopback6(65535).to_string());
}

TEST(SockAddr, IpTextComesBackAsItWas) {
    for (const char* text :
         {"127.0.0.1:80", "0.0.0.0:0", "[::1]:80", "[fe80::1%2]:65535", "[::ffff:1.2.3.4]:1"})
        comes_back(text);
}

TEST(SockAddr, UnixTextComesBackAsItWas) {
    for (const char* text :
         {"unix:/run/web.sock", "unix:relative", "unix:@web", "unix:@a b:c", "unix:./@file", "unix:\\x40file",
          "unix:@\\x00\\x01\\x7f", "unix:a\\x5cb", "unix:/t\\x0a", "unix:@@", "unix:/\xc3\xbc.sock"})
        comes_back(text);
}

TEST(SockAddr, APortAloneIsAnyIpv4) { CHECK_EQUAL(SockAddr::any(80), addr(":80")); }

TEST(SockAddr, FileAndAbstractNameAreDifferent) {
    CHECK(addr("unix:@web").is_abstract());
    CHECK(!addr("unix:/web").is_abstract());
    CHECK(!addr("unix:\\x40web").is_abstract());
    CHECK_EQUAL("web", addr("unix:@web").path());
    CHECK_EQUAL("@web", addr("unix:\\x40web").path());
    CHECK(addr("unix:\\x40web") != addr("unix:@web"));
}

TEST(SockAddr, RefusesWhatHasNoPort) {
    for (const char* text : {"", "127.0.0.1", "localhost", "80", "unix", "UNIX/run/x"})
        STRCMP_CONTAINS("no port; write ADDRESS:PORT, :PORT or unix:PATH", refusal(text).c_str());
    STRCMP_CONTAINS("no port; write [ADDRESS]:PORT", refusal("[::1]").c_str());
}

TEST(SockAddr, RefusesNames) {
    STRCMP_EQUAL(
        "address \"localhost:80\": \"localhost\" is not an IP address (names are not looked up here)",
        refusal("localhost:80").c_str());
}

TEST(SockAddr, RefusesIpv6WithoutBrackets) {
    for (const char* text : {"::1:80", "2001:db8::1:80", "::"})
        STRCMP_CONTAINS("an IPv6 address needs brackets, [ADDRESS]:PORT", refusal(text).c_str());
}

TEST(SockAddr, RefusesBracketsThatDoNotClose) {
    STRCMP_CONTAINS("'[' without ']'", refusal("[::1:80").c_str());
}

TEST(SockAddr, RefusesBracketsAroundAnythingElse) {
    STRCMP_CONTAINS("\"127.0.0.1\" is not an IPv6 address; only those stand in brackets",
                    refusal("[127.0.0.1]:80").c_str());
    STRCMP_CONTAINS("\"\" is not an IPv6 address", refusal("[]:80").c_str());
    STRCMP_CONTAINS("\"::x\" is not an IPv6 address", refusal("[::x]:80").c_str());
}

TEST(SockAddr, RefusesWhatFollowsTheBrackets) {
    STRCMP_CONTAINS("\"80\" follows ']', where \":PORT\" belongs", refusal("[::1]80").c_str());
}

TEST(SockAddr, RefusesPortsThatAreNone) {
    for (const std::string_view port :
         {""sv, "65536"sv, "99999"sv, "-1"sv, "+1"sv, " 80"sv, "80 "sv, "http"sv, "0x50"sv, "080"sv, "00"sv,
          "8\0"sv, "18446744073709551696"sv}) {
        const std::string shown = port == "8\0"sv ? "8\\x00" : std::string(port);
        const std::string wanted = "\"" + shown + "\" is not a port, a number from 0 to 65535";
        CHECK(refusal("127.0.0.1:" + std::string(port)).find(wanted) != std::string::npos);
        CHECK(refusal(":" + std::string(port)).find(wanted) != std::string::npos);
        CHECK(refusal("[::1]:" + std::string(port)).find(wanted) != std::string::npos);
    }
}

TEST(SockAddr, RefusesAZeroByteInAnAddress) {
    STRCMP_CONTAINS("is not an IP address", refusal("127.0.0.1\0:80"sv).c_str());
}

TEST(SockAddr, RefusesEscapesThatAreNone) {
    for (const char* text : {"unix:a\\b", "unix:a\\", "unix:a\\x", "unix:a\\x4", "unix:a\\xzz", "unix:a\\x4g",
                             "unix:@a\\n", "unix:\\x-1", "unix:\\x+1"})
        STRCMP_CONTAINS("a backslash is written \\x5c", refusal(text).c_str());
}

TEST(SockAddr, RefusesAnEmptyPath) {
    STRCMP_CONTAINS("empty unix socket path", refusal("unix:").c_str());
    STRCMP_CONTAINS("empty unix socket path", refusal("unix:@").c_str());
}

TEST(SockAddr, RefusesAZeroByteInAFilesName) {
    STRCMP_CONTAINS("zero byte", refusal("unix:/a\\x00b").c_str());
    CHECK(SockAddr::unix_path("/a\0b"sv).error() == std::errc::invalid_argument);
}

TEST(SockAddr, TakesAPathOf107Bytes) {
    const std::string path = "/" + std::string(106, 'p');
    const SockAddr address = SockAddr::unix_path(path).value();
    CHECK_EQUAL(path, address.path());
    LONGS_EQUAL(sizeof(sockaddr_un), address.size());
    CHECK_EQUAL(SockAddr::unix_path("@" + std::string(107, 'n'))->path(), std::string(107, 'n'));
}

TEST(SockAddr, NeverCutsALongerPath) {
    for (const std::string& path :
         {"/" + std::string(107, 'p'), "@" + std::string(108, 'n'), std::string(5000, 'p')}) {
        const auto made = SockAddr::unix_path(path);
        CHECK(!made && made.error() == std::errc::filename_too_long);
        STRCMP_CONTAINS("at most 107 fit", made.error().context().c_str());
        CHECK(SockAddr::parse("unix:" + path).error() == std::errc::filename_too_long);
    }
}

TEST(SockAddr, FilesNamesEndInAZeroForTheKernel) {
    const SockAddr address = SockAddr::unix_path("/a").value();
    LONGS_EQUAL(kPathOffset + 3, address.size());
    const auto* un = reinterpret_cast<const sockaddr_un*>(address.data());
    STRCMP_EQUAL("/a", un->sun_path);
}

TEST(SockAddr, AnAbstractNameBeginsWithAZeroForTheKernel) {
    const SockAddr address = SockAddr::unix_path("@ab").value();
    LONGS_EQUAL(kPathOffset + 3, address.size());
    const auto* un = reinterpret_cast<const sockaddr_un*>(address.data());
    MEMCMP_EQUAL("\0ab", un->sun_path, 3);
}

TEST(SockAddr, ReadsWhatTheKernelSays) {
    for (const SockAddr& address :
         {SockAddr::loopback(80), addr("[fe80::1%2]:81"), addr("unix:/x"), addr("unix:@x")})
        CHECK_EQUAL(address, SockAddr::from_sockaddr(address.data(), address.size()));
}

TEST(SockAddr, ReadsWhatTheKernelSaysOfAnUnnamedSocket) {
    const SockAddr unnamed = from_kernel("");
    CHECK(unnamed.is_unix() && !unnamed.is_abstract());
    CHECK_EQUAL("", unnamed.path());
    CHECK_EQUAL("unix:", unnamed.to_string());
}

TEST(SockAddr, AFilesNameEndsAtItsZeroWhateverTheSize) {
    CHECK_EQUAL(addr("unix:/x"), from_kernel("/x"sv));
    CHECK_EQUAL(addr("unix:/x"), from_kernel("/x\0"sv));
    CHECK_EQUAL(addr("unix:/x"), from_kernel("/x\0rubbish"sv));
}

TEST(SockAddr, ReadsAFilesNameThatFillsSunPath) {
    const std::string path(108, 'p');
    CHECK_EQUAL(path, from_kernel(path).path());
    // What Linux returns for it: one byte longer than sockaddr_un.
    CHECK_EQUAL(path, from_kernel(path + '\0').path());
    LONGS_EQUAL(sizeof(sockaddr_un), from_kernel(path + '\0').size());
}

TEST(SockAddr, ZerosAreSignificantInAnAbstractName) {
    CHECK(from_kernel("\0a"sv) != from_kernel("\0a\0"sv));
    CHECK_EQUAL("unix:@a\\x00", from_kernel("\0a\0"sv).to_string());
}

TEST(SockAddr, IsNoneForWhatItDoesNotKnow) {
    sockaddr_nl netlink = {};
    netlink.nl_family = AF_NETLINK;
    CHECK(SockAddr::from_sockaddr(reinterpret_cast<const sockaddr*>(&netlink), sizeof netlink).is_none());
    CHECK(SockAddr::from_sockaddr(nullptr, 0).is_none());
    const SockAddr good = SockAddr::loopback(1);
    CHECK(SockAddr::from_sockaddr(good.data(), 0).is_none());
    CHECK(SockAddr::from_sockaddr(good.data(), 1).is_none());
    CHECK(SockAddr::from_sockaddr(good.data(), good.size() - 1).is_none());
    const SockAddr good6 = SockAddr::loopback6(1);
    CHECK(SockAddr::from_sockaddr(good6.data(), sizeof(sockaddr_in)).is_none());
}

TEST(SockAddr, WhatTheKernelLeavesBehindAnAddressMakesNoDifference) {
    sockaddr_in raw;
    std::memset(&raw, 0xff, sizeof raw);
    raw.sin_family = AF_INET;
    raw.sin_port = htons(80);
    raw.sin_addr = IpAddress::loopback().v4();
    CHECK_EQUAL(SockAddr::loopback(80),
                SockAddr::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), sizeof raw));
}

TEST(SockAddr, TakesItselfApart) {
    CHECK_EQUAL(IpAddress::loopback(), SockAddr::loopback(80).ip());
    LONGS_EQUAL(80, SockAddr::loopback(80).port());
    CHECK_EQUAL(IpAddress::parse("fe80::1%2").value(), addr("[fe80::1%2]:81").ip());
    LONGS_EQUAL(81, addr("[fe80::1%2]:81").port());
    LONGS_EQUAL(0, addr("unix:@x").port());
    LONGS_EQUAL(AF_INET6, SockAddr::any6(1).family());
}

TEST(SockAddr, TheWrongQuestionAborts) {
    STRCMP_CONTAINS("SockAddr::ip()", abort_message([] { (void)addr("unix:@x").ip(); }).c_str());
    STRCMP_CONTAINS("SockAddr::path()", abort_message([] { (void)SockAddr::any(1).path(); }).c_str());
}

TEST(SockAddr, IsAKey) {
    const std::unordered_set<SockAddr> seen = {SockAddr::any(1), SockAddr::any(2), SockAddr::any(1),
                                               addr("unix:@x")};
    LONGS_EQUAL(3, seen.size());
    const std::set<SockAddr> sorted(seen.begin(), seen.end());
    LONGS_EQUAL(3, sorted.size());
    CHECK(sorted.contains(SockAddr::any(2)));
}

TEST(SockAddr, IsCopiedAsBytes) {
    CHECK(std::is_trivially_copyable_v<SockAddr>);
    CHECK(sizeof(SockAddr) <= 116);
}

TEST(SockAddr, SaysWhereADescriptorIsBoundAndWhomItIsConnectedTo) {
    const SocketPair pair = tcp_pair();
    CHECK_EQUAL(SockAddr::local_of(pair.near.get()).value(), SockAddr::peer_of(pair.far.get()).value());
    CHECK_EQUAL(SockAddr::local_of(pair.far.get()).value(), SockAddr::peer_of(pair.near.get()).value());
    CHECK_EQUAL(IpAddress::loopback(), SockAddr::local_of(pair.near.get())->ip());
}

TEST(SockAddr, SaysThatAPairIsUnnamed) {
    const SocketPair pair = unix_pair();
    CHECK_EQUAL("unix:", SockAddr::peer_of(pair.near.get())->to_string());
}

TEST(SockAddr, ReadsBackABoundPathThatFillsSunPath) {
    const TempDir folder;
    const std::string path = folder.file(std::string(108 - folder.path().size() - 1, 'p'));
    LONGS_EQUAL(108, path.size());
    const UniqueFd fd = socket_stream(AF_UNIX).value();
    const SockAddr address = from_kernel(path);
    LONGS_EQUAL(0, ::bind(fd.get(), address.data(), address.size()));
    CHECK_EQUAL(path, SockAddr::local_of(fd.get())->path());
}

TEST(SockAddr, OfAClosedDescriptorIsAnError) {
    const auto local = SockAddr::local_of(-1);
    CHECK(!local && local.error() == std::errc::bad_file_descriptor);
    STRCMP_EQUAL("getsockname", local.error().context().c_str());
    STRCMP_EQUAL("getpeername", SockAddr::peer_of(-1).error().context().c_str());
}

TEST(SockAddr, OfAnUnconnectedSocketThereIsNoPeer) {
    const UniqueFd fd = socket_stream(AF_INET).value();
    CHECK(SockAddr::peer_of(fd.get()).error() == std::errc::not_connected);
}

TEST(SockAddr, OfAnUnknownFamilyIsAnError) {
    const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
    CHECK(SockAddr::local_of(fd.get()).error() == std::errc::address_family_not_supported);
}
