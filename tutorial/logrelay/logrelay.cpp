// The log relay: what comes in as datagrams goes out, line by line and in order, to every client that is
// connected over TLS and has a certificate of the right issuer. README.md tells the story.
//
//   logrelay --cert FILE --key FILE --ca FILE [--udp ADDR:PORT] [--tls ADDR:PORT]
//            [--queue LINES] [--patience SECONDS]
//
//   SIGTERM, SIGINT    ends it, after what is in the queues
//   SIGHUP             reads the certificates again
#include <cutils/log.h>
#include <cutils/scope_exit.h>
#include <evcorothread/broadcast.h>
#include <evcorothread/bundle.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/ev_udp_socket.h>
#include <evcorothread/signal_watch.h>
#include <evcorothread/tls_socket.h>
#include <evcorothread/wait_group.h>
#include <getopt.h>
#include <nutils/socket_options.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;
using cutils::LogLevel;

// What comes from outside, and what it may cost.
static constexpr std::size_t kLongestLine = 2048;  // RFC 5424 wants that much to be taken
static constexpr std::size_t kMostClients = 1000;  // each has a stack to listen with and one to write with
static constexpr int kReceiveBuffer = 4'000'000;   // bytes for a burst; the kernel takes what it is allowed
static constexpr int kSendBuffer = 64 * 1024;      // bytes under way to a client, besides its queue
static constexpr Duration kHandshakePatience = 10s;

// One line for all clients; it goes when the last of them has sent it.
using Line = std::shared_ptr<const std::string>;

struct Client;

struct Options {
    std::string cert{}, key{}, ca{};
    nutils::SockAddr udp = nutils::SockAddr::loopback(5514);
    nutils::SockAddr tls = nutils::SockAddr::loopback(6514);
    std::size_t queue = 1000;  // lines a client may be behind
    Duration patience = 10s;   // how long its queue may be full
};

struct Relay {
    const Options& options;
    Broadcast<Line> lines{};
    std::set<Client*> clients{};
    WaitGroup conversations{};
};

// A client that has shown its certificate. It gets what is published while it lives.
struct Client {
    Client(Relay& its_relay, TlsSocket its_socket)
        : relay(its_relay), socket(std::move(its_socket)), name(name_of(socket)) {
        relay.clients.insert(this);
    }
    ~Client() { relay.clients.erase(this); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    static std::string name_of(const TlsSocket& socket) {
        const auto peer = socket.peer();
        return socket.info().peer_subject + " at " + (peer ? peer->to_string() : "an unknown address");
    }

    Relay& relay;
    TlsSocket socket;
    std::string name;
    Subscriber<Line> lines{relay.lines,
                           {.capacity = relay.options.queue, .slow = SlowSubscriber::drop_oldest}};
    TimePoint full_since{};  // the queue was full then, and never half empty since; or nothing
};

// ---- In: datagrams ----

// A datagram is a line, whatever is in it: what would end a line or play with a terminal stands as \xNN.
static std::string line_of(const DatagramBatch::Datagram& datagram) {
    std::string_view data = datagram.data();
    while (!data.empty() && (data.back() == '\n' || data.back() == '\r' || data.back() == '\0'))
        data.remove_suffix(1);
    std::string line;
    line.reserve(data.size() + 1);
    for (const char c : data) {
        const auto byte = static_cast<unsigned char>(c);
        char escaped[8];
        if ((byte >= ' ' && byte != 0x7f) || c == '\t')
            line += c;
        else
            line.append(escaped,
                        static_cast<std::size_t>(std::snprintf(escaped, sizeof escaped, "\\x%02x", byte)));
    }
    if (datagram.truncated()) line += " [cut: it had " + std::to_string(datagram.full_size()) + " bytes]";
    if (!line.empty()) line += '\n';
    return line;
}

static void receive(Relay& relay, EvUdpSocket& socket) {
    DatagramBatch batch(64, kLongestLine);
    for (;;) {
        const BatchResult got = socket.recv_batch(batch, Deadline::never);
        if (got.closed() || got.canceled()) return;
        if (!got) {
            cutils::log(LogLevel::error, "logrelay: receiving datagrams: %s", got.error.message().c_str());
            if (this_evthread::delay(1s)) return;
            continue;
        }
        for (const DatagramBatch::Datagram& datagram : batch)
            if (std::string line = line_of(datagram); !line.empty())
                (void)relay.lines.try_publish(std::make_shared<const std::string>(std::move(line)));
        this_evthread::yield();  // in a flood there is always a next batch, and the clients are to have
                                 // theirs
    }
}

// ---- Out: clients ----

// A client's lines, one after the other, at its own pace. While it waits in send_all, lines that come go to
// its queue; nothing but room in its socket ends that wait.
static void write_lines(Client& client) {
    std::uint64_t lost = 0;
    while (const cutils::Result<Line> line = client.lines.recv(Deadline::never)) {
        if (const std::uint64_t more = client.lines.dropped() - lost; more > 0) {
            lost += more;
            const std::string gap = "[logrelay: " + std::to_string(more) + " lines lost here]\n";
            if (!client.socket.send_all(gap, Deadline::never)) return client.socket.close();
        }
        if (!client.socket.send_all(**line, Deadline::never)) return client.socket.close();
        if (client.lines.size() <= client.lines.capacity() / 2) client.full_since = {};
    }
    (void)client.socket.shutdown_send();  // the relay ends: this was all, says the goodbye of TLS
}

static void serve(Relay& relay, const TlsContext& context, EvSocket plain) {
    (void)nutils::set_send_buffer(plain.fd(), kSendBuffer);
    (void)nutils::set_keep_alive(plain.fd(), {});
    auto socket = TlsSocket::accept(std::move(plain), context, kHandshakePatience);
    if (!socket) {
        cutils::log(LogLevel::warning, "logrelay: refused: %s", socket.error().message().c_str());
        return;
    }
    Client client(relay, std::move(*socket));
    cutils::log(LogLevel::info, "logrelay: %s is here", client.name.c_str());
    Bundle writer(this_evthread::loop());
    writer.go("writer", [&client] { write_lines(client); });
    char ignored[256];
    while (client.socket.recv(ignored, Deadline::never)) continue;  // it has nothing to say, but it may leave
    cutils::log(LogLevel::info, "logrelay: %s is gone", client.name.c_str());
}  // the bundle ends the writer, then the client goes

// ---- The slow ----

static double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

static void judge(Client& client, TimePoint now) {
    if (client.lines.size() == client.lines.capacity() && client.full_since == TimePoint())
        client.full_since = now;
    if (client.full_since == TimePoint() || now - client.full_since < client.relay.options.patience) return;
    cutils::log(LogLevel::warning,
                "logrelay: %s is dropped: its queue of %zu lines has been full for %.3g s, %llu lost",
                client.name.c_str(), client.lines.capacity(), seconds(now - client.full_since),
                static_cast<unsigned long long>(client.lines.dropped()));
    client.socket.abort();  // without a goodbye: this was not all
}

static void judge_all(Relay& relay) {
    while (!this_evthread::delay(relay.options.patience / 8))
        for (Client* const client : relay.clients)
            if (client->socket.is_open()) judge(*client, this_evthread::loop().now());
}

// ---- The program ----

static void converse(Relay& relay, const TlsContext& context, EvSocket plain) {
    relay.conversations.add();
    const cutils::ScopeExit done([&relay] { relay.conversations.done(); });
    if (relay.conversations.count() <= kMostClients)
        serve(relay, context, std::move(plain));
    else
        cutils::log(LogLevel::warning, "logrelay: sent away: there are %zu clients already", kMostClients);
}

// Waits for a signal, then lets everybody have what has come so far.
static void end(Relay& relay, Channel<int>& signals, EvUdpSocket& udp, EvTcpAcceptor& tls) {
    if (!signals.recv(Deadline::never)) return;
    tls.close();
    udp.close();
    relay.lines.close();
    if (relay.conversations.wait(relay.options.patience))
        cutils::log(LogLevel::warning, "logrelay: ends with %zu clients that did not take everything in time",
                    relay.conversations.count());
    this_evthread::loop().stop();
}

static void reload(TlsContext& context) {
    if (const cutils::Result<void> done = context.reload(); done)
        cutils::log(LogLevel::info, "logrelay: new certificates");
    else
        cutils::log(LogLevel::error, "logrelay: the old certificates stay: %s",
                    done.error().message().c_str());
}

static cutils::Result<void> run(const Options& options) {
    auto context = TlsContext::server({.certificates = {{options.cert, options.key}},
                                       .client_auth = TlsClientAuth::required,
                                       .client_ca_file = options.ca});
    if (!context) return context.error();
    corothread::StackPool stacks({.count = 2 * kMostClients + 10});
    EvLoop loop(stacks);
    Relay relay{options};
    UdpOptions udp_options;
    udp_options.recv_buffer = kReceiveBuffer;
    auto udp = EvUdpSocket::bind(loop, options.udp, udp_options);
    if (!udp) return udp.error();
    auto tls = EvTcpAcceptor::listen(loop, options.tls,
                                     [&](EvSocket plain) { converse(relay, *context, std::move(plain)); });
    if (!tls) return tls.error();

    Channel<int> signals(1);
    loop.spawn("receiver", [&] { receive(relay, *udp); });
    loop.spawn("judge", [&] { judge_all(relay); });
    loop.spawn("end", [&] { end(relay, signals, *udp, *tls); });
    const SignalWatch ending(loop, {SIGTERM, SIGINT}, [&](int signal) { (void)signals.try_send(signal); });
    const SignalWatch renewal(loop, {SIGHUP}, [&](int) { reload(*context); });
    std::printf("logrelay: datagrams at %s, TLS at %s\n", udp->local().value().to_string().c_str(),
                tls->local_address().to_string().c_str());
    std::fflush(stdout);
    loop.run();
    (void)loop.shutdown(Deadline::never);  // the coroutines use what goes now
    return {};
}

static bool set_address(nutils::SockAddr& address, const char* text) {
    const auto parsed = nutils::SockAddr::parse(text);
    if (parsed) address = *parsed;
    return parsed.ok();
}

static bool set_option(Options& options, int name, const char* text) {
    switch (name) {
        case 'u': return set_address(options.udp, text);
        case 't': return set_address(options.tls, text);
        case 'c': options.cert = text; return true;
        case 'k': options.key = text; return true;
        case 'a': options.ca = text; return true;
        case 'q': {
            const long lines = std::atol(text);
            options.queue = static_cast<std::size_t>(lines);
            return lines >= 1 && lines <= 1'000'000;
        }
        case 'p': {
            const double seconds = std::atof(text);
            options.patience = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
            return seconds >= 0.01 && seconds <= 86'400;
        }
        default: return false;
    }
}

int main(int argc, char** argv) {
    static const option kNames[] = {
        {"udp", required_argument, nullptr, 'u'},      {"tls", required_argument, nullptr, 't'},
        {"cert", required_argument, nullptr, 'c'},     {"key", required_argument, nullptr, 'k'},
        {"ca", required_argument, nullptr, 'a'},       {"queue", required_argument, nullptr, 'q'},
        {"patience", required_argument, nullptr, 'p'}, {}};
    Options options;
    bool good = true;
    for (int name; (name = ::getopt_long(argc, argv, "", kNames, nullptr)) != -1;)
        good = set_option(options, name, optarg) && good;
    if (!good || optind != argc || options.cert.empty() || options.key.empty() || options.ca.empty()) {
        std::fprintf(stderr,
                     "usage: logrelay --cert FILE --key FILE --ca FILE [--udp ADDR:PORT] [--tls ADDR:PORT]\n"
                     "                [--queue LINES] [--patience SECONDS]\n"
                     "127.0.0.1:5514, 127.0.0.1:6514, 1000 and 10 unless told; port 0 takes a free one\n");
        return 2;
    }
    const cutils::Result<void> done = run(options);
    if (!done) cutils::log(LogLevel::error, "logrelay: %s", done.error().message().c_str());
    return done ? 0 : 1;
}
