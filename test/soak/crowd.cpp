#include <cstdio>

#include "evcorothread/ev_thread.h"
#include "test/soak/soak.h"

namespace soak {
namespace {
constexpr auto kPatience = 60s;  // for what should take a moment, on a machine that is busy
std::atomic<std::size_t> g_complaints{0};
}  // namespace

using evcorothread::CancelShield;
using evcorothread::EvThread;
namespace this_evthread = evcorothread::this_evthread;

std::string Dice::bytes(std::size_t most) {
    std::string text(1 + below(most), ' ');
    char c = static_cast<char>('a' + below(26));
    for (char& to : text) to = c = c == 'z' ? 'a' : static_cast<char>(c + 1);
    return text;
}

void complain(const std::string& what) {
    if (++g_complaints <= 20) std::fprintf(stderr, "soak: WRONG: %s\n", what.c_str());
}

std::size_t complaints() { return g_complaints; }

void crowd(Round& round, std::string_view name, std::size_t size, const std::function<void(Dice& dice)>& work,
           Duration between_cancels) {
    std::vector<EvThread> threads(size);
    const auto start = [&](EvThread& thread) {
        thread = round.loop.spawn(name, [&round, &work, seed = round.dice.seed()] {
            Dice dice(seed);
            while (!round.over() && !this_evthread::canceled()) {
                work(dice);
                this_evthread::yield();
            }
        });
    };
    for (EvThread& thread : threads) start(thread);
    while (!round.over()) {
        if (this_evthread::delay(between_cancels)) break;
        EvThread& one = threads[round.dice.below(size)];
        if (!one.finished())
            one.cancel();
        else if (!round.over())
            start(one);
    }
    for (EvThread& thread : threads) {
        thread.cancel();
        if (!thread.join(kPatience)) continue;
        complain(std::string(name) + " is stuck\n" + round.loop.dump());
        std::_Exit(1);  // its stack cannot be taken away from it
    }
}

void wait_for(std::string_view what, const std::function<bool()>& is_true) {
    for (int i = 0; i < 6000; ++i) {
        if (is_true()) return;
        (void)this_evthread::delay(10ms);
    }
    complain(std::string(what) + " has not come to an end\n" + this_evthread::loop().dump());
}

}  // namespace soak
