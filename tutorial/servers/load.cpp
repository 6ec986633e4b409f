// load ADDR:PORT CLIENTS SECONDS [SERVER-PID]: what the servers of this folder are measured with.
//
// Opens CLIENTS connections. Each sends a line of 64 bytes, waits until all of it has come back, compares
// it, and sends the next one; all of that in this one thread, with epoll. The first part (a quarter of
// SECONDS, at most half a second) only warms up. Prints one line:
//
//   clients=100 served=100 requests=… per_second=… p50_us=… p99_us=… errors=0 cpu_us=… memory_kib=…
//
// served      clients that got an answer after the warming up; the others waited in vain
// p50, p99    of the answered lines: a client that gets no answer at all is not in them, but in `served`
// errors      connections that were refused or reset, ended, or brought back something else
// cpu_us      the server's CPU time for one request, all its processes and threads together, as the kernel
//             accounts it
// memory_kib  the server's memory while all are connected: PSS, which shares out a page among the processes
//             that share it
//
// The last two are "-" without SERVER-PID. Exit 1 when there was an error. Never longer than SECONDS and
// some moments.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::size_t kLine = 64;

// Counts durations in buckets that are 1/64 of their value wide: 1.6 % off at most, whatever the range, in
// 30 KiB.
class Histogram {
  public:
    void add(nanoseconds duration) {
        ++counts_[bucket(static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0)))];
        ++total_;
    }
    void clear() { *this = Histogram(); }
    [[nodiscard]] std::uint64_t total() const { return total_; }
    // In microseconds; the upper end of the bucket that it falls into.
    [[nodiscard]] double quantile(double part) const {
        auto left = static_cast<std::uint64_t>(part * static_cast<double>(total_));
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] > left) return static_cast<double>(upper_end(i)) / 1000;
            left -= counts_[i];
        }
        return 0;
    }

  private:
    static constexpr int kBits = 6;  // 64 buckets for each power of two
    static std::size_t bucket(std::uint64_t value) {
        const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - kBits - 1);
        return (static_cast<std::size_t>(shift) << kBits) + static_cast<std::size_t>(value >> shift);
    }
    static std::uint64_t upper_end(std::size_t index) {
        const std::size_t shift = index >> kBits > 0 ? (index >> kBits) - 1 : 0;
        return (static_cast<std::uint64_t>(index) - (shift << kBits) + 1) << shift;
    }
    std::array<std::uint64_t, 60 << kBits> counts_{};
    std::uint64_t total_ = 0;
};

// --- what the server costs ---

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::vector<pid_t> children_of(pid_t pid) {
    const std::string self = std::to_string(pid);
    std::istringstream list(first_line("/proc/" + self + "/task/" + self + "/children"));
    return {std::istream_iterator<pid_t>(list), {}};
}

// All of the process's threads, ended ones included, and children that it has already waited for. Units:
// µs, in steps of a clock tick (10 ms).
double cpu_by_ticks(pid_t pid) {
    const std::string line = first_line("/proc/" + std::to_string(pid) + "/stat");
    std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double utime = 0, stime = 0, children_utime = 0, children_stime = 0;
    fields >> utime >> stime >> children_utime >> children_stime;
    return (utime + stime + children_utime + children_stime) * 1e6 /
           static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Of a process with one thread, to the nanosecond: with a thousand of them, ticks would lose most of it.
double cpu_of_single_thread(pid_t pid) {
    std::istringstream fields(first_line("/proc/" + std::to_string(pid) + "/schedstat"));
    double ns = 0;
    fields >> ns;
    return ns / 1000;
}

double cpu_us(pid_t server) {
    double sum = cpu_by_ticks(server);
    for (const pid_t child : children_of(server)) sum += cpu_of_single_thread(child);
    return sum;
}

long pss_kib(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("Pss:")) return std::atol(line.c_str() + 4);
    return 0;
}

long memory_kib(pid_t server) {
    long sum = pss_kib(server);
    for (const pid_t child : children_of(server)) sum += pss_kib(child);
    return sum;
}

// --- the clients ---

struct Client {
    int fd = -1;
    std::uint64_t number = 0;  // of the line on its way
    std::size_t sent = 0, received = 0;
    char line[kLine];
    Clock::time_point since;
    bool answered = false;
};

class Load {
  public:
    Load(const sockaddr_in& address, std::size_t count)
        : clients_(count), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        for (std::size_t i = 0; i < count; ++i) open(address, i);
    }
    ~Load() {
        for (const Client& client : clients_)
            if (client.fd >= 0) close(client.fd);
        close(epoll_);
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void run_until(Clock::time_point end) {
        epoll_event events[256];
        for (now_ = Clock::now(); now_ < end && open_ > 0; now_ = Clock::now()) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - now_).count() + 1;
            const int ready = epoll_wait(epoll_, events, std::size(events), static_cast<int>(left));
            for (int i = 0; i < ready; ++i) serve(clients_[events[i].data.u64]);
        }
    }

    void forget_answers() {
        latencies_.clear();
        for (Client& client : clients_) client.answered = false;
    }
    [[nodiscard]] const Histogram& latencies() const { return latencies_; }
    [[nodiscard]] std::size_t errors() const { return errors_; }
    [[nodiscard]] long served() const {
        return std::count_if(clients_.begin(), clients_.end(), [](const Client& c) { return c.answered; });
    }

  private:
    void open(const sockaddr_in& address, std::size_t i) {
        Client& client = clients_[i];
        client.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (client.fd < 0) {
            std::fprintf(stderr, "load: no descriptor for client %zu: ulimit -n\n", i);
            std::exit(1);
        }
        const int yes = 1;
        setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        epoll_event event{};
        event.events = EPOLLIN | EPOLLOUT | EPOLLET;  // told when it is connected, then whenever bytes come
        event.data.u64 = i;
        ++open_;
        if (connect(client.fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
            errno != EINPROGRESS)
            return broke(client, "connect");
        epoll_ctl(epoll_, EPOLL_CTL_ADD, client.fd, &event);
    }

    void broke(Client& client, const char* where) {
        if (errors_++ == 0) std::fprintf(stderr, "load: %s: %s\n", where, std::strerror(errno));
        close(client.fd);
        client.fd = -1;
        --open_;
    }

    void next_line(Client& client) {
        std::snprintf(client.line, kLine, "%-62llu", static_cast<unsigned long long>(client.number++));
        client.line[kLine - 1] = '\n';
        client.sent = client.received = 0;
        client.since = Clock::now();
    }

    // Sends and receives what the kernel is ready for.
    void serve(Client& client) {
        if (client.fd < 0) return;
        if (client.number == 0) next_line(client);
        if (!send_rest(client)) return;
        char back[kLine];
        for (;;) {
            const ssize_t got = recv(client.fd, back, kLine - client.received, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
            if (got == 0) errno = ECONNRESET;
            if (got <= 0) return broke(client, "recv");
            if (std::memcmp(back, client.line + client.received, static_cast<std::size_t>(got)) != 0) {
                errno = EBADMSG;
                return broke(client, "what came back");
            }
            client.received += static_cast<std::size_t>(got);
            if (client.received < kLine) continue;
            latencies_.add(Clock::now() - client.since);
            client.answered = true;
            next_line(client);
            send_rest(client);
            return;  // edge-triggered: the answer to what was just sent tells again
        }
    }

    bool send_rest(Client& client) {
        if (client.sent == kLine) return true;
        const ssize_t sent = send(client.fd, client.line + client.sent, kLine - client.sent, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) return false;
        if (sent < 0) {
            broke(client, "send");
            return false;
        }
        client.sent += static_cast<std::size_t>(sent);
        return client.sent == kLine;
    }

    std::vector<Client> clients_;
    int epoll_;
    Clock::time_point now_;
    Histogram latencies_;
    std::size_t errors_ = 0, open_ = 0;
};

bool parse_address(const std::string& text, sockaddr_in& address) {
    const std::size_t colon = text.find(':');
    if (colon == std::string::npos) return false;
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(text.c_str() + colon + 1)));
    return inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) == 1 && address.sin_port != 0;
}

}  // namespace

int main(int argc, char** argv) {
    sockaddr_in address{};
    const long count = argc > 2 ? std::atol(argv[2]) : 0;
    const double seconds = argc > 3 ? std::atof(argv[3]) : 0;
    const pid_t server = argc > 4 ? std::atoi(argv[4]) : 0;
    if (argc < 4 || argc > 5 || !parse_address(argv[1], address) || count < 1 || !(seconds > 0)) {
        std::fprintf(stderr, "usage: load ADDR:PORT CLIENTS SECONDS [SERVER-PID]\n");
        return 2;
    }
    const auto of_seconds = [](double s) { return nanoseconds(static_cast<std::int64_t>(s * 1e9)); };
    const double warming_up = std::min(seconds / 4, 0.5);

    Load load(address, static_cast<std::size_t>(count));
    load.run_until(Clock::now() + of_seconds(warming_up));
    load.forget_answers();
    const double cpu_before = server > 0 ? cpu_us(server) : 0;
    const auto begin = Clock::now();
    load.run_until(begin + of_seconds(seconds - warming_up));
    const double took = std::chrono::duration<double>(Clock::now() - begin).count();
    const double cpu_after = server > 0 ? cpu_us(server) : 0;

    const Histogram& latencies = load.latencies();
    const auto requests = static_cast<double>(latencies.total());
    std::printf("clients=%ld served=%ld requests=%.0f per_second=%.0f ", count, load.served(), requests,
                requests / took);
    if (requests > 0)
        std::printf("p50_us=%.1f p99_us=%.1f ", latencies.quantile(0.5), latencies.quantile(0.99));
    else
        std::printf("p50_us=- p99_us=- ");
    std::printf("errors=%zu ", load.errors());
    if (server > 0 && requests > 0)
        std::printf("cpu_us=%.3f ", (cpu_after - cpu_before) / requests);
    else
        std::printf("cpu_us=- ");
    if (server > 0)
        std::printf("memory_kib=%ld\n", memory_kib(server));
    else
        std::printf("memory_kib=-\n");
    return load.errors() == 0 ? 0 : 1;
}
