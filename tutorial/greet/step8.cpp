// Greet, step 8: over TLS. The conversation is that of step 6; it does not know what carries it.
//
//   step8 CERTIFICATE KEY [ADDR:PORT [SECONDS]]     two PEM files; 127.0.0.1:5555 and 10 unless told;
//                                                   port 0 takes a free one
//
//   SIGTERM, SIGINT    ends it, after the conversations in flight
//   SIGHUP             reads the files again: who comes from then on gets the new certificate
#include <evcorothread/channel.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/select.h>
#include <evcorothread/signal_watch.h>
#include <evcorothread/tls_socket.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;

static constexpr std::size_t kLongestLine = 256;

// A line without its end, which the end of the stream may be, too. Bytes, not text: nobody has promised
// UTF-8.
static cutils::Result<std::string> recv_line(nutils::ByteStream& socket, Deadline deadline) {
    nutils::ByteBuffer input(kLongestLine);
    const IoResult got = socket.recv_until(input, "\n", kLongestLine, deadline);
    if (!got && !(got.eof() && got.bytes > 0)) return got.error;
    std::string line(input.readable().substr(0, got.bytes));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    return line;
}

static std::error_code converse(nutils::ByteStream& socket, Deadline deadline) {
    if (const IoResult sent = socket.send_all("What's your name?\n", deadline); !sent) return sent.error;
    const cutils::Result<std::string> name = recv_line(socket, deadline);
    if (name) {
        const std::string& who = name->empty() ? "stranger" : *name;
        return socket.send_all("Hello, " + who + "!\n", deadline).error;
    }
    const std::error_code error = name.error().code();
    if (error == NetError::too_long)
        return socket.send_all("That is too long a name for me.\n", deadline).error;
    if (error == NetError::timed_out)  // nothing may wait any more, but what can go at once still goes
        (void)socket.send_all("I cannot wait any longer. Bye!\n", deadline);
    return error;
}

// Shakes hands, talks, says goodbye. TLS has a goodbye of its own: a client that hears it knows that it has
// heard all, and that nobody has cut the connection.
static std::error_code greet(EvSocket plain, const TlsContext& context, Deadline deadline) {
    auto socket = TlsSocket::accept(std::move(plain), context, deadline);
    if (!socket) {
        std::fprintf(stderr, "greet: %s\n", socket.error().message().c_str());
        return socket.error().code();
    }
    const std::error_code error = converse(*socket, deadline);
    if (!error) (void)socket->close(Deadline::earlier(deadline, 1s, socket->now()));
    return error;
}

enum class Event { established, succeeded, failed };

static void serve(EvSocket plain, const TlsContext& context, Duration patience, Channel<Event>& events) {
    const Deadline deadline = plain.now() + patience;  // one for all that follows, the handshake included
    (void)events.send(Event::established, Deadline::never);
    const std::error_code error = greet(std::move(plain), context, deadline);
    (void)events.send(error ? Event::failed : Event::succeeded, Deadline::never);
}

// Counts, and says so on every change; ends the server when a signal comes, and itself when the last
// conversation has told how it went.
static void statistics(Channel<Event>& events, Channel<int>& signals, EvTcpAcceptor& acceptor,
                       Duration patience) {
    std::uint64_t established = 0, succeeded = 0, failed = 0;
    Deadline until = Deadline::never;
    while (acceptor.is_open() || succeeded + failed < acceptor.accepted()) {
        const SelectResult which = select(  //
            events.on_recv([&](Event event) {
                if (event == Event::established) ++established;
                if (event == Event::succeeded) ++succeeded;
                if (event == Event::failed) ++failed;
                std::printf("connections: %llu in all, %llu active, %llu failed\n",
                            static_cast<unsigned long long>(established),
                            static_cast<unsigned long long>(established - succeeded - failed),
                            static_cast<unsigned long long>(failed));
                std::fflush(stdout);
            }),
            signals.on_recv([&](int) {
                acceptor.close();
                until = this_evthread::loop().now() + patience + 1s;
            }),
            until);
        if (!which) break;  // timed out: somebody keeps to no deadline
    }
}

static void reload(TlsContext& context) {
    const cutils::Result<void> done = context.reload();
    std::printf("greet: %s%s\n", done ? "new certificate" : "the old certificate stays: ",
                done ? "" : done.error().message().c_str());
    std::fflush(stdout);
}

static int explain() {
    std::fprintf(stderr,
                 "usage: step8 CERTIFICATE KEY [ADDR:PORT [SECONDS]]    port 0 takes a free one\n"
                 "A certificate to try it out, and its key, are made by\n"
                 "  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
                 "-subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 "
                 "-keyout key.pem -out cert.pem\n");
    return 2;
}

int main(int argc, char** argv) {
    if (argc < 3 || argc > 5) return explain();
    const auto address = nutils::SockAddr::parse(argc > 3 ? argv[3] : "127.0.0.1:5555");
    const double seconds = argc > 4 ? std::atof(argv[4]) : 10;
    if (!address || !(seconds > 0 && seconds <= 3600)) return explain();
    const auto patience = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));

    auto context = TlsContext::server({.certificates = {{argv[1], argv[2]}}});
    if (!context) {
        std::fprintf(stderr, "greet: %s\n", context.error().message().c_str());
        return 1;
    }
    Channel<Event> events(100);  // they die after the loop and its coroutines, being older
    Channel<int> signals(1);
    corothread::StackPool stacks({.count = 1001});  // a thousand clients, and the statistics
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::listen(
        loop, *address, [&](EvSocket plain) { serve(std::move(plain), *context, patience, events); });
    if (!acceptor) {
        std::fprintf(stderr, "greet: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    loop.spawn("statistics", [&] { statistics(events, signals, *acceptor, patience); });
    const SignalWatch ending(loop, {SIGTERM, SIGINT},
                             [&signals](int signal) { (void)signals.try_send(signal); });
    const SignalWatch renewal(loop, {SIGHUP}, [&context](int) { reload(*context); });
    std::printf("greet: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);

    loop.run();  // until the statistics, and with them all conversations, have ended
}
