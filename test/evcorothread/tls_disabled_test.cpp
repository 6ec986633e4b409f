// A build without TLS says so.
#include <cerrno>

#include "evcorothread/evthread_tls.h"
#include "evcorothread/tls_socket.h"
#include "test/evcorothread/loop_fixture.h"

using namespace test_support;

TEST_GROUP_BASE(TlsDisabled, LoopFixture){};

TEST(TlsDisabled, SaysThatThereIsNone) {
    const auto server = TlsContext::server({.certificates = {{"chain.pem", "key.pem"}}});
    CHECK(!server);
    CHECK(server.error() == std::errc::function_not_supported);
    STRCMP_CONTAINS("built without TLS", server.error().message().c_str());
    CHECK(!TlsContext::client());
}

TEST(TlsDisabled, SocketsAreClosed) {
    TlsSocket none;
    CHECK(none.try_flush() == NetError::closed);
    in_coroutine([&] {
        CHECK(none.send("x", 1s).closed());
        CHECK(none.finish_send(1s).closed());
    });
}

TEST(TlsDisabled, SaysSoInC) {
    EVTLS_OPTIONS options = {};
    EVTLS_ERROR why = {};
    options.certificate_file = "chain.pem";
    options.key_file = "key.pem";
    CHECK_EQUAL(0, EVTLS_is_available());
    errno = 0;
    CHECK(EVTLSCONTEXT_server(&options, &why) == nullptr);
    CHECK_EQUAL(ENOSYS, errno);
    STRCMP_CONTAINS("built without TLS", why.text);
    errno = 0;
    CHECK(EVTLSCONTEXT_client(nullptr, nullptr) == nullptr);
    CHECK_EQUAL(ENOSYS, errno);
}
