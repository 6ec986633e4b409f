// The table in docs/stack-size.md is true for TLS, too.
#include <string>

#include "test/evcorothread/tls_fixture.h"
#include "test/support/stack_table.h"

using namespace test_support;

TEST_GROUP_BASE(TlsStackNeeds, TlsFixture){
    void check(const std::string& what, const std::string& coroutine){double needed = 0;
for (const StackUse& use : loop.stack_use())
    if (use.name == coroutine) needed = static_cast<double>(use.deepest) / 1024;
const double documented = documented_kib(what);
const std::string text =
    what + ": documented " + std::to_string(documented) + " KiB, measured " + std::to_string(needed);
CHECK_TEXT(needed <= documented, text.c_str());
CHECK_TEXT(needed >= documented / 3, text.c_str());
}
}
;

TEST(TlsStackNeeds, OfAHandshake) {
#if defined(__OPTIMIZE__)
    if (kSanitized) return;
#else
    return;
#endif
    loop.measure({.stacks = true});
    const Handshake hands = shaken();
    check("TLS handshake, server", "server");
    check("TLS handshake, client", "client");
}
