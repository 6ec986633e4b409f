// A build without TLS says so.
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
    in_coroutine([&] { CHECK(none.send("x", 1s).closed()); });
}
