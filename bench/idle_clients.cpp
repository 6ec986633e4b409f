// idle_clients PORT COUNT: opens COUNT connections to 127.0.0.1:PORT, has one GET / answered on each, then
// leaves them open and silent until its standard input ends.
//
// Prints "idle_clients: COUNT open" when all are idle; exit 1 and a reason when one is refused, closed or
// unanswered.
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view kRequest = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
constexpr int kPatienceMilliseconds = 5000;

[[noreturn]] void fail(const char* what, int number) {
    std::fprintf(stderr, "idle_clients: connection %d: %s\n", number, what);
    std::exit(1);
}

bool raise_descriptor_limit(rlim_t wanted) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) limit.rlim_max = wanted;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

int open_idle(unsigned short port, int number) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("no descriptor", number);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("not accepted", number);
    if (send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0)
        fail("closed before the request", number);
    pollfd answer{fd, POLLIN, 0};
    if (poll(&answer, 1, kPatienceMilliseconds) != 1) fail("no answer in 5 s", number);
    char buffer[4096];
    if (recv(fd, buffer, sizeof buffer, 0) <= 0) fail("closed instead of answered", number);
    if (std::strncmp(buffer, "HTTP/1.1 200", 12) != 0) fail("answered with something other than 200", number);
    return fd;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: idle_clients PORT COUNT\n");
        return 2;
    }
    const auto port = static_cast<unsigned short>(std::atoi(argv[1]));
    const int count = std::atoi(argv[2]);
    if (!raise_descriptor_limit(static_cast<rlim_t>(count) + 100)) {
        std::fprintf(stderr, "idle_clients: %d connections need `ulimit -n %d`\n", count, count + 100);
        return 1;
    }
    std::vector<pollfd> connections;
    for (int i = 0; i < count; ++i) connections.push_back({open_idle(port, i), POLLIN | POLLRDHUP, 0});
    if (poll(connections.data(), connections.size(), 200) != 0) fail("not idle: more data or a close", -1);
    std::printf("idle_clients: %d open\n", count);
    std::fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
}
