// udp_echo [SECONDS] [ROUNDS]: UDP echo of 64-byte datagrams, several servers side by side.
//
// Each server is a process of its own; this one is the client of all, in turn, for SECONDS (1) a server and
// ROUNDS (5) rounds. What counts is datagrams echoed by CPU second of the server process: on one machine the
// client costs as much as the server, so datagrams a second say little.
//
//   loop       recvfrom, sendto, recvfrom, sendto, …: one datagram a system call, a blocking socket, no
//   library one        the same through EvUdpSocket: recv_from, send_to batch      EvUdpSocket with a
//   DatagramBatch of 64 rooms: recv_batch, send_batch coalesced  the same with rooms of 64 KiB on a socket
//   that takes datagrams that came together as one
//
// The client has four sockets; each sends 64 datagrams and waits for its 64 answers. It works in two ways,
// for every server alike: `singly`, a datagram a message of sendmmsg, as if they came from a network card
// without offload; `in runs`, as a client that uses UDP_SEGMENT does. Only then there is something on the
// loopback that the coalesced server can take as one. The loopback's sender pays for the receiver's half, so
// a server that answers in runs pays for cutting them apart when the client takes them singly.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_udp_socket.h"
#include "nutils/datagram_batch.h"
#include "nutils/datagram_ops.h"

namespace {

using namespace std::chrono_literals;
using evcorothread::DatagramBatch;
using evcorothread::Deadline;
using nutils::SockAddr;
using nutils::UniqueFd;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kSize = 64;
constexpr std::size_t kBurst = 64;
constexpr std::size_t kClients = 4;
constexpr int kBuffer = 4 << 20;

[[noreturn]] void serve_loop(const UniqueFd& socket) {
    const int flags = ::fcntl(socket.get(), F_GETFL);
    ::fcntl(socket.get(), F_SETFL, flags & ~O_NONBLOCK);
    char buffer[2048];
    for (;;) {
        sockaddr_storage from;
        socklen_t size = sizeof from;
        const ssize_t got =
            ::recvfrom(socket.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (got < 0) continue;
        (void)!::sendto(socket.get(), buffer, static_cast<std::size_t>(got), 0,
                        reinterpret_cast<sockaddr*>(&from), size);
    }
}

template <class Serve>
[[noreturn]] void serve_in_loop(UniqueFd fd, Serve serve) {
    corothread::StackPool stacks({.count = 4, .pages = 8});
    evcorothread::EvLoop loop(stacks);
    loop.spawn("server", [&] {
        evcorothread::EvUdpSocket socket(loop, std::move(fd));
        serve(socket);
    });
    loop.run();
    std::_Exit(1);
}

void serve_one(evcorothread::EvUdpSocket& socket) {
    char buffer[2048];
    SockAddr from;
    while (const auto got = socket.recv_from(buffer, from, Deadline::never))
        (void)socket.send_to({buffer, got.bytes}, from, Deadline::never);
}

void serve_batch(evcorothread::EvUdpSocket& socket, std::size_t room) {
    DatagramBatch batch(64, room);
    while (socket.recv_batch(batch, Deadline::never)) (void)socket.send_batch(batch, Deadline::never);
}

struct Server {
    const char* name;
    void (*serve)(UniqueFd);
};

const Server kServers[] = {
    {"loop", [](UniqueFd fd) { serve_loop(fd); }},
    {"one", [](UniqueFd fd) { serve_in_loop(std::move(fd), serve_one); }},
    {"batch",
     [](UniqueFd fd) { serve_in_loop(std::move(fd), [](auto& socket) { serve_batch(socket, 2048); }); }},
    {"coalesced",
     [](UniqueFd fd) {
         (void)nutils::set_coalescing(fd.get(), true);
         serve_in_loop(std::move(fd), [](auto& socket) { serve_batch(socket, DatagramBatch::kCoalesced); });
     }},
};

struct Client {
    const char* name;
    bool runs;
};

const Client kClientKinds[] = {{"singly", false}, {"in runs", true}};

struct Figures {
    double by_cpu_second = 0;
    double by_second = 0;
    std::size_t lost = 0;
};

// Sends bursts from every socket and takes the answers, until the time is over; returns how many came.
Figures drive(const SockAddr& server, const Client& client, Clock::duration how_long) {
    std::vector<UniqueFd> sockets;
    for (std::size_t i = 0; i < kClients; ++i) {
        sockets.push_back(nutils::open_datagram(AF_INET, {.recv_buffer = kBuffer}).value());
        if (nutils::connect_datagram(sockets.back().get(), server)) std::abort();
        if (client.runs) (void)nutils::set_coalescing(sockets.back().get(), true);
    }
    DatagramBatch questions(kBurst, kBurst * kSize);
    for (std::size_t i = 0; i < kBurst; ++i) (void)!questions.add(std::string(kSize, 'x'));
    DatagramBatch answers(kBurst, DatagramBatch::kCoalesced);
    Figures figures;
    std::size_t echoed = 0;
    const Clock::time_point begin = Clock::now();
    while (Clock::now() - begin < how_long) {
        for (const UniqueFd& socket : sockets) {
            bool coalesce = client.runs;
            for (std::size_t sent = 0; sent < questions.size();) {
                const auto some = nutils::send_batch(socket.get(), questions, sent, coalesce);
                if (some.error) break;
                sent += some.count;
            }
        }
        for (const UniqueFd& socket : sockets) {
            std::size_t missing = kBurst;
            while (missing > 0) {
                pollfd waiting = {socket.get(), POLLIN, 0};
                if (::poll(&waiting, 1, 200) <= 0) break;
                const auto some = nutils::recv_batch(socket.get(), answers);
                if (some) missing -= std::min(missing, some.count);
            }
            figures.lost += missing;
            echoed += kBurst - missing;
        }
    }
    figures.by_second = static_cast<double>(echoed);
    const std::chrono::duration<double> took = Clock::now() - begin;
    figures.by_cpu_second = figures.by_second;
    figures.by_second /= took.count();
    return figures;
}

Figures measure(const Server& server, const Client& client, Clock::duration how_long) {
    UniqueFd socket = nutils::bind_datagram(SockAddr::loopback(0), {.recv_buffer = kBuffer}).value();
    const SockAddr where = SockAddr::local_of(socket.get()).value();
    const pid_t child = ::fork();
    if (child == 0) server.serve(std::move(socket));
    socket.reset();
    (void)drive(where, client, how_long / 10);  // once it is warm, only what comes now is counted
    const auto cpu_of = [child] {
        const std::string path = "/proc/" + std::to_string(child) + "/schedstat";
        std::FILE* const file = std::fopen(path.c_str(), "re");
        double ns = 0;
        if (file == nullptr || std::fscanf(file, "%lf", &ns) != 1) std::abort();
        std::fclose(file);
        return ns * 1e-9;
    };
    const double before = cpu_of();
    Figures figures = drive(where, client, how_long);
    figures.by_cpu_second /= cpu_of() - before;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return figures;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
    const auto how_long = std::chrono::duration<double>(argc > 1 ? std::atof(argv[1]) : 1);
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
    for (const Client& client : kClientKinds) {
        std::vector<double> by_cpu[std::size(kServers)], by_second[std::size(kServers)];
        std::vector<double> ratio[std::size(kServers)];
        std::size_t lost[std::size(kServers)] = {};
        for (int round = 0; round < rounds; ++round) {
            for (std::size_t i = 0; i < std::size(kServers); ++i) {
                const Figures figures =
                    measure(kServers[i], client, std::chrono::duration_cast<Clock::duration>(how_long));
                by_cpu[i].push_back(figures.by_cpu_second);
                by_second[i].push_back(figures.by_second);
                ratio[i].push_back(figures.by_cpu_second / by_cpu[0].back());
                lost[i] += figures.lost;
            }
        }
        std::printf("client: %s\n", client.name);
        std::printf("  %-10s %14s %8s %14s %8s\n", "server", "by CPU second", "x loop", "by second", "lost");
        for (std::size_t i = 0; i < std::size(kServers); ++i)
            std::printf("  %-10s %14.0f %8.2f %14.0f %8zu\n", kServers[i].name, median(by_cpu[i]),
                        median(ratio[i]), median(by_second[i]), lost[i]);
    }
    return 0;
}
