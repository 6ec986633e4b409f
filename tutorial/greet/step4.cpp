// Greet, step 4: many clients at a time. Compare it with step 3: one number is different. The same in C is
// step4_c.c.
//
//   step4 [ADDR:PORT]     127.0.0.1:5555 unless told; port 0 takes a free one
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/signal_watch.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;

static constexpr std::size_t kLongestLine = 256;

// A line without its end, which the end of the stream may be, too. Bytes, not text: nobody has promised
// UTF-8.
static cutils::Result<std::string> recv_line(EvSocket& socket) {
    nutils::ByteBuffer input(kLongestLine);
    const IoResult got = socket.recv_until(input, "\n", kLongestLine, Deadline::never);
    if (!got && !(got.eof() && got.bytes > 0)) return got.error;
    std::string line(input.readable().substr(0, got.bytes));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    return line;
}

static std::error_code converse(EvSocket& socket) {
    if (const IoResult sent = socket.send_all("What's your name?\n", Deadline::never); !sent)
        return sent.error;
    const cutils::Result<std::string> name = recv_line(socket);
    if (name) {
        const std::string& who = name->empty() ? "stranger" : *name;
        return socket.send_all("Hello, " + who + "!\n", Deadline::never).error;
    }
    if (name.error().code() == NetError::too_long)
        return socket.send_all("That is too long a name for me.\n", Deadline::never).error;
    return name.error().code();
}

// Ends the conversation so that the client hears all of it: bytes that nobody has read when a socket closes
// turn the close into a reset, which may overtake our last words.
static void hang_up(EvSocket& socket) {
    if (!socket.shutdown_send()) return;
    const Deadline enough = socket.now() + 1s;
    char rest[512];
    while (socket.recv(rest, enough)) continue;  // until the client hangs up, too
}

static void serve(EvSocket socket) {
    if (const std::error_code error = converse(socket))
        std::fprintf(stderr, "greet: lost a client: %s\n", error.message().c_str());
    else
        hang_up(socket);
}

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:5555");
    if (argc > 2 || !address) {
        std::fprintf(stderr, "usage: step4 [ADDR:PORT]    port 0 takes a free one\n");
        return 2;
    }
    corothread::StackPool stacks({.count = 1000});  // as many clients at a time
    EvLoop loop(stacks);
    const SignalWatch ending(loop, {SIGTERM, SIGINT, SIGALRM}, [&loop](int) { loop.stop(); });
    auto acceptor = EvTcpAcceptor::listen(loop, *address, serve);
    if (!acceptor) {
        std::fprintf(stderr, "greet: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    std::printf("greet: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);

    loop.run();         // until a signal comes
    acceptor->close();  // nobody new
    alarm(2);           // those who are being served have two seconds,
    loop.run();         // or less, if there is nobody
    alarm(0);
}  // the loop cancels those who are left
