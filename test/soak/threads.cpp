// What crosses OS threads: offload, loop groups, shared channels and locks.
#include <unistd.h>

#include <stdexcept>

#include "evcorothread/cross_mutex.h"
#include "evcorothread/cross_semaphore.h"
#include "evcorothread/loop_group.h"
#include "evcorothread/offload.h"
#include "evcorothread/resolver.h"
#include "evcorothread/shared_channel.h"
#include "test/soak/soak.h"

namespace soak {
namespace {

using namespace evcorothread;

class Threads final : public Feature {
  public:
    Threads() : Feature("threads") {}

    void run(Round& round) override {
        OffloadPool pool({.threads = 3, .queue = 8, .idle = 200ms});
        Resolver names(pool, {.max_names = 4});
        LoopGroup group({.loops = 2, .stacks = {.count = 40}, .offload = {.threads = 1}});
        auto started = group.start();
        if (!started) return complain("no loop group: " + started.error().message());
        auto listener = group.listen(nutils::SockAddr::loopback(0), [](EvSocket socket) {
            char buffer[4096];
            while (auto got = socket.recv(buffer, 300ms))
                if (!socket.send_all({buffer, got.bytes}, 300ms)) break;
        });
        if (!listener) return complain("a loop group cannot listen");
        SharedChannel<std::size_t> channel(4);
        CrossMutex mutex;
        crowd(round, "thread user", 12, [&](Dice& dice) {
            switch (dice.below(5)) {
                case 0: offload_something(pool, dice); break;
                case 1: call_group(round.loop, *listener, dice); break;
                case 2: through_channel(group, channel, dice); break;
                case 3:
                    if (!mutex.lock(dice.up_to(5ms))) {
                        (void)this_evthread::delay(dice.up_to(500us));
                        mutex.unlock();
                    }
                    break;
                default:
                    (void)names.lookup(dice.one_in(2) ? "localhost" : "127.0.0.1", "80", dice.up_to(50ms));
            }
            count();
        });
        channel.close();
        listener->close();
        (void)group.shutdown(500ms);
        pool.close();
    }

  private:
    static void offload_something(OffloadPool& pool, Dice& dice) {
        const std::size_t input = dice.below(1000);
        const bool throws = dice.one_in(10);
        const auto microseconds = static_cast<useconds_t>(dice.below(2000));
        try {
            const auto result = offload(
                pool,
                [=] {
                    ::usleep(microseconds);
                    if (throws) throw std::runtime_error("as asked");
                    return input + 1;
                },
                dice.up_to(20ms));
            if (result && *result != input + 1) complain("an offloaded job returned something else");
        } catch (const std::runtime_error&) {
            if (!throws) complain("an offloaded job threw from nowhere");
        }
    }

    static void call_group(EvLoop& loop, GroupListener& listener, Dice& dice) {
        auto socket = EvSocket::connect(loop, listener.local_address(), 500ms);
        if (!socket) return;
        for (int i = 0; i < 10; ++i) {
            const std::string text = dice.bytes(3000);
            std::string back(text.size(), '\0');
            if (!socket->send_all(text, 500ms) || !socket->recv_exact(back, 500ms)) return;
            if (back != text) complain("a loop group echoed something else");
        }
    }

    static void through_channel(LoopGroup& group, SharedChannel<std::size_t>& channel, Dice& dice) {
        const std::size_t value = dice.below(100);
        group.post(dice.below(2), [&group, &channel, value] {
            EvLoop& there = group.loop(group.here().value());
            (void)there.try_spawn("sender", [&channel, value] { (void)channel.send(value, 5ms); });
        });
        if (const auto got = channel.recv(dice.up_to(5ms)); got && *got >= 100)
            complain("a shared channel gave what nobody sent");
    }
};

}  // namespace

std::unique_ptr<Feature> threads() { return std::make_unique<Threads>(); }

}  // namespace soak
