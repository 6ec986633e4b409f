// memory ENGINE COUNT: what COUNT parked coroutines, each on a stack of its own, cost in memory. One fresh
// process a measurement: freed memory of an earlier one would hide the cost of the next.
//
//   memory ours 1000000           guarded stacks of the pool; each coroutine in a delay of an hour
//   memory boost_fiber 1000000    each fiber in a sleep of an hour, on protected_fixedsize_stack while
//                                 vm.max_map_count has room for its guards, else on fixedsize_stack
//
// Prints one line of key=value pairs: bytes of resident memory a coroutine, page tables (not part of resident
// memory), mappings added, how many stacks have a page below them that really cannot be touched, milliseconds
// to make the pool (ours) and to start all coroutines.
#include <sys/uio.h>
#include <unistd.h>

#include <boost/fiber/all.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
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

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// The kernel is asked to read there on our behalf: it says EFAULT where we would die.
bool is_guarded(char* address) {
    char byte;
    const iovec to{&byte, 1};
    const iovec from{address, 1};
    return process_vm_readv(getpid(), &to, 1, &from, 1, 0) < 0;
}

class Report {
  public:
    Report(std::string_view engine, std::size_t count) : engine_(engine), count_(count), below_(count) {}

    void pool_made() { pool_ms_ = milliseconds_since(start_); }
    // `address` is just below the stack of the next coroutine.
    void parks(char* address) { below_[parked_++] = address; }
    bool all_have_parked() const { return parked_ == count_; }

    // Called when all of them are parked. Ends the process at once: taking a million coroutines down is
    // another story.
    [[noreturn]] void print_and_exit() const {
        const double started_ms = milliseconds_since(start_) - pool_ms_;
        const auto each = [this](long before, long after) {
            return static_cast<double>(after - before) / static_cast<double>(count_);
        };
        const double resident = each(resident_, bench::resident_bytes());
        const double page_tables = each(page_tables_, bench::page_table_bytes());
        const long mappings = bench::mappings() - mappings_;
        std::size_t guarded = 0;
        for (char* address : below_) guarded += is_guarded(address) ? 1 : 0;
        std::printf(
            "engine=%s coroutines=%zu bytes_each=%.0f page_table_bytes_each=%.0f mappings=%ld guarded=%zu "
            "pool_ms=%.1f start_ms=%.1f\n",
            engine_.c_str(), count_, resident, page_tables, mappings, guarded, pool_ms_, started_ms);
        std::fflush(stdout);
        std::_Exit(0);
    }

  private:
    std::string engine_;
    std::size_t count_;
    std::vector<char*> below_;  // its memory is in use before the measurement begins
    std::size_t parked_ = 0;
    double pool_ms_ = 0;
    long resident_ = bench::resident_bytes();
    long page_tables_ = bench::page_table_bytes();
    long mappings_ = bench::mappings();
    Clock::time_point start_ = Clock::now();
};

// A Boost allocator that tells the report where the guard of each stack is, or would be.
template <class Allocator>
class Watched {
  public:
    explicit Watched(Report& report) : report_(report) {}

    boost::context::stack_context allocate() {
        const boost::context::stack_context stack = stacks_.allocate();
        report_.parks(static_cast<char*>(stack.sp) - stack.size);
        return stack;
    }
    void deallocate(boost::context::stack_context& stack) { stacks_.deallocate(stack); }

  private:
    Report& report_;
    Allocator stacks_{kStackPages * 4096};
};

template <class Allocator>
void boost_fiber(std::size_t count) {
    Report report("boost_fiber", count);
    Watched<Allocator> stacks(report);
    std::size_t parked = 0;
    for (std::size_t i = 0; i < count; ++i) {
        boost::fibers::fiber(std::allocator_arg, stacks, [&parked] {
            ++parked;
            boost::this_fiber::sleep_for(1h);
        }).detach();
    }
    while (parked < count) boost::this_fiber::yield();
    report.print_and_exit();
}

// Two mappings a guarded stack: the default limit of vm.max_map_count is 65530.
bool mprotect_guards_fit(std::size_t count) {
    std::ifstream file("/proc/sys/vm/max_map_count");
    std::size_t limit = 65530;
    file >> limit;
    return 2 * count + 1000 < limit;
}

void ours(std::size_t count) {
    namespace this_evthread = evcorothread::this_evthread;
    Report report("ours", count);
    corothread::StackPool stacks({.count = count + 1, .pages = kStackPages});
    report.pool_made();
    evcorothread::EvLoop loop(stacks);
    loop.spawn("report", [&] {
        for (std::size_t i = 0; i < count; ++i) {
            loop.spawn("parked", [&report] {
                char* const here = static_cast<char*>(__builtin_frame_address(0));
                report.parks(here - this_evthread::stack_left() - 256);
                (void)this_evthread::delay(1h);
            });
        }
        while (!report.all_have_parked()) this_evthread::yield();
        report.print_and_exit();
    });
    loop.run();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view engine = argc == 3 ? argv[1] : "";
    const std::size_t count = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
    try {
        if (count > 0 && engine == "boost_fiber" && mprotect_guards_fit(count))
            boost_fiber<boost::fibers::protected_fixedsize_stack>(count);
        if (count > 0 && engine == "boost_fiber") boost_fiber<boost::fibers::fixedsize_stack>(count);
        if (count > 0 && engine == "ours") ours(count);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "memory: %s with %zu coroutines: %s\n", argv[1], count, error.what());
        std::_Exit(1);  // an orderly exit would wait an hour for those that sleep
    }
    std::fprintf(stderr, "usage: memory ours|boost_fiber COUNT\n");
    return 2;
}
