// Greet, step 5: deadlines. A conversation takes ten seconds at most, whatever the client does or does not.
// The same in C is step5_c.c.
//
//   step5 [ADDR:PORT [SECONDS]]     127.0.0.1:5555 and 10 unless told; port 0 takes a free one
#include <evcorothread/ev_tcp_acceptor.h>
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

static void serve(EvSocket socket, Duration patience) {
    const Deadline deadline = socket.now() + patience;  // one for all that follows
    if (const std::error_code error = converse(socket, deadline))
        std::fprintf(stderr, "greet: lost a client: %s\n", error.message().c_str());
    else
        hang_up(socket, deadline);
}

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:5555");
    const double seconds = argc > 2 ? std::atof(argv[2]) : 10;
    if (argc > 3 || !address || !(seconds > 0 && seconds <= 3600)) {
        std::fprintf(stderr, "usage: step5 [ADDR:PORT [SECONDS]]    port 0 takes a free one\n");
        return 2;
    }
    const auto patience = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));

    corothread::StackPool stacks({.count = 1000});
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::listen(
        loop, *address, [patience](EvSocket socket) { serve(std::move(socket), patience); });
    if (!acceptor) {
        std::fprintf(stderr, "greet: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    const SignalWatch ending(loop, {SIGTERM, SIGINT}, [&acceptor](int) { acceptor->close(); });
    std::printf("greet: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);

    loop.run();  // until a signal has come, and after it the last client has gone: `patience` at most
}
