// A chat server: lines over TCP. Who connects says a name, and from then on hears everybody.
//
//   chat [ADDR:PORT [SECONDS]]     127.0.0.1:5556 unless told; port 0 takes a free one
//
// SECONDS: how long a client may take nothing of what it is sent; 10 unless told.
//
// SIGTERM and Ctrl-C end it: everybody hears so.
#include <cutils/scope_exit.h>
#include <evcorothread/broadcast.h>
#include <evcorothread/bundle.h>
#include <evcorothread/ev_tcp_acceptor.h>
#include <evcorothread/signal_watch.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;

static constexpr std::size_t kLongestLine = 1000;
static constexpr std::size_t kLongestName = 20;

// One copy of a line, however many hear it.
using Message = std::shared_ptr<const std::string>;

// Who is there, and what is said. Only coroutines of one loop use it, so it needs no lock.
struct Room {
    std::set<std::string> names;
    Broadcast<Message> talk;

    // Never waits: whoever does not keep up with what is said is dropped (see serve).
    void say(const std::string& line) { (void)talk.try_publish(std::make_shared<std::string>(line + "\n")); }
};

// What a terminal may be shown: no escape sequences, whatever somebody types.
static std::string printable(std::string_view bytes) {
    std::string text(bytes);
    for (char& c : text)
        if (static_cast<unsigned char>(c) < ' ' || c == 127) c = '?';
    return text;
}

static cutils::Result<std::string> recv_line(EvSocket& socket, nutils::ByteBuffer& input, Deadline deadline) {
    const IoResult got = socket.recv_until(input, "\n", kLongestLine, deadline);
    if (!got) return got.error;
    std::string_view line = input.readable().substr(0, got.bytes - 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::string text = printable(line);
    input.consume(got.bytes);
    return text;
}

// A name that nobody else has, or why there is none.
static cutils::Result<std::string> ask_name(EvSocket& socket, nutils::ByteBuffer& input, Room& room) {
    const Deadline deadline = socket.now() + 30s;  // for all attempts together
    for (std::string question = "Your name?\n";; question = "That name is taken, or none. Another?\n") {
        if (const IoResult sent = socket.send_all(question, deadline); !sent) return sent.error;
        cutils::Result<std::string> name = recv_line(socket, input, deadline);
        if (!name) return name.error();
        if (!name->empty() && name->size() <= kLongestName && room.names.insert(*name).second) return name;
    }
}

// The half of a client's conversation that sends; serve is the other.
static void deliver(const std::string& name, Subscriber<Message>& heard, EvSocket& socket,
                    Duration patience) {
    std::error_code error;
    while (!error) {
        const cutils::Result<Message> message = heard.recv(Deadline::never);
        error = message ? socket.send_all(**message, patience).error : message.error().code();
    }
    if (error == NetError::timed_out || error == std::errc::no_buffer_space)
        std::fprintf(stderr, "chat: %s is too slow\n", name.c_str());
    (void)socket.shutdown_send();    // the client hears all that was sent,
    (void)this_evthread::delay(1s);  // has a second to hang up, too,
    socket.close();                  // and then it is over, also for serve
}

static void serve(EvSocket socket, Room& room, Duration patience) {
    nutils::ByteBuffer input(kLongestLine);
    const cutils::Result<std::string> name = ask_name(socket, input, room);
    if (!name) return;
    const cutils::ScopeExit leave([&] {
        room.names.erase(*name);
        room.say("* " + *name + " has left");
    });

    // Two hundred lines may wait for a client that reads slowly; then it is dropped, and nobody waits for it.
    Subscriber<Message> heard(room.talk, {.capacity = 200, .slow = SlowSubscriber::disconnect});
    Bundle other_half(this_evthread::loop());  // ends, and so ends deliver, before what deliver uses
    if (!other_half.try_go("deliver", [&] { deliver(*name, heard, socket, patience); })) {
        (void)socket.send_all("The room is full.\n", 1s);
        return;
    }
    room.say("* " + *name + " has joined");
    while (const auto line = recv_line(socket, input, 10min)) {
        if (*line == "/who") {
            std::string all = "* here:";
            for (const std::string& one : room.names) all += " " + one;
            room.say(all);  // to all: deliver is the only one who may send on the socket
        } else if (!line->empty()) {
            room.say(*name + ": " + *line);
        }
        this_evthread::yield();  // who sends a thousand lines at once lets the others send them on in between
    }
}

int main(int argc, char** argv) {
    const auto address = nutils::SockAddr::parse(argc > 1 ? argv[1] : "127.0.0.1:5556");
    const int seconds = argc > 2 ? std::atoi(argv[2]) : 10;
    if (argc > 3 || !address || seconds <= 0) {
        std::fprintf(stderr, "usage: chat [ADDR:PORT [SECONDS]]    port 0 takes a free one\n");
        return 2;
    }
    Room room;                                      // older than the loop, whose coroutines use it
    corothread::StackPool stacks({.count = 1000});  // 500 clients: each has two coroutines
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::listen(loop, *address, [&room, seconds](EvSocket socket) {
        serve(std::move(socket), room, std::chrono::seconds(seconds));
    });
    if (!acceptor) {
        std::fprintf(stderr, "chat: %s\n", acceptor.error().message().c_str());
        return 1;
    }
    const SignalWatch ending(loop, {SIGTERM, SIGINT, SIGALRM}, [&loop](int) { loop.stop(); });
    std::printf("chat: listening on %s\n", acceptor->local_address().to_string().c_str());
    std::fflush(stdout);

    loop.run();  // until a signal comes
    acceptor->close();
    room.say("* the server ends");
    room.talk.close();  // everybody gets what was said, then the end
    alarm(3);           // for those who do not hang up; the loop's destructor cancels who is left then
    loop.run();
    alarm(0);
}
