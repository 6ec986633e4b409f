// tutorial/fetch gets a page from a server, and says what went wrong when it does not.
#include <optional>
#include <string>

#include "test/tutorial/peer.h"

using tutorial_test::Host;
using tutorial_test::Peer;
using tutorial_test::Program;

TEST_GROUP_BASE(TutorialFetch, test_support::Fixture) {
    std::optional<Host> host{std::in_place};
    std::string place = std::string(":").append(std::to_string(host->port()));
};

TEST(TutorialFetch, PrintsThePageAndWhatItWas) {
    Program fetch("fetch/fetch", {"-4", "http://localhost" + place + "/a?b"});
    std::string page(100000, 'p');
    {
        const Peer client = host->accept();
        CHECK_EQUAL("GET /a?b HTTP/1.0\r\nHost: localhost" + place + "\r\n\r\n", client.read_head());
        client.write("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + page);
    }
    CHECK_EQUAL(page, fetch.read_all());
    CHECK_EQUAL("HTTP/1.0 200 OK\n100000 bytes from 127.0.0.1" + place + "\n", fetch.read_errors());
    CHECK_EQUAL(0, fetch.wait());
}

TEST(TutorialFetch, TakesANumericAddressWithoutAPath) {
    Program fetch("fetch/fetch", {"127.0.0.1" + place});
    {
        const Peer client = host->accept();
        STRCMP_CONTAINS("GET / HTTP/1.0\r\n", client.read_head().c_str());
        client.write("HTTP/1.1 404 Not Found\r\n\r\n");
    }
    CHECK_EQUAL("", fetch.read_all());
    STRCMP_CONTAINS("HTTP/1.1 404 Not Found\n0 bytes from", fetch.read_errors().c_str());
    CHECK_EQUAL(0, fetch.wait());
}

TEST(TutorialFetch, OfAServerThatIsNotThereSaysSo) {
    host.reset();
    Program fetch("fetch/fetch", {"-4", "localhost" + place});
    STRCMP_CONTAINS("nobody listens there: is the server running?", fetch.read_errors().c_str());
    CHECK_EQUAL(1, fetch.wait());
}

TEST(TutorialFetch, OfANameThatIsNobodysSaysSo) {
    Program fetch("fetch/fetch", {"nobody.invalid", "5"});
    STRCMP_CONTAINS("looking up nobody.invalid (", fetch.read_errors().c_str());
    CHECK_EQUAL(1, fetch.wait());
}

TEST(TutorialFetch, OfASilentServerGivesUpInTime) {
    Program fetch("fetch/fetch", {"127.0.0.1" + place, "1"});
    const Peer silent = host->accept();
    STRCMP_CONTAINS("waiting for an answer: deadline passed", fetch.read_errors().c_str());
    CHECK_EQUAL(1, fetch.wait());
}

TEST(TutorialFetch, OfSomethingElseThanAWebServerSaysSo) {
    Program fetch("fetch/fetch", {"127.0.0.1" + place});
    const Peer odd = host->accept();
    odd.write("220 mail.example\r\n\r\n");
    STRCMP_CONTAINS("no answer of a web server", fetch.read_errors().c_str());
    CHECK_EQUAL(1, fetch.wait());
}

TEST(TutorialFetch, SaysHowItIsUsed) {
    for (const char* wrong : {"", "https://example.org/", "/path"}) {
        Program fetch("fetch/fetch", {wrong});
        STRCMP_CONTAINS("usage:", fetch.read_errors().c_str());
        CHECK_EQUAL(2, fetch.wait());
    }
}
