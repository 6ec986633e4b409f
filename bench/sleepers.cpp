// sleepers ENGINE COUNT [SECONDS]: COUNT coroutines, each asleep for a random 0 to 2 s, again and again.
//
//   sleepers ours 100000 4
//   sleepers boost_fiber 100000 4
//
// After two seconds, when all sleeps are spread out, the CPU time of the next SECONDS (4) is divided by the
// sleeps that ended within them: one sleep costs one arming, one expiry, two switches and its share of the
// poll. Also noted: how many woke early and how late the others were. Prints one line of key=value pairs.
#include <algorithm>
#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>

#include "bench/process_stats.h"
#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"
#include "evcorothread/ev_thread.h"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kStackPages = 5;
constexpr std::chrono::nanoseconds kLongestSleep = 2s;

class Figures {
  public:
    Figures(std::size_t count, std::chrono::seconds seconds) : count_(count), seconds_(seconds) {
        lateness_.reserve(count * static_cast<std::size_t>(seconds.count()) * 2);
    }

    Clock::duration warm_up() const { return kLongestSleep + std::chrono::microseconds(count_ * 5); }
    std::chrono::seconds window() const { return seconds_; }

    void begin() {
        lateness_.clear();
        early_ = 0;
        preempted_ = bench::preemptions();
        began_ = bench::cpu_time();
        measuring_ = true;
    }
    void end() {
        used_ = bench::cpu_time() - began_;
        preempted_ = bench::preemptions() - preempted_;
        measuring_ = false;
    }

    // One random sleep after another: the end of one is the only look at the clock before the next.
    template <class SleepUntil>
    void sleep_for_ever(std::uint32_t seed, const bool& stop, SleepUntil sleep_until) {
        std::minstd_rand random(seed + 1);
        for (Clock::time_point now = Clock::now(); !stop;) {
            const auto share = static_cast<double>(random()) / static_cast<double>(std::minstd_rand::max());
            const Clock::time_point due =
                now + std::chrono::duration_cast<Clock::duration>(kLongestSleep * share);
            sleep_until(due);
            now = Clock::now();
            if (measuring_) note(now - due);
        }
    }

    void print(const char* engine) {
        std::sort(lateness_.begin(), lateness_.end());
        const auto sleeps = lateness_.size() + early_;
        const auto late = [this](double part) {
            if (lateness_.empty()) return 0.0;
            const auto rank = static_cast<std::size_t>(part * static_cast<double>(lateness_.size() - 1));
            return static_cast<double>(lateness_[rank]) / 1e3;
        };
        std::printf(
            "engine=%s coroutines=%zu sleeps=%zu cpu_ns_each=%.0f early=%zu late_p50_us=%.0f "
            "late_p99_us=%.0f "
            "late_max_us=%.0f preempted=%ld\n",
            engine, count_, sleeps,
            static_cast<double>(used_.count()) / static_cast<double>(std::max<std::size_t>(sleeps, 1)),
            early_, late(0.5), late(0.99), late(1), preempted_);
    }

  private:
    void note(Clock::duration lateness) {
        if (lateness.count() < 0) {
            ++early_;
        } else {
            lateness_.push_back(
                static_cast<std::uint32_t>(std::min<std::int64_t>(lateness.count(), UINT32_MAX)));
        }
    }

    std::size_t count_;
    std::chrono::seconds seconds_;
    bool measuring_ = false;
    std::size_t early_ = 0;
    std::vector<std::uint32_t> lateness_;  // nanoseconds
    std::chrono::nanoseconds began_{};
    std::chrono::nanoseconds used_{};
    long preempted_ = 0;
};

void boost_fiber(Figures& figures, std::size_t count) {
    bool stop = false;
    std::vector<boost::fibers::fiber> sleepers;
    for (std::uint32_t i = 0; i < count; ++i) {
        sleepers.emplace_back(std::allocator_arg, boost::fibers::fixedsize_stack(kStackPages * 4096), [&, i] {
            figures.sleep_for_ever(i, stop,
                                   [](Clock::time_point due) { boost::this_fiber::sleep_until(due); });
        });
    }
    boost::this_fiber::sleep_for(figures.warm_up());
    figures.begin();
    boost::this_fiber::sleep_for(figures.window());
    figures.end();
    stop = true;
    for (auto& sleeper : sleepers) sleeper.join();
}

void ours(Figures& figures, std::size_t count) {
    using evcorothread::this_evthread::delay;
    corothread::StackPool stacks({.count = count + 1, .pages = kStackPages});
    evcorothread::EvLoop loop(stacks);
    bool stop = false;
    for (std::uint32_t i = 0; i < count; ++i) {
        loop.spawn("sleeper", [&, i] {
            figures.sleep_for_ever(i, stop, [](Clock::time_point due) { (void)delay(due); });
        });
    }
    loop.spawn("measurer", [&] {
        (void)delay(figures.warm_up());
        figures.begin();
        (void)delay(figures.window());
        figures.end();
        stop = true;
    });
    loop.run();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view engine = argc >= 3 ? argv[1] : "";
    const std::size_t count = argc >= 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
    const int seconds = argc >= 4 ? std::atoi(argv[3]) : 4;
    const auto measure = [&](void (*run)(Figures&, std::size_t)) {
        Figures figures(count, std::chrono::seconds(seconds));
        run(figures, count);
        figures.print(argv[1]);
        return 0;
    };
    if (count > 0 && seconds > 0) {
        if (engine == "boost_fiber") return measure(boost_fiber);
        if (engine == "ours") return measure(ours);
    }
    std::fprintf(stderr, "usage: sleepers ours|boost_fiber COUNT [SECONDS]\n");
    return 2;
}
