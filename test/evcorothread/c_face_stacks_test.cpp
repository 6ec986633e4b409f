// The C face: stacks and addresses.
#include <arpa/inet.h>

#include <cstring>
#include <string>

#include "test/evcorothread/c_face_fixture.h"

namespace {

std::string text_of(const IPADDRESS& address) {
    char text[64];
    return IPADDRESS_to_string(&address, text, sizeof text) >= 0 ? text : strerror(errno);
}
std::string text_of(const SOCKADDR& address) {
    char text[512];
    return SOCKADDR_to_string(&address, text, sizeof text) >= 0 ? text : strerror(errno);
}

}  // namespace

TEST_GROUP_BASE(CFaceStacks, test_support::Fixture){};

TEST(CFaceStacks, LibinitHasNothingToDo) { CHECK_EQUAL(0, CTHREAD_libinit()); }

TEST(CFaceStacks, AreMadeAndDestroyed) {
    STACKS stacks;
    CHECK_EQUAL(0, STACKS_init(&stacks, 100, 5));
    CHECK_EQUAL(0, STACKS_in_use(&stacks));
    CHECK_EQUAL(0, STACKS_destroy(&stacks));
}

TEST(CFaceStacks, CanBePreparedOnDemand) {
    STACKS stacks;
    CHECK_EQUAL(0, STACKS_init_on_demand(&stacks, 100000, 5));
    EVLOOP* const loop = EVLOOP_init(&stacks);
    bool ran = false;
    EVTHREAD_start(
        EVTHREAD_init(
            loop, [](EVTHREAD*, EVSOCKET*, void* flag) { *static_cast<bool*>(flag) = true; }, &ran),
        nullptr);
    CHECK_EQUAL(0, EVLOOP_run(loop));
    CHECK(ran);
    CHECK_EQUAL(0, EVLOOP_free(loop));
    CHECK_EQUAL(0, STACKS_destroy(&stacks));
}

TEST(CFaceStacks, RefuseNonsense) {
    STACKS stacks;
    CHECK_FAILS(EINVAL, STACKS_init(nullptr, 1, 1));
    CHECK_FAILS(EINVAL, STACKS_init(&stacks, 0, 1));
    CHECK_FAILS(EINVAL, STACKS_init(&stacks, -1, 1));
    CHECK_FAILS(EINVAL, STACKS_init(&stacks, 1, 0));
    CHECK_FAILS(EINVAL, STACKS_init(&stacks, 1, -5));
    CHECK_FAILS(EINVAL, STACKS_init_on_demand(nullptr, 1, 1));
    CHECK_FAILS(EINVAL, STACKS_init_on_demand(&stacks, -1, 1));
    CHECK_FAILS(EINVAL, STACKS_in_use(nullptr));
    CHECK_FAILS(EINVAL, STACKS_destroy(nullptr));
}

TEST(CFaceStacks, ThatCouldNotBeMadeAreNotUsed) {
    STACKS stacks;
    CHECK_FAILS(ENOMEM, STACKS_init(&stacks, 1 << 20, 1 << 20));
    CHECK_FAILS(EINVAL, STACKS_in_use(&stacks));
    CHECK_FAILS_NULL(EINVAL, EVLOOP_init(&stacks));
    CHECK_FAILS(EINVAL, STACKS_destroy(&stacks));
}

TEST(CFaceStacks, AreDestroyedOnce) {
    STACKS stacks;
    CHECK_EQUAL(0, STACKS_init(&stacks, 1, 5));
    CHECK_EQUAL(0, STACKS_destroy(&stacks));
    CHECK_FAILS(EINVAL, STACKS_destroy(&stacks));
}

TEST(CFaceStacks, AreNotDestroyedUnderALoop) {
    STACKS stacks;
    CHECK_EQUAL(0, STACKS_init(&stacks, 1, 5));
    EVLOOP* const loop = EVLOOP_init(&stacks);
    CHECK_FAILS(EBUSY, STACKS_destroy(&stacks));
    CHECK_EQUAL(0, EVLOOP_free(loop));
    CHECK_EQUAL(0, STACKS_destroy(&stacks));
}

TEST_GROUP_BASE(CFaceAddress, test_support::Fixture) {
    IPADDRESS address{};
    SOCKADDR saddr{};
};

TEST(CFaceAddress, AnyAndLoopbackOfBothFamilies) {
    CHECK_EQUAL(0, IPADDRESS_any(&address, AF_INET));
    CHECK_EQUAL("0.0.0.0", text_of(address));
    CHECK_EQUAL(0, IPADDRESS_any(&address, AF_INET6));
    CHECK_EQUAL("::", text_of(address));
    CHECK_EQUAL(0, IPADDRESS_loopback(&address, AF_INET));
    CHECK_EQUAL("127.0.0.1", text_of(address));
    CHECK_EQUAL(0, IPADDRESS_loopback(&address, AF_INET6));
    CHECK_EQUAL("::1", text_of(address));
}

TEST(CFaceAddress, OfAnotherFamilyIsRefused) {
    CHECK_FAILS(EINVAL, IPADDRESS_any(&address, AF_UNIX));
    CHECK_FAILS(EINVAL, IPADDRESS_loopback(&address, -1));
    CHECK_FAILS(EINVAL, IPADDRESS_any(nullptr, AF_INET));
    CHECK_FAILS(EINVAL, IPADDRESS_loopback(nullptr, AF_INET6));
    address.family = AF_UNSPEC;
    char text[64];
    CHECK_FAILS(EINVAL, IPADDRESS_to_string(&address, text, sizeof text));
    CHECK_FAILS(EINVAL, SOCKADDR_init(&saddr, &address, 80));
}

TEST(CFaceAddress, IsReadFromText) {
    CHECK_EQUAL(0, IPADDRESS_parse(&address, "192.0.2.7"));
    CHECK_EQUAL("192.0.2.7", text_of(address));
    CHECK_EQUAL(0, IPADDRESS_parse(&address, "fe80::1%1"));
    CHECK_EQUAL("fe80::1%1", text_of(address));
    CHECK_FAILS(EINVAL, IPADDRESS_parse(&address, "localhost"));
    CHECK_FAILS(EINVAL, IPADDRESS_parse(&address, nullptr));
    CHECK_FAILS(EINVAL, IPADDRESS_parse(nullptr, "::1"));
}

TEST(CFaceAddress, SaysWhenItsTextDoesNotFit) {
    char text[16];
    IPADDRESS_loopback(&address, AF_INET);
    CHECK_EQUAL(9, IPADDRESS_to_string(&address, text, 10));
    CHECK_FAILS(ENOSPC, IPADDRESS_to_string(&address, text, 9));
    CHECK_FAILS(ENOSPC, IPADDRESS_to_string(&address, text, 0));
    CHECK_FAILS(EINVAL, IPADDRESS_to_string(&address, nullptr, 10));
    CHECK_FAILS(EINVAL, IPADDRESS_to_string(nullptr, text, 10));
}

TEST(CFaceAddress, WithAPortIsWhatTheKernelTakes) {
    IPADDRESS_loopback(&address, AF_INET);
    CHECK_EQUAL(0, SOCKADDR_init(&saddr, &address, 9999));
    CHECK_EQUAL("127.0.0.1:9999", text_of(saddr));
    CHECK_EQUAL(9999, SOCKADDR_port(&saddr));
    CHECK_EQUAL(sizeof(sockaddr_in), SOCKADDR_length(&saddr));
    CHECK_EQUAL(AF_INET, SOCKADDR_saddr(&saddr)->sa_family);

    IPADDRESS_parse(&address, "fe80::1%1");
    CHECK_EQUAL(0, SOCKADDR_init(&saddr, &address, 65535));
    CHECK_EQUAL("[fe80::1%1]:65535", text_of(saddr));
    CHECK_EQUAL(sizeof(sockaddr_in6), SOCKADDR_length(&saddr));
}

TEST(CFaceAddress, RefusesPortsThatAreNone) {
    IPADDRESS_any(&address, AF_INET);
    CHECK_EQUAL(0, SOCKADDR_init(&saddr, &address, 0));
    CHECK_FAILS(EINVAL, SOCKADDR_init(&saddr, &address, -1));
    CHECK_FAILS(EINVAL, SOCKADDR_init(&saddr, &address, 65536));
    CHECK_FAILS(EINVAL, SOCKADDR_init(nullptr, &address, 80));
    CHECK_FAILS(EINVAL, SOCKADDR_init(&saddr, nullptr, 80));
}

TEST(CFaceAddress, WithAPortIsReadFromText) {
    for (const char* text : {"127.0.0.1:80", "[::1]:443", "unix:/run/x.sock", "unix:@name"}) {
        CHECK_EQUAL(0, SOCKADDR_parse(&saddr, text));
        CHECK_EQUAL(std::string(text), text_of(saddr));
    }
    CHECK_EQUAL(0, SOCKADDR_port(&saddr));
    CHECK_FAILS(EINVAL, SOCKADDR_parse(&saddr, "127.0.0.1"));
    CHECK_FAILS(ENAMETOOLONG, SOCKADDR_parse(&saddr, ("unix:/" + std::string(107, 'x')).c_str()));
    CHECK_FAILS(EINVAL, SOCKADDR_parse(&saddr, nullptr));
    CHECK_FAILS(EINVAL, SOCKADDR_parse(nullptr, ":80"));
}

TEST(CFaceAddress, ThatIsNoneHasNoTextAndNoPort) {
    char text[64];
    CHECK_FAILS(EINVAL, SOCKADDR_to_string(&saddr, text, sizeof text));
    CHECK_FAILS(EINVAL, SOCKADDR_to_string(nullptr, text, sizeof text));
    CHECK_FAILS(EINVAL, SOCKADDR_port(&saddr));
    CHECK_FAILS(EINVAL, SOCKADDR_port(nullptr));
    SOCKADDR_parse(&saddr, ":80");
    CHECK_FAILS(ENOSPC, SOCKADDR_to_string(&saddr, text, 3));
    CHECK_FAILS(EINVAL, SOCKADDR_to_string(&saddr, nullptr, 64));
}
