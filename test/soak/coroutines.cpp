// Coroutines with each other: bundles, channels, select, locks, timers, broadcasts, exceptions.
#include <memory>
#include <stdexcept>

#include "evcorothread/broadcast.h"
#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/condition.h"
#include "evcorothread/coroutine_local.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/event.h"
#include "evcorothread/mutex.h"
#include "evcorothread/select.h"
#include "evcorothread/semaphore.h"
#include "evcorothread/wait_group.h"
#include "test/soak/soak.h"

namespace soak {
namespace {

using namespace evcorothread;

// Senders and a receiver that give up and are canceled at any moment: nothing sent is lost, nothing twice.
void channel_keeps_its_sum(EvLoop& loop, Dice& dice) {
    Channel<std::unique_ptr<std::size_t>> channel(dice.below(4));
    std::size_t sent = 0, received = 0;
    {
        Bundle bundle(loop, Deadline(1s));
        const std::size_t senders = 1 + dice.below(4);
        for (std::size_t s = 0; s < senders; ++s)
            bundle.go("sender", [&, some = Dice(dice.seed())]() mutable {
                for (std::size_t i = 0; i < 20; ++i) {
                    const std::size_t value = some.below(1000);
                    auto box = std::make_unique<std::size_t>(value);
                    if (!channel.send(std::move(box), some.up_to(2ms))) sent += value;
                }
            });
        bundle.go("receiver", [&, some = Dice(dice.seed())]() mutable {
            for (std::size_t i = 0; i < 15 * senders; ++i)
                if (auto got = channel.recv(some.up_to(2ms))) received += **got;
        });
        (void)bundle.wait(dice.up_to(30ms));
        if (dice.one_in(3)) bundle.cancel();
    }
    while (auto left = channel.try_recv()) received += **left;
    if (sent != received)
        complain("a channel was sent " + std::to_string(sent) + " and gave " + std::to_string(received));
}

void select_keeps_its_sum(EvLoop& loop, Dice& dice) {
    Channel<std::size_t> a(dice.below(3)), b(dice.below(3));
    std::size_t sent = 0, received = 0;
    {
        Bundle bundle(loop, Deadline(1s));
        bundle.go("sender", [&, some = Dice(dice.seed())]() mutable {
            for (std::size_t i = 0; i < 40; ++i) {
                const std::size_t value = 1 + some.below(9);
                (void)select(a.on_send(value, [&] { sent += value; }),
                             b.on_send(value, [&] { sent += value; }), some.up_to(1ms));
            }
        });
        bundle.go("receiver", [&, some = Dice(dice.seed())]() mutable {
            for (std::size_t i = 0; i < 40; ++i)
                (void)select(a.on_recv([&](std::size_t value) { received += value; }),
                             b.on_recv([&](std::size_t value) { received += value; }), some.up_to(1ms));
        });
        (void)bundle.wait(dice.up_to(20ms));
    }
    while (auto left = a.try_recv()) received += *left;
    while (auto left = b.try_recv()) received += *left;
    if (sent != received)
        complain("select sent " + std::to_string(sent) + " and received " + std::to_string(received));
}

// A mutex, a condition, a semaphore and a wait group whose users are canceled: all are free afterwards.
void locks_are_given_back(EvLoop& loop, Dice& dice) {
    Mutex mutex;
    Condition changed;
    Semaphore permits(3);
    WaitGroup group;
    Event go(EventReset::manual);
    int inside = 0;
    {
        Bundle bundle(loop, Deadline(1s));
        for (int i = 0; i < 8; ++i) {
            group.add();
            bundle.go("user", [&, some = Dice(dice.seed())]() mutable {
                struct Done {
                    WaitGroup& group;
                    ~Done() { group.done(); }
                } const done{group};
                (void)go.wait(some.up_to(2ms));
                if (!permits.acquire(some.up_to(3ms))) {
                    (void)this_evthread::delay(some.up_to(1ms));
                    permits.release();
                }
                MutexLock lock(mutex, some.up_to(3ms));
                if (!lock) return;
                if (++inside != 1) complain("two are inside a mutex");
                (void)this_evthread::delay(some.up_to(300us));
                --inside;
                if (some.one_in(2)) (void)changed.wait(mutex, some.up_to(1ms));
                changed.notify_one();
            });
        }
        if (dice.one_in(2)) go.set();
        if (dice.one_in(3)) bundle.cancel();
        (void)group.wait(dice.up_to(10ms));
    }
    if (mutex.locked() || permits.available() != 3 || group.count() != 0)
        complain("a lock, a permit or a wait group is left over");
}

void broadcast_reaches(EvLoop& loop, Dice& dice) {
    Broadcast<int> news;
    Bundle bundle(loop, Deadline(500ms));
    for (int i = 0; i < 4; ++i)
        bundle.go("subscriber", [&, slow = static_cast<SlowSubscriber>(dice.below(3))] {
            Subscriber<int> subscriber(news, {.capacity = 2, .slow = slow});
            int last = -1;
            while (auto got = subscriber.recv(5ms)) {
                if (*got <= last) complain("a broadcast went backwards");
                last = *got;
            }
        });
    for (int i = 0; i < 20; ++i) {
        (void)news.publish(i, dice.up_to(1ms));
        if (dice.one_in(4)) this_evthread::yield();
    }
    news.close();
    (void)bundle.wait(200ms);
}

void failures_arrive(EvLoop& loop, Dice& dice) {
    static const CoroutineLocal<std::string> name(std::string("nobody"));
    const bool throws = dice.one_in(2);
    bool caught = false;
    try {
        Bundle bundle(loop, Deadline(1s));
        for (int i = 0; i < 3; ++i)
            bundle.go("maker", [&, i] {
                name.get() = std::to_string(i);
                (void)this_evthread::delay(dice.up_to(500us));
                if (name.get() != std::to_string(i)) complain("a coroutine has another one's value");
                if (throws && i == 1) throw std::runtime_error("as asked");
            });
        (void)bundle.wait(Deadline::never);
    } catch (const std::runtime_error&) {
        caught = true;
    }
    if (caught && !throws) complain("a failure came from nowhere");
}

void timers_fire(EvLoop& loop, Dice& dice) {
    int fired = 0;
    EvTimer once(loop, [&] { ++fired; });
    EvTimer often(loop, [&] { ++fired; });
    once.start(dice.up_to(2ms));
    often.start_periodic(500us + dice.up_to(1ms));
    (void)this_evthread::delay(dice.up_to(5ms));
    if (dice.one_in(2)) often.stop();
}

class Coroutines final : public Feature {
  public:
    Coroutines() : Feature("coroutines") {}

    void run(Round& round) override {
        crowd(round, "coroutines", 12, [&](Dice& dice) {
            switch (dice.below(6)) {
                case 0: channel_keeps_its_sum(round.loop, dice); break;
                case 1: select_keeps_its_sum(round.loop, dice); break;
                case 2: locks_are_given_back(round.loop, dice); break;
                case 3: broadcast_reaches(round.loop, dice); break;
                case 4: failures_arrive(round.loop, dice); break;
                default: timers_fire(round.loop, dice); break;
            }
            count();
        });
    }
};

}  // namespace

std::unique_ptr<Feature> coroutines() { return std::make_unique<Coroutines>(); }

}  // namespace soak
