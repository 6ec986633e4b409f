// Servers that are processes of their own, and reload while clients come: Workers, and the webby program.
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "evcorothread/child_process.h"
#include "evcorothread/ev_tcp_acceptor.h"
#include "evcorothread/fork_child.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/workers.h"
#include "nutils/listen_stream.h"
#include "test/soak/peers.h"

namespace soak {
namespace {

using namespace evcorothread;
using nutils::SockAddr;
using process::ChildProcess;

// Tells it to end, and waits until it has.
void end(ChildProcess& child, std::string_view name) {
    if (child.kill(SIGTERM)) complain(std::string(name) + " is not there any more");
    auto status = child.wait(30s);
    if (status && status->success()) return;
    complain(std::string(name) + (status ? " ended with " + status->to_string() : " does not end"));
    (void)child.kill(SIGKILL);
    (void)child.wait(10s);
}

// In a worker.
int serve(process::Worker& self) {
    corothread::StackPool stacks({.count = 50});
    EvLoop loop(stacks);
    auto acceptor = EvTcpAcceptor::adopt(loop, self.take_listener(), [](EvSocket socket) { echo(socket); });
    if (!acceptor) return 1;
    const SignalWatch stop(loop, {SIGTERM}, [&](int) { acceptor->close(); });
    self.ready();
    loop.run();
    return 0;
}

class PreforkedWorkers final : public Feature {
  public:
    PreforkedWorkers() : Feature("workers") {}

    void prepare(Round& round) override {
        auto listener = nutils::listen_stream(SockAddr::loopback(0));
        if (!listener) return complain("workers cannot listen");
        address_ = SockAddr::local_of(listener->get()).value();
        auto parent = process::fork_child(round.loop, [&] {
            process::Workers workers(*std::move(listener), serve, {.count = 2, .drain = 5s});
            return workers.run();
        });
        if (!parent) return complain("no fork: " + parent.error().message());
        parent_ = *std::move(parent);
    }

    void run(Round& round) override {
        if (parent_.pid() == 0) return;
        EvThread reloading = round.loop.spawn("reloading", [&, dice = Dice(round.dice.seed())]() mutable {
            while (!this_evthread::delay(100ms + dice.up_to(500ms)))
                if (parent_.kill(SIGHUP)) complain("the workers' parent is gone");
        });
        crowd(round, "worker's client", 8, [&](Dice& dice) {
            auto socket = EvSocket::connect(round.loop, address_, 1s);
            if (!socket) {
                // The socket listens all the time, whatever becomes of the workers.
                if (socket.error() == std::errc::connection_refused) complain("workers refuse a connection");
                (void)this_evthread::delay(2ms);
                return;
            }
            if (dice.one_in(4)) return misbehave(*socket, dice);
            for (std::size_t n = 1 + dice.below(20); n > 0 && converse(*socket, dice); --n) count();
        });
        reloading.cancel();
        (void)reloading.join(10s);
        end(parent_, "the workers' parent");
        parent_ = {};
    }

  private:
    SockAddr address_;
    ChildProcess parent_;
};

// The program as it is installed: certificates, access log and passwords are read again on SIGHUP.
class Program final : public Feature {
  public:
    Program() : Feature("program") {}

    // Before a famine: it would inherit that.
    void prepare(Round& round) override {
        std::error_code error;
        const auto here = std::filesystem::read_symlink("/proc/self/exe", error);
        const std::string program = here.parent_path().parent_path() / "bin" / "webby";
        std::ofstream(round.folder + "/page.txt") << "a page\n";
        log_ = round.folder + "/access.log";
        const std::string socket_file = round.folder + "/webby.sock";
        address_ = SockAddr::unix_path(socket_file).value();
        auto child =
            ChildProcess::spawn(round.loop,
                                {program,
                                 "--listen",
                                 "unix:" + socket_file,
                                 "--root",
                                 round.folder,
                                 "--access-log",
                                 log_,
                                 "--compress",
                                 "--request-id",
                                 "--security-headers",
                                 "--health",
                                 "/health",
                                 "--head-timeout",
                                 "0.3",
                                 "--idle-timeout",
                                 "0.3",
                                 "--drain-timeout",
                                 "1",
                                 "--workers",
                                 "2",
                                 "--paradigm",
                                 round.dice.one_in(2) ? "coroutine" : "event"},
                                {.output = process::Stdio::pipe(), .errors = process::Stdio::null()});
        if (!child) return complain("the program does not start: " + child.error().message());
        webby_ = *std::move(child);
        // It says so when it serves, and listens to signals.
        std::string said(14, ' ');
        if (!webby_.output().recv_exact(said, 30s) || said != "webby: serving")
            complain("the program said " + said);
    }

    void run(Round& round) override {
        EvThread reloading = round.loop.spawn("reloading", [&, dice = Dice(round.dice.seed())]() mutable {
            while (!this_evthread::delay(50ms + dice.up_to(300ms))) {
                std::error_code ignored;
                std::filesystem::rename(log_, log_ + ".1", ignored);
                if (webby_.kill(SIGHUP)) complain("the program is gone");
            }
        });
        crowd(round, "program's client", 6, [&](Dice& dice) { visit(round.loop, address_, dice); });
        reloading.cancel();
        (void)reloading.join(10s);
        end(webby_, "the program");
        webby_ = {};
        std::error_code error;
        for (const auto& name : {log_, log_ + ".1"}) std::filesystem::remove(name, error);
    }

  private:
    void visit(EvLoop& loop, const SockAddr& address, Dice& dice) {
        auto socket = EvSocket::connect(loop, address, 1s);
        if (!socket) {
            (void)this_evthread::delay(2ms);
            return;
        }
        if (dice.one_in(5)) return misbehave(*socket, dice);
        const std::string ask = "GET " + std::string(dice.one_in(2) ? "/page.txt" : "/health") +
                                " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        if (!socket->send_all(ask, 1s)) return;
        std::string heard;
        char buffer[4096];
        IoResult got;
        while ((got = socket->recv(buffer, 5s))) heard.append(buffer, got.bytes);
        if (got.timed_out()) complain("the program did not answer");
        if (!got.eof()) return;
        if (!heard.starts_with("HTTP/1.1 ")) return complain("the program said " + heard.substr(0, 100));
        count();
    }

    std::string log_;
    SockAddr address_;
    ChildProcess webby_;
};

}  // namespace

std::unique_ptr<Feature> workers() { return std::make_unique<PreforkedWorkers>(); }
std::unique_ptr<Feature> program() { return std::make_unique<Program>(); }

}  // namespace soak
