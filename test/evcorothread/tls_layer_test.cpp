#include "evcorothread/tls_layer.h"

#include <optional>
#include <string_view>
#include <utility>

#include "test/evcorothread/tls_fixture.h"

using namespace test_support;

namespace {

// A peer that has sent this, and takes everything.
struct Said final : TlsTransport {
    explicit Said(std::string_view text) : rest(text) {}
    IoResult try_recv(std::span<char> buffer) override {
        if (rest.empty()) return {0, NetError::would_block};
        const std::size_t size = rest.copy(buffer.data(), buffer.size());
        rest.remove_prefix(size);
        return {size, {}};
    }
    IoResult try_send(std::string_view data) override { return {data.size(), {}}; }
    std::string_view rest;
};

}  // namespace

TEST_GROUP_BASE(TlsLayer, TlsFixture) { LogCapture log; };

TEST(TlsLayer, ItsContextMayGoBefore) {
    Said peer("GET / HTTP/1.1\r\n\r\n");
    std::optional<TlsContext> context = TlsContext::server(server_options).value();
    TlsLayer layer = TlsLayer::accept(peer, *context).value();
    context.reset();
    CHECK(layer.shake_hands() == TlsError::plain_text);
    layer.report_plain_text("somebody");
    STRCMP_CONTAINS("somebody spoke plain HTTP to a TLS port", log.text().c_str());
}

TEST(TlsLayer, OfNoConnectionIsClosed) {
    Said peer("");
    const TlsContext context = TlsContext::server(server_options).value();
    TlsLayer none = TlsLayer::accept(peer, context).value();
    const TlsLayer taken = std::move(none);
    CHECK(!none);
    char buffer[8];
    CHECK_EQUAL(NetError::closed, none.shake_hands());
    CHECK(none.try_recv(buffer).closed());
    CHECK(none.try_send("x").closed());
    CHECK_EQUAL(NetError::closed, none.flush());
    CHECK(!none.has_pending() && !none.wants_room());
    none.say_goodbye();
    none.report_plain_text("nobody");
    CHECK_EQUAL("", none.info().protocol);
    CHECK_EQUAL("", log.text());
}
