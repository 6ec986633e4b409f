// The greet servers of tutorial/greet, step by step, over real sockets.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "test/tutorial/program.h"

using std::chrono::milliseconds;
using tutorial_test::Clock;
using tutorial_test::Program;

namespace {

const std::string kQuestion = "What's your name?\n";
const std::string kTooLong = "That is too long a name for me.\n";
const std::string kTooSlow = "I cannot wait any longer. Bye!\n";

class Client {
  public:
    explicit Client(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const sockaddr_in address = at(port);
        if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            FAIL("cannot connect");
    }
    static bool is_refused(int port) {
        const nutils::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const sockaddr_in address = at(port);
        return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
               errno == ECONNREFUSED;
    }
    // Returns whether all of it went.
    bool write(const std::string& text) const {
        return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
    }
    // As many bytes as come, at most `size`, while there is patience; then " (reset)" if that is what ended
    // it.
    [[nodiscard]] std::string read(std::size_t size) const {
        std::string text;
        char byte = 0;
        while (text.size() < size && tutorial_test::wait_for(fd_.get(), POLLIN)) {
            const ssize_t got = ::recv(fd_.get(), &byte, 1, 0);
            if (got < 0) return text + " (reset)";
            if (got == 0) break;
            text += byte;
        }
        return text;
    }
    // Everything, up to the server's end, and ends, too.
    [[nodiscard]] std::string read_all() const {
        std::string all = read(1'000'000);
        end();
        return all;
    }
    [[nodiscard]] bool is_asked() const { return read(kQuestion.size()) == kQuestion; }
    [[nodiscard]] bool is_greeted_as(const std::string& name) const {
        return write(name + "\n") && read_all() == "Hello, " + name + "!\n";
    }
    [[nodiscard]] bool has_answer_within(milliseconds time) const {
        return tutorial_test::wait_for(fd_.get(), POLLIN, Clock::now() + time);
    }
    void end() const { ::shutdown(fd_.get(), SHUT_WR); }
    void leave() { fd_.reset(); }
    // Gone without a word: the server finds out by an error.
    void reset() {
        const linger at_once = {1, 0};
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        fd_.reset();
    }

  private:
    static sockaddr_in at(int port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }
    nutils::UniqueFd fd_;
};

class Server {
  public:
    explicit Server(const std::string& step, const std::vector<std::string>& more = {})
        : program_("greet/" + step, arguments(more)) {
        const std::string said = "greet: listening on 127.0.0.1:";
        const std::string line = program_.read_line();
        CHECK_EQUAL(said, line.substr(0, said.size()));
        port_ = std::atoi(line.substr(said.size()).c_str());
        CHECK(port_ > 0);
    }
    [[nodiscard]] Client client() const { return Client(port_); }
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] pid_t pid() const { return program_.pid(); }
    void signal(int number) const { ::kill(pid(), number); }
    std::string line() { return program_.read_line(); }
    void has_ended() { CHECK_EQUAL(0, program_.wait()); }
    void ends(int number = SIGTERM) {
        signal(number);
        has_ended();
    }
    void goes_on() const { CHECK(asked_one().is_greeted_as("Zoe")); }

  private:
    [[nodiscard]] Client asked_one() const {
        Client one = client();
        CHECK(one.is_asked());
        return one;
    }
    static std::vector<std::string> arguments(const std::vector<std::string>& more) {
        std::vector<std::string> all{"127.0.0.1:0"};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }
    Program program_;
    int port_ = 0;
};

// What /proc says of it; a zombie is there, too.
std::vector<pid_t> children_of(pid_t pid) {
    const std::string self = std::to_string(pid);
    std::ifstream list("/proc/" + self + "/task/" + self + "/children");
    return {std::istream_iterator<pid_t>(list), {}};
}

template <class Condition>
bool comes_true(Condition&& condition) {
    const auto until = Clock::now() + tutorial_test::kPatience;
    while (!condition() && Clock::now() < until) ::usleep(1000);
    return condition();
}

constexpr const char* kAll[] = {"step1",   "step2",   "step3",   "step4",   "step5",   "step6",   "step7",
                                "step1_c", "step2_c", "step3_c", "step4_c", "step5_c", "step6_c", "step7_c"};
// From this step on.
constexpr const char* kThatTalk[] = {"step2",   "step3",   "step4",   "step5",   "step6",   "step7",
                                     "step2_c", "step3_c", "step4_c", "step5_c", "step6_c", "step7_c"};
constexpr const char* kRobust[] = {"step3",   "step4",   "step5",   "step6",   "step7",
                                   "step3_c", "step4_c", "step5_c", "step6_c", "step7_c"};
constexpr const char* kParallel[] = {"step4",   "step5",   "step6",   "step7",
                                     "step4_c", "step5_c", "step6_c", "step7_c"};
constexpr const char* kWithDeadlines[] = {"step5", "step6", "step7", "step5_c", "step6_c", "step7_c"};
constexpr const char* kOneAtATime[] = {"step2", "step3", "step2_c", "step3_c"};

bool has_workers(const std::string& step) { return step.starts_with("step7"); }

}  // namespace

TEST_GROUP_BASE(TutorialGreet, test_support::Fixture){};

TEST(TutorialGreet, Step1SaysHelloAndHangsUp) {
    for (const char* step : {"step1", "step1_c"}) {
        Server server(step);
        for (int i = 0; i < 3; ++i) CHECK_EQUAL("Hello, whoever you are!\n", server.client().read_all());
        server.ends();
    }
}

TEST(TutorialGreet, FromStep2OnAsksAndGreets) {
    for (const char* step : kThatTalk) {
        Server server(step);
        for (const char* name : {"Bob", "Ann Other"}) {
            const Client client = server.client();
            CHECK(client.is_asked());
            CHECK_FALSE(client.has_answer_within(milliseconds(5)));
            CHECK(client.is_greeted_as(name));
        }
        server.ends();
    }
}

TEST(TutorialGreet, TakesALineEndOfTelnet) {
    for (const char* step : kThatTalk) {
        Server server(step);
        const Client client = server.client();
        CHECK(client.write("Bob\r\n"));
        CHECK_EQUAL(kQuestion + "Hello, Bob!\n", client.read_all());
        server.ends();
    }
}

TEST(TutorialGreet, UntilStep3ServesOneAtATime) {
    for (const char* step : kOneAtATime) {
        Server server(step);
        Client first = server.client();
        CHECK(first.is_asked());
        const Client second = server.client();
        CHECK_FALSE(second.has_answer_within(milliseconds(50)));
        CHECK(first.is_greeted_as("Ann"));
        first.leave();
        CHECK(second.is_asked());
        CHECK(second.is_greeted_as("Bob"));
        server.ends();
    }
}

TEST(TutorialGreet, FromStep3OnTakesANameInPieces) {
    for (const char* step : kRobust) {
        Server server(step);
        const Client client = server.client();
        CHECK(client.is_asked());
        for (const char c : std::string("Ann-Sophie")) {
            CHECK(client.write(std::string(1, c)));
            ::usleep(500);
        }
        CHECK_FALSE(client.has_answer_within(milliseconds(5)));
        CHECK(client.write("\n"));
        CHECK_EQUAL("Hello, Ann-Sophie!\n", client.read_all());
        server.ends();
    }
}

TEST(TutorialGreet, FromStep3OnGreetsByBytesThatAreNoText) {
    const std::string name = std::string("\xff\xc3\x28\x80 \x1b[31m", 10) + std::string("\0x\0", 3);
    for (const char* step : kRobust) {
        Server server(step);
        const Client client = server.client();
        CHECK(client.is_asked());
        CHECK(client.is_greeted_as(name));
        server.ends();
    }
}

TEST(TutorialGreet, FromStep3OnTakesTheEndOfTheStreamForTheEndOfTheName) {
    for (const char* step : kRobust) {
        Server server(step);
        const Client client = server.client();
        CHECK(client.write("Bob"));
        client.end();
        CHECK_EQUAL(kQuestion + "Hello, Bob!\n", client.read_all());
        server.ends();
    }
}

TEST(TutorialGreet, FromStep3OnGreetsThoseWithoutAName) {
    for (const char* step : kRobust) {
        Server server(step);
        const Client client = server.client();
        CHECK(client.write("\n"));
        CHECK_EQUAL(kQuestion + "Hello, stranger!\n", client.read_all());
        server.ends();
    }
}

TEST(TutorialGreet, FromStep3OnTellsThoseWithTooLongANameSo) {
    for (const char* step : kRobust) {
        Server server(step);
        Client longest = server.client();
        CHECK(longest.is_asked());
        CHECK(longest.is_greeted_as(std::string(255, 'x')));
        longest.leave();
        for (const std::size_t size : {256UL, 257UL, 3000UL, 1'000'000UL}) {
            const Client client = server.client();
            CHECK(client.write(std::string(size, 'x') + "\n"));
            CHECK_EQUAL(kQuestion + kTooLong, client.read_all());
        }
        server.goes_on();
        server.ends();
    }
}

TEST(TutorialGreet, FromStep3OnSurvivesClientsThatLeave) {
    for (const char* step : kRobust) {
        Server server(step);
        for (const char* before : {"", "Bo"}) {
            Client leaving = server.client();
            CHECK(leaving.is_asked());
            CHECK(leaving.write(before));
            leaving.leave();
            Client resetting = server.client();
            CHECK(resetting.is_asked());
            CHECK(resetting.write(before));
            resetting.reset();
        }
        const Client silent = server.client();
        silent.end();
        CHECK_EQUAL(kQuestion, silent.read_all());
        server.goes_on();
        server.ends();
    }
}

TEST(TutorialGreet, FromStep4OnServesManyAtATime) {
    for (const char* step : kParallel) {
        Server server(step);
        std::vector<Client> clients;
        for (int i = 0; i < 30; ++i) clients.push_back(server.client());
        for (const Client& client : clients) CHECK(client.is_asked());
        for (std::size_t i = clients.size(); i-- > 0;) {
            CHECK(clients[i].is_greeted_as("client " + std::to_string(i)));
            clients[i].leave();
        }
        server.ends();
    }
}

TEST(TutorialGreet, FromStep5OnDropsTheSilent) {
    for (const char* step : kWithDeadlines) {
        Server server(step, {"0.5"});
        const auto begin = Clock::now();
        const Client silent = server.client();
        const Client halfway = server.client();
        CHECK(halfway.write("Bo"));
        CHECK_EQUAL(kQuestion + kTooSlow, silent.read_all());
        CHECK(Clock::now() - begin >= milliseconds(499));
        CHECK_EQUAL(kQuestion + kTooSlow, halfway.read_all());
        server.goes_on();
        server.ends();
    }
}

// Each byte comes in time; all of them together do not.
TEST(TutorialGreet, FromStep5OnDropsTheSlow) {
    for (const char* step : kWithDeadlines) {
        Server server(step, {"0.3"});
        const Client slow = server.client();
        const auto begin = Clock::now();
        CHECK(slow.is_asked());
        const auto until = begin + tutorial_test::kPatience;
        while (!slow.has_answer_within(milliseconds(20)) && Clock::now() < until) (void)slow.write("x");
        CHECK_EQUAL(kTooSlow, slow.read(kTooSlow.size()));
        CHECK(Clock::now() - begin >= milliseconds(299));
        server.ends();
    }
}

// One that has been greeted, and stays: a second.
TEST(TutorialGreet, FromStep3OnDoesNotWaitLongForGoodByes) {
    std::vector<std::unique_ptr<Server>> servers;
    std::vector<Client> staying;
    for (const char* step : kRobust) {
        servers.push_back(std::make_unique<Server>(step));
        staying.push_back(servers.back()->client());
        CHECK(staying.back().write("Bob\n"));
        const std::string all = kQuestion + "Hello, Bob!\n";
        CHECK_EQUAL(all, staying.back().read(all.size() + 1));  // and the server's end
    }
    const auto begin = Clock::now();
    for (const auto& server : servers) server->signal(SIGTERM);
    for (const auto& server : servers) server->has_ended();
    CHECK(Clock::now() - begin < std::chrono::seconds(8));
}

TEST(TutorialGreet, Step6TellsWhatHappens) {
    for (const char* step : {"step6", "step6_c"}) {
        Server server(step, {"60"});
        Client first = server.client();
        CHECK(first.is_asked());
        CHECK_EQUAL("connections: 1 in all, 1 active, 0 failed", server.line());
        Client second = server.client();
        CHECK(second.is_asked());
        CHECK_EQUAL("connections: 2 in all, 2 active, 0 failed", server.line());
        CHECK(first.is_greeted_as("Ann"));
        CHECK_EQUAL("connections: 2 in all, 1 active, 0 failed", server.line());
        second.reset();
        CHECK_EQUAL("connections: 2 in all, 0 active, 1 failed", server.line());
        server.ends();
    }
}

TEST(TutorialGreet, Step6CountsTheSilentAmongTheFailed) {
    for (const char* step : {"step6", "step6_c"}) {
        Server server(step, {"0.2"});
        const Client silent = server.client();
        CHECK_EQUAL("connections: 1 in all, 1 active, 0 failed", server.line());
        CHECK_EQUAL("connections: 1 in all, 0 active, 1 failed", server.line());
        server.ends();
    }
}

TEST(TutorialGreet, EndsByASignalWhenNobodyIsThere) {
    for (const char* step : kAll) {
        for (const int number : {SIGTERM, SIGINT}) {
            Server server(step);
            server.ends(number);
        }
    }
}

TEST(TutorialGreet, FinishesTheConversationInFlight) {
    for (const char* step : kThatTalk) {
        Server server(step);
        const Client client = server.client();
        CHECK(client.is_asked());
        server.signal(SIGTERM);
        // The parent of workers listens until the last of them has ended.
        if (!has_workers(step)) CHECK(comes_true([&] { return Client::is_refused(server.port()); }));
        CHECK(client.is_greeted_as("Bob"));
        client.end();
        server.has_ended();
    }
}

// Steps 2 to 4 give two seconds, the others what every conversation may take.
TEST(TutorialGreet, EndsAlthoughClientsSayNothing) {
    std::vector<std::unique_ptr<Server>> servers;
    std::vector<Client> clients;
    for (const std::string step : kThatTalk) {
        const bool has_deadline =
            std::find(std::begin(kWithDeadlines), std::end(kWithDeadlines), step) != std::end(kWithDeadlines);
        servers.push_back(std::make_unique<Server>(
            step, has_deadline ? std::vector<std::string>{"1"} : std::vector<std::string>{}));
        clients.push_back(servers.back()->client());
        CHECK(clients.back().is_asked());
    }
    const auto begin = Clock::now();
    for (const auto& server : servers) server->signal(SIGTERM);
    for (const auto& server : servers) server->has_ended();
    CHECK(Clock::now() - begin < std::chrono::seconds(10));
}

TEST(TutorialGreet, RefusesWhatIsNoAddress) {
    for (const std::string step : kAll) {
        for (const char* address : {"127.0.0.1", "127.0.0.1:65536", "nowhere:80", ""}) {
            Program program("greet/" + step, {address});
            STRCMP_CONTAINS("usage:", program.read_errors().c_str());
            CHECK_EQUAL(2, program.wait());
        }
    }
}

TEST(TutorialGreet, RefusesTimesAndNumbersThatAreNone) {
    const std::vector<std::vector<std::string>> wrong = {
        {"0"}, {"-1"}, {"soon"}, {"nan"}, {"1", "0"}, {"1", "-1"}, {"1", "many"}, {"1", "1", "1"}};
    for (const std::string step : kWithDeadlines) {
        for (const std::vector<std::string>& more : wrong) {
            std::vector<std::string> arguments{"127.0.0.1:0"};
            arguments.insert(arguments.end(), more.begin(), more.end());
            Program program("greet/" + step, arguments);
            STRCMP_CONTAINS("usage:", program.read_errors().c_str());
            CHECK_EQUAL(2, program.wait());
        }
    }
}

TEST(TutorialGreet, SaysThatThePortIsTaken) {
    for (const std::string step : kAll) {
        Server first(step);
        Program second("greet/" + step, {"127.0.0.1:" + std::to_string(first.port())});
        STRCMP_CONTAINS("Address already in use", second.read_errors().c_str());
        CHECK_EQUAL(1, second.wait());
    }
}

// ---- step 7: several processes ----

namespace {

// The process that serves a client, from the line "worker 1 (1234): …" that it prints for it.
pid_t pid_in(const std::string& line) {
    const std::size_t open = line.find('(');
    CHECK(line.starts_with("worker ") && open != std::string::npos);
    return std::atoi(line.c_str() + open + 1);
}

bool is_there(pid_t pid) { return ::kill(pid, 0) == 0; }

// As ps shows it: 'S' sleeps, 'T' is stopped.
char state_of(pid_t pid) {
    std::string line;
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    return std::getline(stat, line) ? line[line.rfind(')') + 2] : '?';
}

}  // namespace

TEST(TutorialGreet, Step7HasTheWorkersItWasAskedFor) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"5", "3"});
        CHECK(comes_true([&] { return children_of(server.pid()).size() == 3; }));
        const std::vector<pid_t> workers = children_of(server.pid());
        server.goes_on();
        server.ends();
        for (const pid_t worker : workers) CHECK_FALSE(is_there(worker));
    }
}

TEST(TutorialGreet, Step7CountsInEachWorker) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"5", "1"});
        Client client = server.client();
        CHECK(client.is_asked());
        const std::string worker = "worker 0 (" + std::to_string(children_of(server.pid()).at(0)) + "): ";
        CHECK_EQUAL(worker + "1 in all, 1 active, 0 failed", server.line());
        client.reset();
        CHECK_EQUAL(worker + "1 in all, 0 active, 1 failed", server.line());
        server.ends();
    }
}

TEST(TutorialGreet, Step7OutlivesAWorkerThatIsKilled) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"10", "2"});
        CHECK(comes_true([&] { return children_of(server.pid()).size() == 2; }));
        const Client broken = server.client();
        CHECK(broken.is_asked());
        const pid_t victim = pid_in(server.line());
        ::kill(victim, SIGSTOP);  // so the other one takes the next client
        CHECK(comes_true([&] { return state_of(victim) == 'T'; }));
        const Client unharmed = server.client();
        CHECK(unharmed.is_asked());
        CHECK(pid_in(server.line()) != victim);
        const auto begin = Clock::now();
        ::kill(victim, SIGKILL);
        CHECK(comes_true([&] { return !is_there(victim) && children_of(server.pid()).size() == 2; }));
        CHECK(Clock::now() - begin < std::chrono::seconds(5));
        CHECK_EQUAL("", broken.read_all());
        CHECK(unharmed.is_greeted_as("Ann"));
        server.goes_on();
        server.ends();
    }
}

TEST(TutorialGreet, Step7ReplacesItsWorkersWhileClientsTalk) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"10", "2"});
        CHECK(comes_true([&] { return children_of(server.pid()).size() == 2; }));
        const Client client = server.client();
        CHECK(client.is_asked());
        const pid_t busy = pid_in(server.line());
        const std::vector<pid_t> old = children_of(server.pid());
        server.signal(SIGHUP);
        // The one that serves somebody stays until that conversation is over, whether its turn is first or
        // last.
        CHECK(comes_true([&] { return children_of(server.pid()).size() == 3; }));
        server.goes_on();
        CHECK(is_there(busy));
        CHECK(client.is_greeted_as("Bob"));
        CHECK(comes_true([&] {
            return std::none_of(old.begin(), old.end(), is_there) && children_of(server.pid()).size() == 2;
        }));
        server.goes_on();
        server.ends();
    }
}

TEST(TutorialGreet, Step7TurnsNobodyAwayWhileWorkersAreReplaced) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"10", "2"});
        CHECK(comes_true([&] { return children_of(server.pid()).size() == 2; }));
        const std::vector<pid_t> old = children_of(server.pid());
        server.signal(SIGHUP);
        int clients = 0;
        CHECK(comes_true([&] {
            server.goes_on();  // a whole conversation
            ++clients;
            return std::none_of(old.begin(), old.end(), is_there) && children_of(server.pid()).size() == 2;
        }));
        CHECK(clients > 0);
        server.goes_on();
        server.ends();
    }
}

TEST(TutorialGreet, Step7ComesBackWhenAllWorkersAreKilledAtOnce) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"10", "4"});
        CHECK(comes_true([&] { return children_of(server.pid()).size() == 4; }));
        const std::vector<pid_t> victims = children_of(server.pid());
        for (const pid_t victim : victims) ::kill(victim, SIGKILL);
        CHECK(comes_true([&] {
            return std::none_of(victims.begin(), victims.end(), is_there) &&
                   children_of(server.pid()).size() == 4;
        }));
        server.goes_on();
        server.ends();
    }
}

TEST(TutorialGreet, Step7EndsWithEveryConversationInFlight) {
    for (const char* step : {"step7", "step7_c"}) {
        Server server(step, {"10", "2"});
        std::vector<Client> clients;
        for (int i = 0; i < 30; ++i) clients.push_back(server.client());
        for (const Client& client : clients) CHECK(client.is_asked());
        server.signal(SIGTERM);
        for (const Client& client : clients) {
            CHECK(client.is_greeted_as("Ann"));
            client.end();
        }
        clients.clear();
        server.has_ended();
    }
}
