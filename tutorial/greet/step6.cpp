// Greet, step 6: statistics. Conversations tell a coroutine of their own what happens; nothing is shared.
//
//   step6 [ADDR:PORT [SECONDS]]     127.0.0.1:5555 and 10 unless told; port 0 takes a free one
#include <evcorothread/channel.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/select.h>
#include <evcorothread/signal_watch.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;

static constexpr std::size_t kLongestLine = 256;

// A line without its end, which the end of the stream may be, too. Bytes, not text: nobody has promised
// UTF-8.
static cutils::Result<std::string> recv_line(EvSocket& socket, Deadline deadline) {
    nutils::ByteBuffer input(kLongestLine);
    const IoResult got = socket.recv_until(input, "\n", kLongestLine, deadline);
    if (!got && !(got.eof() && got.bytes > 0)) return got.error;
    std::string line(input.readable().substr(0, got.bytes));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    return line;
}

static std::error_code converse(EvSocket& socket, Deadline deadline) {
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

// Ends the conversation so that the client hears all of it: bytes that nobody has read when a socket closes
// turn the close into a reset, which may overtake our last words.
static void hang_up(EvSocket& socket, Deadline deadline) {
    if (!socket.shutdown_send()) return;
    const Deadline enough = Deadline::earlier(deadline, 1s, socket.now());
    char rest[512];
    while (socket.recv(rest, enough)) continue;  // until the client hangs up, too
}

enum class Event { established, succeeded, failed };

static void serve(EvSocket socket, Duration patience, Channel<Event>& events) {
    const Deadline deadline = socket.now() + patience;  // one for all that follows
    (void)events.send(Event::established, Deadline::never);
    const std::error_code error = converse(socket, deadline);
    if (!error) hang_up(socket, deadline);
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
                if (!acceptor.is_open()) return;  // we know
                acceptor.close();
                until = this_evthread::loop().now() + patience + 1s;
            }),
            until);
        if (!which) break;  // timed out: somebody keeps to no deadline
    }
}

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:5555");
    const double seconds = argc > 2 ? std::atof(argv[2]) : 10;
    if (argc > 3 || !address || !(seconds > 0 && seconds <= 3600)) {
        std::fprintf(stderr, "usage: step6 [ADDR:PORT [SECONDS]]    port 0 takes a free one\n");
        return 2;
    }
    const auto patience = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));

    Channel<Event> events(100);  // they die after the loop and its coroutines, being older
    Channel<int> signals(1);
    corothread::StackPool stacks({.count = 1001});  // a thousand clients, and the statistics
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::listen(
        loop, *address, [&events, patience](EvSocket socket) { serve(std::move(socket), patience, events); });
    if (!acceptor) {
        std::fprintf(stderr, "greet: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    loop.spawn("statistics", [&] { statistics(events, signals, *acceptor, patience); });
    const SignalWatch ending(loop, {SIGTERM, SIGINT},
                             [&signals](int signal) { (void)signals.try_send(signal); });
    std::printf("greet: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);

    loop.run();  // until the statistics, and with them all conversations, have ended
}
