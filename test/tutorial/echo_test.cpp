// The echo servers of tutorial/echo, in C and in C++, serve real clients.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "test/tutorial/program.h"

using tutorial_test::Program;

namespace {

constexpr std::size_t kStacks = 100;

class Client {
  public:
    explicit Client(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            FAIL("cannot connect");
    }
    void write(const std::string& text) const {
        CHECK_EQUAL(text.size(), ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL));
    }
    // As many bytes as come, at most `size`, while there is patience.
    [[nodiscard]] std::string read(std::size_t size) const {
        std::string text;
        char buffer[8192];
        while (text.size() < size && tutorial_test::wait_for(fd_.get(), POLLIN)) {
            const ssize_t got = ::recv(fd_.get(), buffer, std::min(sizeof buffer, size - text.size()), 0);
            if (got <= 0) break;
            text.append(buffer, static_cast<std::size_t>(got));
        }
        return text;
    }
    [[nodiscard]] bool has_answer_within(std::chrono::milliseconds time) const {
        return tutorial_test::wait_for(fd_.get(), POLLIN, tutorial_test::Clock::now() + time);
    }
    void end() const { ::shutdown(fd_.get(), SHUT_WR); }

  private:
    nutils::UniqueFd fd_;
};

int port_in(const std::string& line) {
    const std::string said = "listening at 127.0.0.1:";
    CHECK_EQUAL(said, line.substr(0, said.size()));
    const int port = std::atoi(line.substr(said.size()).c_str());
    CHECK(port > 0);
    return port;
}

void echoes(const char* path) {
    Program server(path, {"0"});
    const int port = port_in(server.read_line());
    const Client client(port);
    for (const std::string& text : {std::string("hello"), std::string(3, '\0'), std::string(40000, 'x')}) {
        client.write(text);
        CHECK_EQUAL(text, client.read(text.size()));
    }
    client.end();
    CHECK_EQUAL("", client.read(1));  // the server closes, too
    const Client next(port);
    next.write("again");
    CHECK_EQUAL("again", next.read(5));
}

// As many as there are stacks are served at once; the next one waits until one of them goes.
void waits_for_a_stack(const char* path) {
    Program server(path, {"0"});
    const int port = port_in(server.read_line());
    std::vector<std::unique_ptr<Client>> served;
    for (std::size_t i = 0; i < kStacks; ++i) {
        served.push_back(std::make_unique<Client>(port));
        served.back()->write("x");
        CHECK_EQUAL("x", served.back()->read(1));
    }
    const Client waiting(port);
    waiting.write("y");
    CHECK_FALSE(waiting.has_answer_within(std::chrono::milliseconds(30)));
    served.erase(served.begin());
    CHECK_EQUAL("y", waiting.read(1));
    served.back()->write("z");
    CHECK_EQUAL("z", served.back()->read(1));
}

void refuses_a_port_that_is_none(const char* path) {
    Program server(path, {"65536"});
    STRCMP_CONTAINS("usage:", server.read_errors().c_str());
    CHECK_EQUAL(2, server.wait());
}

void says_that_the_port_is_taken(const char* path) {
    Program first(path, {"0"});
    const int port = port_in(first.read_line());
    Program second(path, {std::to_string(port)});
    STRCMP_CONTAINS("Address already in use", second.read_errors().c_str());
    CHECK_EQUAL(1, second.wait());
}

}  // namespace

TEST_GROUP_BASE(TutorialEcho, test_support::Fixture){};

TEST(TutorialEcho, InCEchoes) { echoes("echo/echo_c"); }
TEST(TutorialEcho, InCxxEchoes) { echoes("echo/echo"); }
TEST(TutorialEcho, InCWaitsForAStack) { waits_for_a_stack("echo/echo_c"); }
TEST(TutorialEcho, InCxxWaitsForAStack) { waits_for_a_stack("echo/echo"); }
TEST(TutorialEcho, InCRefusesAPortThatIsNone) { refuses_a_port_that_is_none("echo/echo_c"); }
TEST(TutorialEcho, InCxxRefusesAPortThatIsNone) { refuses_a_port_that_is_none("echo/echo"); }
TEST(TutorialEcho, InCSaysThatThePortIsTaken) { says_that_the_port_is_taken("echo/echo_c"); }
TEST(TutorialEcho, InCxxSaysThatThePortIsTaken) { says_that_the_port_is_taken("echo/echo"); }
