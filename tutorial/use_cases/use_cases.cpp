// The use cases of structured concurrency, one function each; ../use_cases.md tells about them.
//
//   use_cases [NAME]...     all unless told; prints what happens, and when
//
// They take half a minute, and run in milliseconds: the clock is a virtual one.
#include <evcorothread/bundle.h>
#include <evcorothread/channel.h>
#include <evcorothread/ev_socket.h>
#include <evcorothread/select.h>
#include <sys/socket.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

using namespace evcorothread;
using namespace std::chrono_literals;

static TimePoint begun;  // the use case

[[gnu::format(printf, 1, 2)]] static void say(const char* format, ...) {
    const std::chrono::duration<double> since = this_evthread::loop().now() - begun;
    std::printf("%6.1f s  ", since.count());
    va_list arguments;
    va_start(arguments, format);
    std::vprintf(format, arguments);
    va_end(arguments);
    std::printf("\n");
}

static void parent_cancels_child(EvLoop& loop) {
    Bundle children(loop);
    children.go("worker", [] {
        int pieces = 0;
        while (!this_evthread::delay(300ms)) ++pieces;  // an error: canceled
        say("worker: canceled, %d done", pieces);
    });
    (void)this_evthread::delay(1s);
    say("parent: enough");
}  // here the bundle cancels the child, and waits until it has ended

static void parent_cancels_many(EvLoop& loop) {
    Bundle children(loop);
    for (int i = 1; i <= 3; ++i) {
        children.go("worker", [i] {
            int pieces = 0;
            while (!this_evthread::delay(i * 300ms)) ++pieces;
            say("worker %d: canceled, %d done", i, pieces);
        });
    }
    (void)this_evthread::delay(1s);
    say("parent: enough, %zu of you", children.size());
}

static cutils::Result<void> parent_waits_for_result(EvLoop& loop) {
    int apples = 0, pears = 0;
    Bundle children(loop);
    children.go("apples", [&apples] {
        (void)this_evthread::delay(2s);
        apples = 3;
    });
    children.go("pears", [&pears] {
        (void)this_evthread::delay(3s);
        pears = 4;
    });
    if (auto done = children.wait(10s); !done) return done;  // the first failure, or timed_out
    say("parent: %d pieces of fruit", apples + pears);
    return {};
}

// Like a piece of work that tidies up when it is stopped.
static void work(const char* name, Duration time) {
    if (!this_evthread::delay(time)) return say("%s: done", name);
    const CancelShield shield(1s);  // good-byes may wait again, for a second
    (void)this_evthread::delay(200ms);
    say("%s: stopped, and tidied up", name);
}

static void grace_period(EvLoop& loop) {
    Bundle children(loop);
    children.go("work", [] { work("work", 30s); });
    say("parent: ten seconds more");
    if (!children.wait(10s)) say("parent: time is up");
    children.cancel();
    (void)children.wait(Deadline::never);
    say("parent: alone");
}

static void many_with_a_grace_period(EvLoop& loop) {
    Bundle children(loop);
    for (const int seconds : {4, 8, 12, 16}) {
        children.go("work",
                    [seconds] { work(("work of " + std::to_string(seconds) + " s").c_str(), seconds * 1s); });
    }
    say("parent: ten seconds more");
    if (!children.wait(10s)) say("parent: time is up for %zu", children.size());
    if (!children.close(2s)) say("parent: somebody does not listen");
    say("parent: alone");
}

// Everybody hears of the end at the same time, and goes on with what it has begun.
static void broadcast_of_shutdown(EvLoop& loop) {
    Channel<int> jobs;
    Channel<int> shutdown;  // nothing is ever sent there: it is closed
    Bundle workers(loop);
    for (const char* const name : {"Ann", "Bob"}) {
        workers.go(name, [&, name] {
            for (bool at_work = true; at_work;) {
                const SelectResult which = select(  //
                    jobs.on_recv([name](int job) {
                        (void)this_evthread::delay(2s);
                        say("%s: job %d done", name, job);
                    }),
                    shutdown.on_recv([&] { at_work = false; }), Deadline::never);
                if (which.canceled()) return;
            }
            say("%s: goes home", name);
        });
    }
    for (int job = 1; job <= 3; ++job) (void)jobs.send(job, Deadline::never);
    say("parent: that was the last job");
    shutdown.close();
    if (!workers.wait(10s)) say("parent: time is up");
    say("parent: alone");
}

// An object with coroutines of its own: whoever uses it sees send, recv and close.
class Connection {
  public:
    Connection(EvLoop& loop, EvSocket socket) : socket_(std::move(socket)), background_(loop) {
        background_.go("sender", [this] {
            const std::error_code error = send_outbox();
            outbox_.close();  // nobody takes anything out any more
            return error;     // if it is one, the bundle cancels the receiver
        });
        background_.go("receiver", [this] {
            const std::error_code error = fill_inbox();
            inbox_.close();
            return error;
        });
    }
    std::error_code send(std::string line, Deadline deadline) {
        return outbox_.send(std::move(line), deadline);
    }
    cutils::Result<std::string> recv(Deadline deadline) { return inbox_.recv(deadline); }

    // Sends what is still in the outbox, and waits for the peer's end. Not called: both are canceled.
    cutils::Result<void> close(Deadline deadline) {
        outbox_.close();
        return background_.wait(deadline);
    }

  private:
    std::error_code send_outbox() {
        while (const auto line = outbox_.recv(Deadline::never))
            if (const IoResult sent = socket_.send_all(*line + "\n", Deadline::never); !sent)
                return sent.error;
        return socket_.shutdown_send().error;
    }
    std::error_code fill_inbox() {
        nutils::ByteBuffer input(4096);
        for (;;) {
            const IoResult got = socket_.recv_until(input, "\n", 4096, Deadline::never);
            if (!got) return got.eof() ? std::error_code() : got.error;
            std::string line(input.readable().substr(0, got.bytes - 1));
            input.consume(got.bytes);
            if (auto error = inbox_.send(std::move(line), Deadline::never)) return error;
        }
    }
    EvSocket socket_;
    Channel<std::string> outbox_{16}, inbox_{16};
    Bundle background_;  // the last member, so the first to end: what its children use is there until then
};

static void connection_with_sender_and_receiver(EvLoop& loop) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return say("no sockets");
    Bundle peer(loop);
    peer.go("there", [&loop, fd = nutils::UniqueFd(ends[1])]() mutable {
        Connection there(loop, EvSocket(loop, std::move(fd)));
        while (auto line = there.recv(Deadline::never)) (void)there.send("you said " + *line, 1s);
        return there.close(1s);
    });
    {
        Connection here(loop, EvSocket(loop, nutils::UniqueFd(ends[0])));
        for (const char* const line : {"one", "two", "three"}) (void)here.send(line, 1s);  // does not wait
        for (int i = 0; i < 3; ++i)
            if (auto line = here.recv(1s)) say("here: %s", line->c_str());
        if (!here.recv(5s)) say("here: nothing more");
        if (here.close(1s)) say("here: closed, both sides have heard everything");
    }  // without the close(), sender and receiver would be canceled here
    if (peer.wait(1s)) say("there: closed, too");
}

// From a child's child up to whoever waits; the sibling has ended by then.
static void failure_of_a_grandchild(EvLoop& loop) {
    Bundle children(loop);
    children.go("sibling", [] {
        if (this_evthread::delay(1h)) say("sibling: canceled");
    });
    children.go("child", [&loop] {
        Bundle grandchildren(loop);
        grandchildren.go("grandchild", [] {
            (void)this_evthread::delay(1s);
            throw std::runtime_error("out of paper");
        });
        (void)grandchildren.wait(Deadline::never);  // throws
        say("child: never comes here");
    });
    try {
        (void)children.wait(Deadline::never);
    } catch (const std::exception& error) {
        say("parent: %s", error.what());
    }
}

int main(int argc, char** argv) {
    static constexpr struct {
        const char* name;
        void (*function)(EvLoop&);
    } kCases[] = {
        {"parent_cancels_child", parent_cancels_child},
        {"parent_cancels_many", parent_cancels_many},
        {"parent_waits_for_result", [](EvLoop& loop) { parent_waits_for_result(loop).value(); }},
        {"grace_period", grace_period},
        {"many_with_a_grace_period", many_with_a_grace_period},
        {"broadcast_of_shutdown", broadcast_of_shutdown},
        {"connection_with_sender_and_receiver", connection_with_sender_and_receiver},
        {"failure_of_a_grandchild", failure_of_a_grandchild},
    };
    corothread::StackPool stacks({.count = 100});
    int shown = 0;
    for (const auto& each : kCases) {
        bool wanted = argc == 1;
        for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], each.name) == 0;
        if (!wanted) continue;
        ++shown;
        EvLoop loop(stacks, {.clock = LoopClock::virtual_time});
        loop.spawn("parent", [&loop, &each] {
            std::printf("%s\n", each.name);
            begun = loop.now();
            each.function(loop);
        });
        loop.run();
    }
    if (shown >= (argc == 1 ? 1 : argc - 1)) return 0;
    std::fprintf(stderr, "usage: use_cases [NAME]...    of:\n");
    for (const auto& each : kCases) std::fprintf(stderr, "  %s\n", each.name);
    return 2;
}
