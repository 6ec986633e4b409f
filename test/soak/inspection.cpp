// Those who look on: dumps, reports, measurements and the stall detector, while everything else goes on.
#include <signal.h>
#include <unistd.h>

#include "evcorothread/ev_pipe.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/stall_detector.h"
#include "evcorothread/wait_fd.h"
#include "nutils/pipe_ops.h"
#include "test/soak/soak.h"

namespace soak {
namespace {

using namespace evcorothread;

class Inspection final : public Feature {
  public:
    Inspection() : Feature("inspection") {}

    void run(Round& round) override {
        std::atomic<std::uint64_t> stalls{0};
        const StallDetector detector(round.loop, {.limit = 20ms, .every = 100ms, .report = [&](const auto&) {
                                                      stalls.fetch_add(1, std::memory_order_relaxed);
                                                  }});
        std::uint64_t signals = 0;
        const SignalWatch watch(round.loop, {SIGUSR1}, [&](int) { ++signals; });
        crowd(
            round, "onlooker", 4, [&](Dice& dice) { look(round.loop, detector, dice); }, 50ms);
        round.loop.measure({});
    }

  private:
    void look(EvLoop& loop, const StallDetector& detector, Dice& dice) {
        switch (dice.below(6)) {
            case 0: {
                const std::string text = loop.dump({.backtraces = dice.one_in(3)});
                if (text.find("onlooker") == std::string::npos) complain("a dump leaves out who made it");
                break;
            }
            case 1:
                if (loop.report_threads({.backtraces = false}).size() > loop.thread_count())
                    complain("more coroutines are reported than there are");
                break;
            case 2: {
                LoopMeasures wanted;
                wanted.stacks = dice.one_in(2);
                loop.measure(wanted);
                (void)loop.stack_use();
                break;
            }
            case 3: through_pipe(loop, dice); break;
            case 4:
                ::kill(::getpid(), SIGUSR1);
                (void)detector.longest();
                break;
            default: {
                // Keeps the loop, once in a while long enough to be told.
                if (!dice.one_in(20)) break;
                const auto until = loop.precise_now() + 30ms;
                while (loop.precise_now() < until) {
                }
            }
        }
        count();
        (void)this_evthread::delay(dice.up_to(30ms));
    }

    // A pipe between a coroutine that writes and one that waits for its descriptor.
    static void through_pipe(EvLoop& loop, Dice& dice) {
        auto ends = nutils::make_pipe();
        if (!ends) return;
        EvPipe from(loop, std::move(ends->reading)), to(loop, std::move(ends->writing));
        const std::string text = dice.bytes(3000);
        if (!to.send_all(text, 100ms)) return;
        if (wait_readable(from.fd(), 100ms)) return;
        std::string back(text.size(), '\0');
        if (from.recv_exact(back, 100ms) && back != text) complain("a pipe gave something else");
    }
};

}  // namespace

std::unique_ptr<Feature> inspection() { return std::make_unique<Inspection>(); }

}  // namespace soak
