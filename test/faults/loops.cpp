// Coroutines, timers, channels, pipes and signals of one loop.
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "evcorothread/bundle.h"
#include "evcorothread/channel.h"
#include "evcorothread/ev_pipe.h"
#include "evcorothread/ev_thread.h"
#include "evcorothread/ev_timer.h"
#include "evcorothread/select.h"
#include "evcorothread/signal_watch.h"
#include "evcorothread/stall_detector.h"
#include "evcorothread/wait_group.h"
#include "nutils/pipe_ops.h"
#include "test/faults/scenario.h"

namespace faults {
namespace {

using namespace evcorothread;

void sum_by_channel(EvLoop& loop) {
    Channel<int> numbers(2);
    EvThread sender = loop.spawn("sender", [&] {
        for (int i = 1; i <= 100; ++i)
            if (auto sent = numbers.send(i, kPatience)) return failed("a channel's send", sent);
        numbers.close();
    });
    int sum = 0;
    for (;;) {
        const auto got = numbers.recv(kPatience);
        if (!got) break;
        sum += *got;
    }
    if (sum != 5050) wrong("a channel lost something");
    if (auto joined = sender.join(kPatience)) failed("join", joined);
}

void sleep_together(EvLoop& loop) {
    Bundle bundle(loop);
    for (int i = 0; i < 10; ++i)
        bundle.go("sleeper", [i] {
            if (auto error = this_evthread::delay(std::chrono::milliseconds(i))) failed("a delay", error);
        });
    if (auto all = bundle.wait(kPatience); !all)
        failed("a bundle", all.error().code(), all.error().message());
    int rings = 0;
    Channel<int> enough(1);
    EvTimer timer(loop, [&] {
        if (++rings == 3) (void)enough.try_send(1);
    });
    timer.start_periodic(1ms);
    (void)good("a timer", enough.recv(kPatience));
}

void talk_by_pipe(EvLoop& loop) {
    auto ends = nutils::make_pipe();
    if (!good("a pipe", ends)) return;
    EvPipe reading(loop, std::move(ends->reading));
    EvThread writer = loop.spawn("writer", [&loop, fd = std::move(ends->writing)]() mutable {
        EvPipe writing(loop, std::move(fd));
        (void)this_evthread::delay(1ms);
        (void)good("a pipe's send", writing.send_all(std::string(100'000, 'p'), kPatience));
    });
    std::string heard(100'000, ' ');
    if (good("a pipe's recv", reading.recv_exact(heard, kPatience)) && heard != std::string(100'000, 'p'))
        wrong("a pipe said something else");
    reading.close();
    if (auto joined = writer.join(kPatience)) failed("join", joined);
}

void hear_a_signal(EvLoop& loop) {
    Channel<int> heard(1);
    const SignalWatch watch(loop, {SIGUSR1}, [&](int signal) { (void)heard.try_send(int{signal}); });
    if (::kill(::getpid(), SIGUSR1) != 0) return failed("kill", std::generic_category().message(errno));
    (void)good("a signal", heard.recv(kPatience));
}

void hear_a_thread(EvLoop& loop) {
    Channel<int> heard(1);
    std::thread other([&] { loop.post([&] { (void)heard.try_send(1); }); });
    (void)good("a post", heard.recv(kPatience));
    other.join();
}

}  // namespace

void loops(const Life&) {
    in_loop([](EvLoop& loop) {
        std::optional<StallDetector> stalls;
        try {
            stalls.emplace(loop, StallDetectorOptions{.limit = 1s});
        } catch (const std::system_error& e) {
            failed("a stall detector", e.what());
        }
        sum_by_channel(loop);
        sleep_together(loop);
        talk_by_pipe(loop);
        hear_a_signal(loop);
        hear_a_thread(loop);
        if (loop.dump().find("scenario") == std::string::npos) wrong("a dump without its coroutine");
    });
}

}  // namespace faults
