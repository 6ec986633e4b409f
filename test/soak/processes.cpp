// Child processes and forks.
#include <signal.h>

#include "evcorothread/child_process.h"
#include "evcorothread/ev_pipe.h"
#include "evcorothread/fork_child.h"
#include "test/soak/soak.h"

namespace soak {
namespace {

using namespace evcorothread;
using process::ChildProcess;
using process::Stdio;

class Processes final : public Feature {
  public:
    Processes() : Feature("processes") {}

    void run(Round& round) override {
        crowd(
            round, "process user", 3,
            [&](Dice& dice) {
                switch (dice.below(3)) {
                    case 0: talk_to_cat(round.loop, dice); break;
                    case 1: kill_one(round.loop, dice); break;
                    default: leave_one(round.loop); break;
                }
                count();
                (void)this_evthread::delay(dice.up_to(20ms));
            },
            50ms);
    }

  private:
    static void talk_to_cat(EvLoop& loop, Dice& dice) {
        auto cat = ChildProcess::spawn(loop, {"cat"}, {.input = Stdio::pipe(), .output = Stdio::pipe()});
        if (!cat) return;
        const std::string text = dice.bytes(4000);
        std::string back(text.size(), '\0');
        if (!cat->input().send_all(text, 5s) || !cat->output().recv_exact(back, 5s)) return;
        if (text != back) complain("cat said something else");
        cat->input().close();
        const auto status = cat->wait(10s);
        if (status && !status->success()) complain("cat ended with " + status->to_string());
    }

    static void kill_one(EvLoop& loop, Dice& dice) {
        auto child = ChildProcess::spawn(loop, {"sleep", "5"});
        if (!child) return;
        (void)this_evthread::delay(dice.up_to(5ms));
        const int signal = dice.one_in(2) ? SIGTERM : SIGKILL;
        if (child->kill(signal)) return complain("a child cannot be killed");
        const auto status = child->wait(10s);
        if (status && status->signal != signal) complain("a killed child ended with " + status->to_string());
    }

    // The loop reaps it.
    static void leave_one(EvLoop& loop) { (void)ChildProcess::spawn(loop, {"true"}); }
};

}  // namespace

std::unique_ptr<Feature> processes() { return std::make_unique<Processes>(); }

void fork_some(Round& round) {
    for (int i = 0; i < 3; ++i) {
        const int code = static_cast<int>(round.dice.below(100));
        auto child = process::fork_child(round.loop, [code] {
            corothread::StackPool stacks({.count = 4});
            EvLoop loop(stacks);
            int result = -1;
            loop.spawn([&] {
                (void)this_evthread::delay(1ms);
                result = code;
            });
            loop.run();
            return result;
        });
        if (!child) return complain("no fork: " + child.error().message());
        const auto status = child->wait(30s);
        if (!status || status->code != code) complain("a forked child did not return what it should");
    }
}

bool make_certificate(EvLoop& loop, const std::string& folder) {
    auto openssl = ChildProcess::spawn(
        loop,
        {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
         "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
         folder + "/server.key", "-out", folder + "/server.pem"},
        {.errors = Stdio::null()});
    if (!openssl) return complain("openssl: " + openssl.error().message()), false;
    const auto status = openssl->wait(60s);
    if (!status || !status->success()) return complain("openssl made no certificate"), false;
    return true;
}

}  // namespace soak
