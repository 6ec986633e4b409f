// Other processes: programs, forks, and workers that are replaced.
#include <signal.h>

#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/fork_child.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/workers.h"
#include "nutils/listen_stream.h"
#include "test/faults/scenario.h"

namespace faults {
namespace {

using namespace evcorothread;
using nutils::SockAddr;
using process::ChildProcess;
using process::Stdio;

void talk_to_cat(EvLoop& loop) {
    auto cat = ChildProcess::spawn(loop, {"cat"}, {.input = Stdio::pipe(), .output = Stdio::pipe()});
    if (!good("spawn", cat)) return;
    std::string back(4000, '\0');
    if (good("cat's input", cat->input().send_all(std::string(4000, 'c'), kPatience)) &&
        good("cat's output", cat->output().recv_exact(back, kPatience)) && back != std::string(4000, 'c'))
        wrong("cat said something else");
    cat->input().close();
    check_end("cat", *cat, {.ours = false});
}

void end_a_sleeper(EvLoop& loop) {
    auto child = ChildProcess::spawn(loop, {"sleep", "100"}, {.errors = Stdio::null()});
    if (!good("spawn", child)) return;
    if (auto error = child->kill(SIGTERM)) {
        failed("kill", error);
        (void)child->kill(SIGKILL);
    }
    check_end("sleep", *child, {.signal = SIGTERM, .ours = false});
}

void fork_one(EvLoop& loop) {
    auto child = process::fork_child(loop, [] {
        forget_all();
        in_loop([](EvLoop&) {
            if (auto error = this_evthread::delay(1ms)) failed("a delay", error);
        });
        return verdict();
    });
    if (good("fork", child)) check_end("a forked child", *child);
}

int serve(process::Worker& self) {
    forget_all();
    try {
        corothread::StackPool stacks({.count = 5});
        EvLoop loop(stacks);
        auto acceptor =
            EvTcpAcceptor::adopt(loop, self.take_listener(), [](EvSocket socket) { echo(socket); });
        if (!good("a worker's acceptor", acceptor)) return verdict();
        const SignalWatch stop(loop, {SIGTERM}, [&](int) { acceptor->close(); });
        self.ready();
        loop.run();
    } catch (const std::exception& e) {
        failed("a worker", e.what());
    }
    return verdict() == 2 ? 2 : 0;
}

void visit(EvLoop& loop, const SockAddr& address) {
    auto client = EvSocket::connect(loop, address, kPatience);
    if (good("connect to a worker", client)) converse("echo of a worker", *client);
}

}  // namespace

void children(const Life&) {
    in_loop([](EvLoop& loop) {
        if (ChildProcess::spawn(loop, {"/no/such/program"})) wrong("a program that is not there was started");
        talk_to_cat(loop);
        end_a_sleeper(loop);
        fork_one(loop);
    });
}

void workers(const Life&) {
    in_loop([](EvLoop& loop) {
        auto listener = nutils::listen_stream(SockAddr::loopback(0));
        if (!good("listen", listener)) return;
        const auto address = SockAddr::local_of(listener->get());
        if (!good("getsockname", address)) return;
        auto ends = nutils::make_pipe();
        if (!good("a pipe", ends)) return;
        auto parent = process::fork_child(loop, [&] {
            forget_all();
            const auto tell = [&](const process::WorkerEvent& event) {
                const char kind = event.kind == process::WorkerEvent::Kind::ready      ? 'r'
                                  : event.kind == process::WorkerEvent::Kind::reloaded ? 'R'
                                  : event.kind == process::WorkerEvent::Kind::failed   ? 'F'
                                                                                       : '-';
                (void)!::write(ends->writing.get(), &kind, 1);
            };
            try {
                process::Workers all(std::move(*listener), serve,
                                     {.count = 2, .drain = 2s, .ready_within = 1s, .on_event = tell});
                return all.run();
            } catch (const std::exception& e) {
                failed("the workers' parent", e.what());
                return 1;
            }
        });
        if (!good("fork", parent)) return;
        ends->writing.reset();
        listener->reset();
        EvPipe news(loop, std::move(ends->reading));
        // Waits for so many events of these kinds. There may be none: what fails in one worker fails in all.
        const auto wait_for = [&](std::string_view kinds, int count) {
            char kind;
            while (count > 0) {
                if (const auto got = news.recv({&kind, 1}, kPatience); !got)
                    return failed("news of the workers", std::string_view(got.error.message())), false;
                if (kinds.find(kind) != std::string_view::npos) --count;
            }
            return true;
        };
        if (wait_for("r", 2)) {
            visit(loop, *address);
            if (auto error = parent->kill(SIGHUP))
                failed("kill", error);
            else if (wait_for("RF", 1))
                visit(loop, *address);
        }
        if (auto error = parent->kill(SIGTERM)) (void)parent->kill(SIGTERM);
        check_end("the workers' parent", *parent);
    });
}

}  // namespace faults
