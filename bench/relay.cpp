// relay [GIB]: GIB (2) gibibytes through a proxy, over TCP on the loopback: relay() between plain sockets
// (splice, no copy through the process) beside the same through a buffer (what TLS gets).
//
// The proxy is a process of its own; this one sends at one end and receives at the other. Prints, for each:
// time, CPU time of the proxy, and its resident memory before, after and at its largest.
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>

#include "bench/process_stats.h"
#include "corothread/stack_pool.h"
#include "evcorothread/copy_stream.h"
#include "evcorothread/ev_loop.h"
#include "nutils/listen_stream.h"
#include "nutils/socket_ops.h"

namespace {

using evcorothread::Deadline;
using evcorothread::EvSocket;
using nutils::UniqueFd;

std::pair<UniqueFd, UniqueFd> tcp_pair() {
    const UniqueFd listener = nutils::listen_stream(nutils::SockAddr::loopback(0)).value();
    UniqueFd near = nutils::socket_stream(AF_INET).value();
    (void)nutils::connect_start(near.get(), nutils::SockAddr::local_of(listener.get()).value());
    pollfd waiting = {listener.get(), POLLIN, 0};
    (void)::poll(&waiting, 1, 1000);
    return {std::move(near), nutils::accept_one(listener.get()).fd};
}

[[noreturn]] void proxy(UniqueFd a, UniqueFd b, bool spliced) {
    corothread::StackPool stacks({.count = 4, .pages = 8});
    evcorothread::EvLoop loop(stacks);
    const long before = bench::resident_bytes();
    bool good = false;
    loop.spawn("proxy", [&] {
        EvSocket one(loop, std::move(a));
        EvSocket two(loop, std::move(b));
        nutils::ByteStream& first = one;
        nutils::ByteStream& second = two;
        good = static_cast<bool>(spliced ? evcorothread::relay(one, two, Deadline::never)
                                         : evcorothread::relay(first, second, Deadline::never));
    });
    loop.run();
    std::printf("  resident before %ld KiB, after %ld KiB\n", before / 1024, bench::resident_bytes() / 1024);
    std::fflush(stdout);
    std::_Exit(good ? 0 : 1);
}

// Sends that many bytes, then the end.
void send_all(int fd, unsigned long long bytes) {
    const std::string block(1 << 20, 'x');
    while (bytes > 0) {
        const auto some = nutils::send_some(fd, {block.data(), std::min<std::size_t>(block.size(), bytes)});
        bytes -= some.bytes;
        if (some.error && !some.would_block()) std::abort();
        pollfd waiting = {fd, POLLOUT, 0};
        if (some.error) (void)::poll(&waiting, 1, -1);
    }
    ::shutdown(fd, SHUT_WR);
}

unsigned long long recv_all(int fd) {
    std::string block(1 << 20, '\0');
    unsigned long long bytes = 0;
    for (;;) {
        const auto some = nutils::recv_some(fd, block);
        bytes += some.bytes;
        if (some.eof()) return bytes;
        pollfd waiting = {fd, POLLIN, 0};
        if (some.would_block())
            (void)::poll(&waiting, 1, -1);
        else if (some.error)
            std::abort();
    }
}

void measure(const char* name, bool spliced, unsigned long long bytes) {
    auto [a, near] = tcp_pair();
    auto [b, far] = tcp_pair();
    std::printf("%s\n", name);
    std::fflush(stdout);
    const auto begin = std::chrono::steady_clock::now();
    const pid_t child = ::fork();
    if (child == 0) {
        near.reset();
        far.reset();
        proxy(std::move(a), std::move(b), spliced);
    }
    a.reset();
    b.reset();
    ::shutdown(far.get(), SHUT_WR);
    std::thread sender([fd = near.get(), bytes] { send_all(fd, bytes); });
    const unsigned long long got = recv_all(far.get());
    sender.join();
    int status = 0;
    rusage usage = {};
    ::wait4(child, &status, 0, &usage);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    const double gib = static_cast<double>(got) / (1 << 30);
    std::printf("  %.2f GiB in %.2f s, %s; proxy: user %.2f s, system %.2f s, %.2f GiB/CPU s, peak %ld KiB\n",
                gib, took.count(), status == 0 && got == bytes ? "complete" : "NOT COMPLETE",
                seconds(usage.ru_utime), seconds(usage.ru_stime),
                gib / (seconds(usage.ru_utime) + seconds(usage.ru_stime)), usage.ru_maxrss);
}

}  // namespace

int main(int argc, char** argv) {
    const auto bytes = static_cast<unsigned long long>((argc > 1 ? std::atof(argv[1]) : 2) * (1 << 30));
    measure("relay, spliced", true, bytes);
    measure("relay, through a buffer", false, bytes);
    return 0;
}
