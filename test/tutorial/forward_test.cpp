// tutorial/forward carries bytes both ways, and each end by itself.
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>

#include "test/tutorial/peer.h"

using tutorial_test::Host;
using tutorial_test::Peer;
using tutorial_test::Program;

TEST_GROUP_BASE(TutorialForward, test_support::Fixture) {
    std::optional<Host> host{std::in_place};
    std::string place = std::string("localhost:").append(std::to_string(host->port()));

    static int port_of(Program & forward) {
        const std::string line = forward.read_line();
        STRCMP_CONTAINS("listening at 127.0.0.1:", line.c_str());
        return std::atoi(line.substr(line.rfind(':') + 1).c_str());
    }
};

TEST(TutorialForward, CarriesBothWaysAndAnEndDoesNotEndTheOther) {
    Program forward("forward/forward", {"0", place});
    const Peer client(port_of(forward));
    std::optional<Peer> server(host->accept());
    const std::string question(100000, 'q'), answer(100000, 'a');
    client.write(question);
    client.end();
    CHECK_EQUAL(question, server->read(question.size()));
    CHECK_EQUAL("", server->read(1));  // the client's end has come through
    server->write(answer);
    CHECK_EQUAL(answer, client.read(answer.size()));
    server.reset();
    CHECK_EQUAL("", client.read(1));
}

TEST(TutorialForward, ServesSeveralAtOnce) {
    Program forward("forward/forward", {"0", place});
    const int port = port_of(forward);
    const Peer one(port);
    const Peer one_served = host->accept();
    const Peer two(port);
    const Peer two_served = host->accept();
    two.write("two");
    CHECK_EQUAL("two", two_served.read(3));
    one_served.write("one");
    CHECK_EQUAL("one", one.read(3));
}

TEST(TutorialForward, OfAServerThatIsNotThereSaysSoAndClosesTheClient) {
    host.reset();
    Program forward("forward/forward", {"0", place});
    const Peer client(port_of(forward));
    CHECK_EQUAL("", client.read(1));
    ::kill(forward.pid(), SIGTERM);
    STRCMP_CONTAINS("nobody listens there: is the server running?", forward.read_errors().c_str());
    CHECK_EQUAL(0, forward.wait());
}

TEST(TutorialForward, EndsWhenAskedToWithClientsConnected) {
    Program forward("forward/forward", {"0", place});
    const Peer client(port_of(forward));
    const Peer server = host->accept();
    ::kill(forward.pid(), SIGTERM);
    CHECK_EQUAL(0, forward.wait());
}

TEST(TutorialForward, SaysHowItIsUsed) {
    Program forward("forward/forward", {"65536", place});
    STRCMP_CONTAINS("usage:", forward.read_errors().c_str());
    CHECK_EQUAL(2, forward.wait());
}
