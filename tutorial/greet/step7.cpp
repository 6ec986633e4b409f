// Greet, step 7: several processes, one listening socket. Each worker is the server of step 6; the parent
// keeps them running.
//
//   step7 [ADDR:PORT [SECONDS [WORKERS]]]     127.0.0.1:5555, 10 and a worker for each CPU unless told;
//                                         port 0 takes a free one
//
//   SIGTERM, SIGINT    ends it, after the conversations in flight
//   SIGHUP             replaces the workers, one by one
#include <evcorothread/channel.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/select.h>
#include <evcorothread/signal_watch.h>
#include <evcorothread/workers.h>
#include <nutils/listen_stream.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

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
                       Duration patience, unsigned worker) {
    std::uint64_t established = 0, succeeded = 0, failed = 0;
    Deadline until = Deadline::never;
    while (acceptor.is_open() || succeeded + failed < acceptor.accepted()) {
        const SelectResult which = select(  //
            events.on_recv([&](Event event) {
                if (event == Event::established) ++established;
                if (event == Event::succeeded) ++succeeded;
                if (event == Event::failed) ++failed;
                std::printf("worker %u (%d): %llu in all, %llu active, %llu failed\n", worker, getpid(),
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

// A worker process, from fork to exit.
static int work(process::Worker& self, Duration patience) {
    Channel<Event> events(100);  // they die after the loop and its coroutines, being older
    Channel<int> signals(1);
    corothread::StackPool stacks({.count = 1001});  // a thousand clients, and the statistics
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::adopt(loop, self.take_listener(), [&events, patience](EvSocket socket) {
                        serve(std::move(socket), patience, events);
                    }).value();
    loop.spawn("statistics", [&] { statistics(events, signals, acceptor, patience, self.index()); });
    const SignalWatch ending(loop, {SIGTERM}, [&signals](int signal) { (void)signals.try_send(signal); });
    self.ready();
    loop.run();
    return 0;
}

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:5555");
    const double seconds = argc > 2 ? std::atof(argv[2]) : 10;
    const int count = argc > 3 ? std::atoi(argv[3]) : 0;
    if (argc > 4 || !address || !(seconds > 0 && seconds <= 3600) || count < 0 || (argc > 3 && count == 0)) {
        std::fprintf(stderr, "usage: step7 [ADDR:PORT [SECONDS [WORKERS]]]    port 0 takes a free one\n");
        return 2;
    }
    const auto patience = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));

    auto listener = nutils::listen_stream(*address);
    if (!listener) {
        std::fprintf(stderr, "greet: %s\n", listener.error().message().c_str());
        return 1;
    }
    const std::string where = nutils::SockAddr::local_of(listener->get()).value().to_string();
    process::WorkersOptions options{.count = static_cast<unsigned>(count), .drain = patience + 5s};
    options.on_event = [&where, said = false](const process::WorkerEvent& event) mutable {
        if (event.kind != process::WorkerEvent::Kind::ready || std::exchange(said, true)) return;
        std::printf("greet: listening on %s\n", where.c_str());
        std::fflush(stdout);
    };
    process::Workers workers(
        *std::move(listener), [patience](process::Worker& self) { return work(self, patience); },
        std::move(options));
    return workers.run();
}
