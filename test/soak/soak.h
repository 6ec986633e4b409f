// What the features of the soak program have in common: dice, crowds of coroutines, counters, and complaints.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "corothread/stack_pool.h"
#include "evcorothread/ev_loop.h"

namespace soak {

using namespace std::chrono_literals;
using evcorothread::Deadline;
using evcorothread::Duration;
using evcorothread::EvLoop;
using evcorothread::TimePoint;

// Random numbers from a seed that was printed.
class Dice {
  public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}
    // 0 <= result < n.
    std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
    bool one_in(std::size_t n) { return below(n) == 0; }
    std::chrono::microseconds up_to(std::chrono::microseconds most) {
        return std::chrono::microseconds(below(static_cast<std::size_t>(most.count()) + 1));
    }
    std::uint64_t seed() { return engine_(); }
    std::string bytes(std::size_t most);

  private:
    std::mt19937_64 engine_;
};

// What went wrong, for good. Any thread.
void complain(const std::string& what);
[[nodiscard]] std::size_t complaints();

// One stretch of the soak: everything is started, runs until `end`, and is put away again.
struct Round {
    EvLoop& loop;
    TimePoint end;
    Dice dice;
    std::string folder;  // for files, sockets and certificates
    bool threads = true;

    [[nodiscard]] bool over() const { return loop.precise_now() >= end; }
};

// A part of the toolkit under load.
class Feature {
  public:
    explicit Feature(std::string_view name) : name_(name) {}
    Feature(const Feature&) = delete;
    Feature& operator=(const Feature&) = delete;
    virtual ~Feature() = default;

    // In a coroutine, before all features run: while the process has one thread, so it may fork.
    virtual void prepare(Round&) {}
    // In a coroutine: works until the round is over, and returns when all it started has ended.
    virtual void run(Round& round) = 0;

    [[nodiscard]] std::string_view name() const { return name_; }
    [[nodiscard]] std::uint64_t done() const { return done_.load(std::memory_order_relaxed); }

  protected:
    void count(std::uint64_t n = 1) { done_.fetch_add(n, std::memory_order_relaxed); }

  private:
    std::string name_;
    std::atomic<std::uint64_t> done_{0};
};

// Keeps `size` coroutines at `work` until the round is over: whoever returns is replaced, and some are
// canceled at any moment. Then cancels all and joins them; who does not end in time is a complaint.
void crowd(Round& round, std::string_view name, std::size_t size, const std::function<void(Dice& dice)>& work,
           Duration between_cancels = 10ms);

// Waits until `is_true`, or complains.
void wait_for(std::string_view what, const std::function<bool()>& is_true);

std::unique_ptr<Feature> coroutines();
std::unique_ptr<Feature> streams();  // TCP and unix sockets
std::unique_ptr<Feature> tls();
std::unique_ptr<Feature> datagrams();
std::unique_ptr<Feature> relays();  // proxies, happy eyeballs, callbacks
std::unique_ptr<Feature> parking();
std::unique_ptr<Feature> inspection();  // dumps, the stall detector, signals, pipes
std::unique_ptr<Feature> threads();     // offload, loop groups, what crosses threads
std::unique_ptr<Feature> processes();
std::unique_ptr<Feature> http();
std::unique_ptr<Feature> workers();
std::unique_ptr<Feature> program();
std::unique_ptr<Feature> descriptor_famine();

// Forks: while the process has one thread.
void fork_some(Round& round);

// Certificates for "localhost" in the folder, by the openssl program: server.pem, server.key. False:
// complained.
bool make_certificate(EvLoop& loop, const std::string& folder);

}  // namespace soak
