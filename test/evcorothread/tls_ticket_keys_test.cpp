// Keys for tickets are renewed as they age, and open what they have sealed for as long as that lives.
#include "evcorothread/tls_ticket_keys_internal.h"

#include "test/support/harness.h"

using namespace evcorothread;
using namespace std::chrono_literals;

TEST_GROUP_BASE(TlsTicketKeys, test_support::Fixture) {
    TlsTicketKeys keys{2h};
    TlsTicketKeys::Clock::time_point now{1000h};
    TlsTicketKeys::Key key;
    TlsTicketKeys::Key found;
    bool latest = false;

    void setup() override { CHECK(keys.current(key, now)); }
};

TEST(TlsTicketKeys, AreTheSameForATime) {
    CHECK(keys.current(found, now + 119min));
    CHECK(key.name == found.name && key.cipher == found.cipher && key.mac == found.mac);
}

TEST(TlsTicketKeys, AreRenewedAfterIt) {
    CHECK(keys.current(found, now + 2h));
    CHECK(key.name != found.name && key.cipher != found.cipher && key.mac != found.mac);
}

TEST(TlsTicketKeys, OpenWhatTheySealed) {
    CHECK(keys.find(key.name.data(), found, latest, now));
    CHECK(key.cipher == found.cipher);
    CHECK(latest);
}

TEST(TlsTicketKeys, OpenForAsLongAgain) {
    TlsTicketKeys::Key next;
    CHECK(keys.current(next, now + 2h));
    CHECK(keys.find(key.name.data(), found, latest, now + 239min));
    CHECK(key.cipher == found.cipher);
    CHECK(!latest);
    CHECK(!keys.find(key.name.data(), found, latest, now + 4h));
    CHECK(keys.find(next.name.data(), found, latest, now + 3h));
    CHECK(latest);
}

TEST(TlsTicketKeys, OpenForAsLongEvenWhenNothingIsSealedMeanwhile) {
    CHECK(keys.find(key.name.data(), found, latest, now + 3h));
    CHECK(!latest);
    CHECK(!keys.find(key.name.data(), found, latest, now + 4h));
}

TEST(TlsTicketKeys, DoNotKnowOthers) {
    TlsTicketKeys others{2h};
    TlsTicketKeys::Key other;
    CHECK(others.current(other, now));
    CHECK(!keys.find(other.name.data(), found, latest, now));
}
