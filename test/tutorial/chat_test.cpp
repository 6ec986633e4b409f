// The chat server of tutorial/chat, over real sockets.
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "test/tutorial/peer.h"
#include "test/tutorial/program.h"

using tutorial_test::Clock;
using tutorial_test::Peer;
using tutorial_test::Program;

namespace {

// Owner: a test. The server ends with it, if it has not before.
class Server {
  public:
    Server() : program_("chat/chat", {"127.0.0.1:0", "1"}) {
        const std::string line = program_.read_line();
        STRCMP_CONTAINS("chat: listening on 127.0.0.1:", line.c_str());
        port_ = std::atoi(line.c_str() + line.rfind(':') + 1);
    }
    [[nodiscard]] int port() const { return port_; }
    Program& program() { return program_; }
    void has_ended() {
        CHECK_EQUAL(0, program_.wait());
        CHECK_EQUAL("", program_.read_errors());
    }

  private:
    Program program_;
    int port_ = 0;
};

class Client : public Peer {
  public:
    explicit Client(const Server& server) : Peer(server.port()) {}
    // One who is in the room: who is there already has heard so.
    Client(const Server& server, const std::string& name) : Client(server) {
        hears("Your name?");
        write(name + "\n");
        hears("* " + name + " has joined");
    }
    [[nodiscard]] std::string line() const {
        std::string text;
        for (std::string byte; (byte = read(1)) == "\n" ? false : !byte.empty();) text += byte;
        return text;
    }
    void hears(const std::string& expected) const { CHECK_EQUAL(expected, line()); }
    void hears_the_end() const { CHECK_EQUAL("", read(1)); }
};

}  // namespace

TEST_GROUP(TutorialChat){};

TEST(TutorialChat, EverybodyHearsWhatIsSaidTheSpeakerToo) {
    Server server;
    const Client ann(server, "ann");
    const Client bob(server, "bob");
    ann.hears("* bob has joined");
    bob.write("hello\n");
    ann.hears("bob: hello");
    bob.hears("bob: hello");
}

TEST(TutorialChat, ANameThatIsTakenIsAskedForAgain) {
    Server server;
    const Client ann(server, "ann");
    const Client second(server);
    second.hears("Your name?");
    for (const char* wrong : {"ann\n", "\n", "a name that is much too long\n"}) {
        second.write(wrong);
        second.hears("That name is taken, or none. Another?");
    }
    second.write("bob\n");
    second.hears("* bob has joined");
}

TEST(TutorialChat, WhoLeavesIsToldOfAndTheNameIsFreeAgain) {
    Server server;
    const Client ann(server, "ann");
    {
        const Client bob(server, "bob");
        ann.hears("* bob has joined");
    }
    ann.hears("* bob has left");
    const Client bob(server, "bob");
    ann.hears("* bob has joined");
}

TEST(TutorialChat, TellsWhoIsThere) {
    Server server;
    const Client ann(server, "ann");
    const Client bob(server, "bob");
    bob.write("/who\n");
    bob.hears("* here: ann bob");
    ann.hears("* bob has joined");
    ann.hears("* here: ann bob");
}

TEST(TutorialChat, ALineInPiecesIsOneLine) {
    Server server;
    const Client ann(server, "ann");
    for (const char* piece : {"on", "e li", "ne\r", "\n"}) ann.write(piece);
    ann.hears("ann: one line");
}

TEST(TutorialChat, ShowsNoEscapeSequences) {
    Server server;
    const Client ann(server, "ann");
    ann.write("\x1b[2J\x7f\n");
    ann.hears("ann: ?[2J?");
}

TEST(TutorialChat, ALineWithoutAnEndEndsTheConversation) {
    Server server;
    const Client ann(server, "ann");
    const Client bob(server, "bob");
    bob.write(std::string(2000, 'x'));
    ann.hears("* bob has joined");
    ann.hears("* bob has left");
}

TEST(TutorialChat, AThousandLinesAtOnceDropNobodyWhoReads) {
    Server server;
    const Client ann(server, "ann");
    const Client bob(server, "bob");
    ann.hears("* bob has joined");
    std::string lines;
    for (int i = 0; i < 1000; ++i) lines += std::to_string(i) + "\n";
    bob.write(lines);
    for (int i = 0; i < 1000; ++i) ann.hears("bob: " + std::to_string(i));
}

TEST(TutorialChat, WhoDoesNotReadIsDroppedAndTheOthersGoOn) {
    Server server;
    const Client slow(server, "slow");
    const Client ann(server, "ann");
    // More than the kernel's buffers hold for one who does not read: 900 bytes a line, which ann reads.
    const std::string text(900, 'x');
    std::string heard;
    for (int i = 0; i < 20'000 && heard != "* slow has left"; ++i) {
        ann.write(text + "\n");
        heard = ann.line();
        if (heard == "* slow has left") break;
        CHECK_EQUAL("ann: " + text, heard);
    }
    if (heard != "* slow has left") ann.hears("* slow has left");
    CHECK_EQUAL("chat: slow is too slow", server.program().read_error_line());
    ann.write("/who\n");
    for (heard = ann.line(); heard == "ann: " + text;) heard = ann.line();
    CHECK_EQUAL("* here: ann", heard);
}

TEST(TutorialChat, EndsGracefullyWhenAskedTo) {
    for (const int signal : {SIGTERM, SIGINT}) {
        Server server;
        auto ann = std::make_unique<Client>(server, "ann");
        ::kill(server.program().pid(), signal);
        ann->hears("* the server ends");
        ann->hears_the_end();
        ann.reset();
        server.has_ended();
    }
}

TEST(TutorialChat, EndsAlthoughAClientHasNoNameYet) {
    Server server;
    const Client nobody(server);
    nobody.hears("Your name?");
    ::kill(server.program().pid(), SIGTERM);
    const auto begin = Clock::now();
    server.has_ended();
    CHECK(Clock::now() - begin < std::chrono::seconds(10));
}

TEST(TutorialChat, RefusesWhatIsNoAddressOrTime) {
    for (const std::vector<std::string>& wrong :
         {std::vector<std::string>{"nowhere"}, {"127.0.0.1:0", "0"}}) {
        Program program("chat/chat", wrong);
        STRCMP_CONTAINS("usage:", program.read_errors().c_str());
        CHECK_EQUAL(2, program.wait());
    }
}
