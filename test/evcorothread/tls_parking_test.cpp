// TLS connections that are parked between requests: no coroutine, no stack.
#include <memory>

#include "evcorothread/ev_parking.h"
#include "evcorothread/ev_thread.h"
#include "test/evcorothread/tls_fixture.h"

using namespace test_support;

namespace {

// Gives back what it receives, parked between two requests. Shakes hands when the first byte has come: a
// silent client holds no stack.
class Guest final : public EvParking::Guest {
  public:
    Guest(EvSocket socket, const TlsContext& context)
        : EvParking::Guest(std::move(socket)), context_(context) {}

    int served = 0;

  private:
    EvParking::Next serve() override {
        ++served;
        if (!tls_.is_open()) {
            auto made = TlsSocket::accept_on(socket(), context_, 5s);
            if (!made) return EvParking::Next::close();
            tls_ = *std::move(made);
        }
        char buffer[64];
        while (tls_.may_recv()) {
            const IoResult got = tls_.try_recv(buffer);
            if (got.would_block()) break;
            if (!got || !tls_.send_all({buffer, got.bytes}, 3s)) return EvParking::Next::close();
        }
        return EvParking::Next::park(30s);
    }

    const TlsContext& context_;
    TlsSocket tls_;
};

}  // namespace

TEST_GROUP_BASE(TlsParking, TlsFixture) {
    TlsContext server = TlsContext::server(server_options).value();
    TlsContext client_context = TlsContext::client(client_options).value();
    EvParking parking{loop};
    SocketPair pair = unix_pair();
    EvSocket plain{loop, std::move(pair.far)};
    Guest* guest = nullptr;

    void setup() override {
        auto owned = std::make_unique<Guest>(EvSocket(loop, std::move(pair.near)), server);
        guest = owned.get();
        CHECK(!parking.adopt(std::move(owned), 30s));
    }
    // As a client of it; the guest is let go at the end.
    template <class F>
    void as_client(F f) {
        in_coroutine([&] {
            TlsSocket client = TlsSocket::connect(std::move(plain), client_context, "localhost", 5s).value();
            f(client);
            (void)client.close(5s);
        });
        CHECK_EQUAL(0, parking.size());
    }
};

TEST(TlsParking, ParksWhileNothingComes) {
    as_client([&](TlsSocket& client) {
        for (int i = 0; i < 3; ++i) {
            CHECK(client.send_all("ping", 1s));
            CHECK_EQUAL("ping", received(client, 1s));
            CHECK(!this_evthread::delay(10s));
            CHECK_EQUAL(1, parking.parked());
            CHECK_EQUAL(1, stacks.in_use());  // this one
        }
    });
}

TEST(TlsParking, RecordsThatCameTogetherAreServedTogether) {
    as_client([&](TlsSocket& client) {
        CHECK(client.send_all("one", 1s));
        CHECK_EQUAL("one", received(client, 1s));
        CHECK(!this_evthread::delay(1s));
        const int before = guest->served;
        for (const char* const text : {"two ", "three ", "four"}) CHECK(client.send_all(text, 1s));
        std::string text(14, '\0');
        CHECK(client.recv_exact(text, 10s));
        CHECK_EQUAL("two three four", text);
        CHECK_EQUAL(before + 1, guest->served);
    });
}

TEST(TlsParking, ATicketOrAKeyUpdateIsNoRequest) {
    as_client([&](TlsSocket& client) {
        CHECK(client.send_all("x", 1s));
        CHECK_EQUAL("x", received(client, 1s));
        CHECK(!this_evthread::delay(1s));
        CHECK_EQUAL(1, parking.parked());
    });
}

TEST(TlsParking, ASilentClientHoldsNoStack) {
    run_ready();
    CHECK_EQUAL(1, parking.parked());
    CHECK_EQUAL(0, stacks.in_use());
    advance(31s);
    CHECK_EQUAL(0, parking.size());
}
