// The echo servers of tutorial/servers: one protocol, seven forms, the same demands on each.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "test/support/temp_dir.h"
#include "test/tutorial/program.h"

using std::chrono::milliseconds;
using tutorial_test::Clock;
using tutorial_test::Program;

namespace {

constexpr const char* kAll[] = {"iterative", "forking",   "preforked", "threaded",
                                "polling",   "callbacks", "coroutines"};

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
        std::string text(size, '\0');
        std::size_t filled = 0;
        while (filled < size && tutorial_test::wait_for(fd_.get(), POLLIN)) {
            const ssize_t got = ::recv(fd_.get(), text.data() + filled, size - filled, 0);
            if (got <= 0) break;
            filled += static_cast<std::size_t>(got);
        }
        text.resize(filled);
        return text;
    }
    // Writes until nothing has been taken for a while: both sides' buffers are full. Returns what went.
    std::size_t stuff() const {
        const std::string piece(64 * 1024, 's');
        std::size_t all = 0;
        while (tutorial_test::wait_for(fd_.get(), POLLOUT, Clock::now() + milliseconds(100))) {
            const ssize_t sent = ::send(fd_.get(), piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0) break;
            all += static_cast<std::size_t>(sent);
        }
        return all;
    }
    // Writes all of `text` while reading what comes back.
    [[nodiscard]] std::string exchange(const std::string& text) const {
        std::string back;
        char buffer[65536];
        for (std::size_t sent = 0; back.size() < text.size();) {
            pollfd ready = {fd_.get(), static_cast<short>(sent < text.size() ? POLLIN | POLLOUT : POLLIN), 0};
            if (::poll(&ready, 1, 20'000) != 1) break;
            if ((ready.revents & POLLOUT) != 0) {
                const ssize_t went =
                    ::send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (went > 0) sent += static_cast<std::size_t>(went);
            }
            if ((ready.revents & ~POLLOUT) == 0) continue;
            const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
            if (got == 0) break;
            if (got > 0) back.append(buffer, static_cast<std::size_t>(got));
        }
        return back;
    }
    [[nodiscard]] bool has_answer_within(milliseconds time) const {
        return tutorial_test::wait_for(fd_.get(), POLLIN, Clock::now() + time);
    }
    // The server has closed although there was something that it had not read.
    [[nodiscard]] bool is_reset_in_time() const { return tutorial_test::wait_for(fd_.get(), 0); }
    [[nodiscard]] bool echoes(const std::string& line) const {
        write(line);
        return read(line.size()) == line;
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
    nutils::UniqueFd fd_;
};

std::vector<pid_t> children_of(pid_t pid) {
    const std::string self = std::to_string(pid);
    std::ifstream list("/proc/" + self + "/task/" + self + "/children");
    return {std::istream_iterator<pid_t>(list), {}};
}

bool exists(pid_t pid) { return ::kill(pid, 0) == 0; }  // a zombie does, too

// Nanoseconds on a core, all threads.
long long cpu_time(pid_t pid) {
    long long sum = 0;
    std::ifstream("/proc/" + std::to_string(pid) + "/schedstat") >> sum;
    return sum;
}

void limit_descriptors(pid_t pid, rlim_t most) {
    rlimit limit{};
    ::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit);
    limit.rlim_cur = most;
    CHECK_EQUAL(0, ::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr));
}

// The lowest descriptor that the process has free.
rlim_t first_free_descriptor(pid_t pid) {
    for (rlim_t fd = 0;; ++fd) {
        struct stat ignored {};
        const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
        if (::lstat(path.c_str(), &ignored) != 0) return fd;
    }
}

class Server {
  public:
    explicit Server(const std::string& name, const char* idle_seconds = "60")
        : name_(name), program_("servers/" + name, {"127.0.0.1:0", idle_seconds}) {
        const std::string said = name + ": listening on 127.0.0.1:";
        const std::string line = program_.read_line();
        CHECK_EQUAL(said, line.substr(0, said.size()));
        port_ = std::atoi(line.substr(said.size()).c_str());
        CHECK(port_ > 0);
    }
    [[nodiscard]] Client client() const { return Client(port_); }
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] pid_t pid() const { return program_.pid(); }
    [[nodiscard]] bool serves_one_only() const { return name_ == "iterative"; }
    // Asks it to end; it has to, well, and with all of its children.
    void ends() {
        const std::vector<pid_t> children = children_of(pid());
        ::kill(pid(), SIGTERM);
        CHECK_EQUAL(0, program_.wait());
        for (const pid_t child : children) CHECK_FALSE(exists(child));
    }

  private:
    std::string name_;
    Program program_;
    int port_ = 0;
};

void echoes(const std::string& name) {
    Server server(name);
    std::vector<Client> clients;
    for (int i = 0; i < (server.serves_one_only() ? 1 : 20); ++i) clients.push_back(server.client());
    for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < clients.size(); ++i)
            clients[i].write("line " + std::to_string(round) + " of " + std::to_string(i) + "\n");
        for (std::size_t i = clients.size(); i-- > 0;) {  // in another order than they were written
            const std::string line = "line " + std::to_string(round) + " of " + std::to_string(i) + "\n";
            CHECK_EQUAL(line, clients[i].read(line.size()));
        }
    }
    clients.clear();
    CHECK(server.client().echoes("the next one\n"));
    server.ends();
}

void echoes_a_big_line(const std::string& name) {
    Server server(name);
    std::string line(8 * 1024 * 1024, '\0');
    for (std::size_t i = 0; i < line.size(); ++i) line[i] = static_cast<char>('a' + i * i % 23);
    line.back() = '\n';
    CHECK(line == server.client().exchange(line));
    server.ends();
}

// A client that has finished sending still gets everything, then the end.
void answers_after_a_half_close(const std::string& name) {
    Server server(name);
    const Client client = server.client();
    const std::string line(100'000, 'h');
    client.write(line);
    client.end();
    CHECK(line == client.read(line.size() + 1));
    CHECK_EQUAL("", client.read(1));
    server.ends();
}

void survives_a_client_that_breaks_off(const std::string& name) {
    Server server(name);
    for (int i = 0; i < 5; ++i) {
        Client client = server.client();
        client.write("half a li");
        if (i % 2 == 0) CHECK_EQUAL("half a li", client.read(9));
        client.reset();
    }
    Client full = server.client();
    CHECK(full.stuff() > 100'000);  // the server is in the middle of sending
    full.reset();
    CHECK(server.client().echoes("still there\n"));
    server.ends();
}

// Whoever sends to a client that has finished and gone gets SIGPIPE, unless he says that he does not want it.
// It takes luck to meet the moment, so: many times.
void survives_sigpipe(const std::string& name) {
    Server server(name);
    for (int i = 0; i < 50; ++i) {
        Client client = server.client();
        client.write(std::string(60'000, 'p'));
        client.end();
        client.leave();
    }
    CHECK(server.client().echoes("still there\n"));
    server.ends();
}

// Only the iterative server makes the others wait. And nothing of the slow one is lost.
void a_slow_reader_stops_nobody_else(const std::string& name) {
    Server server(name);
    const Client slow = server.client();
    const std::size_t stuffed = slow.stuff();
    CHECK(stuffed > 100'000);
    const Client other = server.client();
    other.write("quick\n");
    if (server.serves_one_only()) CHECK_FALSE(other.has_answer_within(milliseconds(50)));
    if (!server.serves_one_only()) CHECK_EQUAL("quick\n", other.read(6));
    CHECK_EQUAL(stuffed, slow.read(stuffed).size());
    slow.end();
    CHECK_EQUAL("", slow.read(1));
    if (server.serves_one_only()) CHECK_EQUAL("quick\n", other.read(6));
    server.ends();
}

void ends_while_clients_are_connected(const std::string& name) {
    Server server(name);
    std::vector<Client> clients;
    for (int i = 0; i < (server.serves_one_only() ? 1 : 10); ++i) {
        clients.push_back(server.client());
        CHECK(clients.back().echoes("here\n"));
    }
    if (!server.serves_one_only()) {
        clients.push_back(server.client());
        CHECK(clients.back().stuff() > 100'000);  // one that does not read must not keep it
    }
    server.ends();
    CHECK_EQUAL("", clients.front().read(1));
}

// Without a descriptor for the next client it waits, and does not run in circles; then it goes on.
void waits_when_out_of_descriptors(const std::string& name) {
#ifdef TEST_SUPPORT_ASAN
    if (name == "coroutines")
        return;  // UBSan looks at an object's type through a pipe: it needs descriptors itself
#endif
    Server server(name);
    // A blocking accept reserves its descriptor before it waits: where that is done, everybody must be busy
    // first, and the next accept be one without.
    const bool blocks_in_accept = name == "iterative" || name == "preforked";
    std::vector<Client> served;
    for (int i = 0; i < (name == "preforked" ? 100 : 1); ++i) {
        served.push_back(server.client());
        CHECK(served.back().echoes("here\n"));
    }
    const std::vector<pid_t> acceptors =
        name == "preforked" ? children_of(server.pid()) : std::vector<pid_t>{server.pid()};
    for (const pid_t process : acceptors)
        limit_descriptors(process, first_free_descriptor(process) - (blocks_in_accept ? 1 : 0));
    if (blocks_in_accept) served.pop_back();
    const Client client = server.client();
    client.write("hello\n");
    long long used = 0;
    for (const pid_t process : acceptors) used -= cpu_time(process);
    CHECK_FALSE(client.has_answer_within(milliseconds(350)));
    for (const pid_t process : acceptors) used += cpu_time(process);
    CHECK(used < 35'000'000);  // a tenth of that time
    for (const pid_t process : acceptors) limit_descriptors(process, 1000);
    CHECK_EQUAL("hello\n", client.read(6));
    server.ends();
}

void refuses_what_is_no_address(const std::string& name) {
    for (const char* address : {"127.0.0.1", "127.0.0.1:65536", "nowhere:80", "127.0.0.1:x"}) {
        Program program("servers/" + name, {address});
        STRCMP_CONTAINS("usage:", program.read_errors().c_str());
        CHECK_EQUAL(2, program.wait());
    }
}

void says_that_the_port_is_taken(const std::string& name) {
    Server first(name);
    Program second("servers/" + name, {"127.0.0.1:" + std::to_string(first.port())});
    STRCMP_CONTAINS("Address already in use", second.read_errors().c_str());
    CHECK_EQUAL(1, second.wait());
}

std::string value_of(const std::string& line, const std::string& key) {
    const std::size_t at = line.find(key + "=");
    return at == std::string::npos
               ? ""
               : line.substr(at + key.size() + 1, line.find(' ', at) - at - key.size() - 1);
}

}  // namespace

TEST_GROUP_BASE(TutorialServers, test_support::Fixture){};

#define ON_EVERY_SERVER(Claim, check)                               \
    TEST(TutorialServers, Iterative##Claim) { check("iterative"); } \
    TEST(TutorialServers, Forking##Claim) { check("forking"); }     \
    TEST(TutorialServers, Preforked##Claim) { check("preforked"); } \
    TEST(TutorialServers, Threaded##Claim) { check("threaded"); }   \
    TEST(TutorialServers, Polling##Claim) { check("polling"); }     \
    TEST(TutorialServers, Callbacks##Claim) { check("callbacks"); } \
    TEST(TutorialServers, Coroutines##Claim) { check("coroutines"); }

ON_EVERY_SERVER(Echoes, echoes)
ON_EVERY_SERVER(EchoesABigLine, echoes_a_big_line)
ON_EVERY_SERVER(AnswersAfterAHalfClose, answers_after_a_half_close)
ON_EVERY_SERVER(SurvivesAClientThatBreaksOff, survives_a_client_that_breaks_off)
ON_EVERY_SERVER(SurvivesSigpipe, survives_sigpipe)
ON_EVERY_SERVER(ServesOthersBesideASlowReaderUnlessIterative, a_slow_reader_stops_nobody_else)
ON_EVERY_SERVER(EndsBySigtermWhileClientsAreConnected, ends_while_clients_are_connected)
ON_EVERY_SERVER(WaitsWhenOutOfDescriptors, waits_when_out_of_descriptors)
ON_EVERY_SERVER(RefusesWhatIsNoAddress, refuses_what_is_no_address)
ON_EVERY_SERVER(SaysThatThePortIsTaken, says_that_the_port_is_taken)

TEST(TutorialServers, DropSilentClients) {
    std::vector<std::unique_ptr<Server>> servers;
    std::vector<Client> silent;
    for (const char* name :
         {"iterative", "forking", "preforked", "threaded", "polling", "callbacks", "coroutines"})
        servers.push_back(std::make_unique<Server>(name, "1"));
    for (const auto& server : servers) silent.push_back(server->client());  // when all have started
    const auto begin = Clock::now();
    for (const Client& client : silent) CHECK(client.echoes("once\n"));
    for (const Client& client : silent) {
        CHECK_EQUAL("", client.read(1));
        CHECK(Clock::now() - begin >= milliseconds(900));
    }
    CHECK(Clock::now() - begin < std::chrono::seconds(10));
    for (const auto& server : servers) {
        CHECK(server->client().echoes("the next one\n"));
        server->ends();
    }
}

TEST(TutorialServers, DropClientsThatDoNotRead) {
    std::vector<std::unique_ptr<Server>> servers;
    std::vector<Client> deaf;
    for (const char* name : kAll) {
        servers.push_back(std::make_unique<Server>(name, "1"));
        deaf.push_back(servers.back()->client());
        CHECK(deaf.back().stuff() > 100'000);
    }
    for (const Client& client : deaf) CHECK(client.is_reset_in_time());
    for (const auto& server : servers) {
        CHECK(server->client().echoes("the next one\n"));
        server->ends();
    }
}

// A child that has ended is asked for at once, not at the end of all.
TEST(TutorialServers, ForkingLeavesNoZombie) {
    Server server("forking");
    std::vector<Client> clients;
    for (int i = 0; i < 30; ++i) {
        clients.push_back(server.client());
        CHECK(clients.back().echoes("here\n"));
    }
    CHECK_EQUAL(30, children_of(server.pid()).size());
    clients.clear();  // all at once: their signals become fewer
    const auto until = Clock::now() + tutorial_test::kPatience;
    while (!children_of(server.pid()).empty() && Clock::now() < until) ::usleep(1000);
    CHECK_EQUAL(0, children_of(server.pid()).size());
    server.ends();
}

TEST(TutorialServers, PreforkedReplacesAWorkerThatDied) {
    Server server("preforked");
    CHECK(server.client().echoes("here\n"));
    const auto until = Clock::now() + tutorial_test::kPatience;
    while (children_of(server.pid()).size() < 100 && Clock::now() < until) ::usleep(1000);
    const pid_t victim = children_of(server.pid()).front();
    ::kill(victim, SIGKILL);
    while ((exists(victim) || children_of(server.pid()).size() < 100) && Clock::now() < until) ::usleep(1000);
    CHECK_FALSE(exists(victim));
    CHECK_EQUAL(100, children_of(server.pid()).size());
    server.ends();
}

TEST(TutorialServers, PreforkedServesAsManyAsThereAreWorkers) {
    Server server("preforked");
    std::vector<Client> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(server.client());
        CHECK(clients.back().echoes("here\n"));
    }
    const Client waiting = server.client();
    waiting.write("me, too\n");
    CHECK_FALSE(waiting.has_answer_within(milliseconds(50)));
    clients.pop_back();
    CHECK_EQUAL("me, too\n", waiting.read(8));
    server.ends();
}

// If the parent is killed, nobody is left behind.
TEST(TutorialServers, ChildrenEndWithTheirParent) {
    for (const char* name : {"forking", "preforked"}) {
        std::vector<pid_t> children;
        {
            Server server(name);
            const Client client = server.client();
            CHECK(client.echoes("here\n"));
            children = children_of(server.pid());
            CHECK_FALSE(children.empty());
        }  // killed
        const auto until = Clock::now() + tutorial_test::kPatience;
        for (const pid_t child : children) {
            // Whoever adopts orphans here may be slow to ask for them.
            const auto is_alive = [child] {
                std::string line;
                std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
                return std::getline(stat, line) && line[line.rfind(')') + 2] != 'Z';
            };
            while (is_alive() && Clock::now() < until) ::usleep(1000);
            CHECK_FALSE(is_alive());
        }
    }
}

TEST(TutorialServers, TheLoadTellsWhatItHasSeen) {
    Server server("coroutines");
    Program load("servers/load",
                 {"127.0.0.1:" + std::to_string(server.port()), "10", "0.4", std::to_string(server.pid())});
    const std::string line = load.read_all();
    CHECK_EQUAL(0, load.wait());
    CHECK_EQUAL("10", value_of(line, "clients"));
    CHECK_EQUAL("10", value_of(line, "served"));
    CHECK_EQUAL("0", value_of(line, "errors"));
    CHECK(std::atof(value_of(line, "requests").c_str()) >= 10);
    const double p50 = std::atof(value_of(line, "p50_us").c_str());
    const double p99 = std::atof(value_of(line, "p99_us").c_str());
    CHECK(p50 > 0 && p50 <= p99 && p99 < 400'000);
    CHECK(std::atof(value_of(line, "memory_kib").c_str()) > 100);
    server.ends();
}

TEST(TutorialServers, TheLoadTellsWhoWasNotServed) {
    Server server("iterative");
    Program load("servers/load", {"127.0.0.1:" + std::to_string(server.port()), "5", "0.4"});
    const std::string line = load.read_all();
    CHECK_EQUAL(0, load.wait());
    CHECK_EQUAL("1", value_of(line, "served"));
    server.ends();
}

TEST(TutorialServers, TheLoadTellsOfErrors) {
    int port = 0;
    {
        Server server("polling");
        port = server.port();
        server.ends();
    }
    Program load("servers/load", {"127.0.0.1:" + std::to_string(port), "3", "0.4"});
    CHECK_EQUAL("3", value_of(load.read_all(), "errors"));
    CHECK_EQUAL(1, load.wait());
}

TEST(TutorialServers, TheChartDrawsWhoServedAll) {
    Program chart(
        "/bin/sh",
        {"-c",
         "printf 'iterative\\t1\\t1\\t900\\t50\\t500\\t9\\niterative\\t10\\t1\\t777\\t50\\t500\\t9\\n"
         "coroutines\\t1\\t1\\t900\\t50\\t600\\t8\\ncoroutines\\t10\\t10\\t7000\\t90\\t700\\t4\\n' | \"$0\"",
         Program::folder() + "servers/chart"});
    const std::string svg = chart.read_all();
    CHECK_EQUAL(0, chart.wait());
    const auto count = [&svg](const std::string& part) {
        int n = 0;
        for (std::size_t at = 0; (at = svg.find(part, at)) != std::string::npos; at += part.size()) ++n;
        return n;
    };
    CHECK_EQUAL(8, count("<polyline"));  // two servers in four panels
    CHECK_EQUAL(12, count("<circle"));   // one point of the first, two of the second
    CHECK_EQUAL(1, count("iterative: not all served beyond 1 client<"));
    CHECK_EQUAL(count("<g "), count("</g>"));
    CHECK_EQUAL(count("<text "), count("</text>"));
    CHECK_EQUAL(1, count("</svg>"));
    CHECK_EQUAL(0, count("href"));
    CHECK_EQUAL(0, count("nan"));
}

// Which servers, loads and rounds: the smallest choice that has everything in it.
TEST(TutorialServers, CompareDrivesThemSideBySide) {
    char root[4096];
    CHECK(::getcwd(root, sizeof root) != nullptr);
    const std::string script = std::string(root) + "/tutorial/servers/compare.sh";
    if (::access(script.c_str(), X_OK) != 0) FAIL("to be run in the root of the source tree");
    if (std::thread::hardware_concurrency() < 2) return;  // it says so itself, and ends
    const test_support::TempDir folder;
    Program compare("/usr/bin/env",
                    {"OUT=" + Program::folder() + "..", script, "--rounds", "1", "--seconds", "0.3",
                     "--clients", "1 3", "--servers", "iterative forking", "--out", folder.path()});
    const std::string tables = compare.read_all();
    CHECK_EQUAL(0, compare.wait());
    STRCMP_CONTAINS("| iterative |", tables.c_str());
    STRCMP_CONTAINS("| 1 of 3 served |", tables.c_str());
    std::ifstream medians(folder.path() + "/compare.tsv");
    std::string name, clients, served, per_second;
    for (const char* expected : {"iterative 1 1", "iterative 3 1", "forking 1 1", "forking 3 3"}) {
        std::string rest;
        medians >> name >> clients >> served >> per_second;
        CHECK_EQUAL(expected, name + " " + clients + " " + served);
        CHECK(std::atof(per_second.c_str()) > 0);
        std::getline(medians, rest);
    }
    std::ifstream chart(folder.path() + "/compare.svg");
    std::getline(chart, name);
    STRCMP_CONTAINS("<svg ", name.c_str());
}
