// soak: every feature of the toolkit at once, for minutes or hours, with cancels, resets, slow peers, phases
// without descriptors, children and reloads; and at the end, is anything left?
//
//   out/release/test/soak                        two minutes
//   out/release/test/soak --hours 8 --seed 4711
//   out/release/test/soak --seconds 60 --only http,tls
//
// It works in rounds. In each everything is started, kept under load, and put away again; then no descriptor,
// no coroutine, no stack, no thread and no child may be left. Ends with 1 when anything was wrong.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>
#include <string>

#include "corothread/stack_pool.h"
#include "cutils/log.h"
#include "evcorothread/bundle.h"
#include "evcorothread/ev_timer.h"
#include "nutils/unique_fd.h"
#include "test/soak/soak.h"
#include "test/support/sanitizers.h"
#include "test/support/temp_dir.h"

#if defined(__SANITIZE_ADDRESS__)
// What was freed is kept for a while to find who uses it still; the growth of memory is to be seen here, too.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
    return "quarantine_size_mb=4:thread_local_quarantine_size_kb=64";
}
#endif

namespace {

using namespace soak;
namespace this_evthread = evcorothread::this_evthread;

struct Options {
    double seconds = 120;
    double hours = 0;
    double round = 0;
    std::uint64_t seed = std::random_device()();
    std::vector<std::string> only{};
};

// A folder or file of /proc, open from the start: there are phases without descriptors.
class Looked {
  public:
    explicit Looked(const char* path) : folder_(::opendir(path)) {}
    Looked(const Looked&) = delete;
    Looked& operator=(const Looked&) = delete;
    ~Looked() { ::closedir(folder_); }

    // How many entries it has, without "." and "..".
    [[nodiscard]] std::size_t entries() const {
        ::rewinddir(folder_);
        std::size_t count = 0;
        while (::readdir(folder_) != nullptr) ++count;
        return count - 2;
    }

  private:
    DIR* folder_;
};

std::size_t mebibytes(std::size_t bytes) { return bytes >> 20; }

class Soak {
  public:
    explicit Soak(const Options& options) : options_(options), dice_(options.seed) {
        using Make = std::unique_ptr<Feature> (*)();
        for (const Make make : {&coroutines, &streams, &tls, &datagrams, &relays, &parking, &inspection,
                                &threads, &processes, &http, &workers, &program, &descriptor_famine}) {
            if (test_support::kTsan && make == &workers) continue;  // forks
            auto feature = make();
            if (options.only.empty() ||
                std::find(options.only.begin(), options.only.end(), feature->name()) != options.only.end())
                features_.push_back(std::move(feature));
        }
    }

    bool run() {
        for (const std::string& name : options_.only)
            if (std::none_of(features_.begin(), features_.end(),
                             [&](const auto& feature) { return feature->name() == name; }))
                return complain("there is no feature " + name), false;
        loop_.spawn("soak", [this] {
            if (!make_certificate(loop_, folder_.path())) return;
            reported_.resize(features_.size());
            evcorothread::EvTimer reporter(loop_, [this] { report(); });
            reporter.start_periodic(5s);
            rounds();
        });
        loop_.run();
        // A child that its owner left is work of the loop; none may be left when it ends.
        if (::waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD) complain("a child was not reaped");
        if (stacks_.in_use() != 0) complain(std::to_string(stacks_.in_use()) + " stacks are left");
        if (const std::size_t now = descriptors(); now > at_start_) complain("descriptors are left");
        check_growth();
        return complaints() == 0;
    }

  private:
    void rounds() {
        const double all = options_.hours > 0 ? options_.hours * 3600 : options_.seconds;
        const auto begin = loop_.precise_now();
        const auto length = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
            options_.round > 0 ? options_.round : std::clamp(all / 8, 2.0, 60.0)));
        const auto end = begin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(all));
        while (loop_.precise_now() < end) {
            one_round(length);
            const auto passed = std::chrono::duration<double>(loop_.precise_now() - begin).count();
            if (quarter_ == 0 && passed >= all / 4) quarter_ = resident();
        }
        last_ = resident();
    }

    void one_round(Duration length) {
        const std::size_t fds = descriptors(), tasks = os_threads();
        ++round_;
        Round round{loop_, loop_.precise_now() + length, Dice(dice_.seed()), folder_.path()};
        // TSan takes what a forked child does with its parent's coroutines for other threads' doing.
        if (!test_support::kTsan) fork_some(round);
        for (const auto& feature : features_) feature->prepare(round);
        std::vector<std::uint64_t> before;
        for (const auto& feature : features_) before.push_back(feature->done());
        {
            evcorothread::Bundle bundle(loop_);
            std::vector<Round> of_each;
            of_each.reserve(features_.size());
            for (const auto& feature : features_) {
                of_each.push_back({loop_, round.end, Dice(round.dice.seed()), round.folder});
                bundle.go(feature->name(), [&feature, &mine = of_each.back()] { feature->run(mine); });
            }
            if (const auto ended = bundle.wait(Deadline::never); !ended)
                complain("a feature failed: " + ended.error().message());
        }
        for (std::size_t i = 0; i < features_.size(); ++i)
            if (features_[i]->done() == before[i])
                complain(std::string(features_[i]->name()) + " got nothing done in a round");
        wait_for("what children and threads left behind",
                 [&] { return os_threads() <= tasks + (test_support::kTsan ? 1 : 0); });
        wait_for("descriptors", [&] { return descriptors() <= fds; });
        // This coroutine has one.
        if (loop_.thread_count() != 1) complain("coroutines are left\n" + loop_.dump());
        if (stacks_.in_use() != 1) complain("stacks are left");
    }

    void report() {
        const auto now = loop_.precise_now();
        const double seconds = std::chrono::duration<double>(now - reported_at_).count();
        reported_at_ = now;
        std::printf("round %zu: RSS %zu MiB, %zu fds, %zu stacks, %zu threads;", round_,
                    mebibytes(resident()), descriptors(), stacks_.in_use(), os_threads());
        for (std::size_t i = 0; i < features_.size(); ++i) {
            const std::uint64_t done = features_[i]->done();
            std::printf(" %s %.0f/s", std::string(features_[i]->name()).c_str(),
                        static_cast<double>(done - reported_[i]) / seconds);
            reported_[i] = done;
        }
        std::printf("%s\n", complaints() > 0 ? " (WRONG)" : "");
        std::fflush(stdout);
    }

    // Between the first quarter, when caches are warm, and the end.
    void check_growth() {
        std::printf("soak: RSS %zu MiB after the first quarter, %zu MiB at the end; %zu stacks at most\n",
                    mebibytes(quarter_), mebibytes(last_), stacks_.peak());
        if (quarter_ > 0 && last_ > quarter_ + quarter_ / 4 + (16u << 20)) complain("memory grows");
    }

    // Bytes of memory in use.
    [[nodiscard]] std::size_t resident() const {
        char text[100] = {};
        unsigned long all = 0, pages = 0;
        if (::pread(statm_.get(), text, sizeof text - 1, 0) < 0 ||
            std::sscanf(text, "%lu %lu", &all, &pages) != 2)
            return 0;
        return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    }
    [[nodiscard]] std::size_t descriptors() const { return fds_.entries(); }
    [[nodiscard]] std::size_t os_threads() const { return tasks_.entries(); }

    const Options& options_;
    nutils::UniqueFd statm_{::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
    Looked fds_{"/proc/self/fd"}, tasks_{"/proc/self/task"};
    Dice dice_;
    test_support::TempDir folder_;
    corothread::StackPool stacks_{{.count = 600, .pages = 16}};
    EvLoop loop_{stacks_};
    std::size_t at_start_ = descriptors();
    std::vector<std::unique_ptr<Feature>> features_;
    std::size_t round_ = 0;
    std::size_t quarter_ = 0, last_ = 0;
    std::vector<std::uint64_t> reported_{};  // done() of each, when the last line was written
    TimePoint reported_at_ = loop_.precise_now();
};

// Log lines are expected here: failures are what this is about.
void quiet(cutils::LogLevel, std::string_view, void*) {}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Every feature of the toolkit under load, and a look at what is left.");
    app.add_option("--seconds", options.seconds, "how long");
    app.add_option("--hours", options.hours, "how long, instead");
    app.add_option("--round", options.round, "how long a round, in seconds; else an eighth, 2 to 60");
    app.add_option("--seed", options.seed, "of all dice; printed");
    app.add_option("--only", options.only, "features, by name")->delimiter(',');
    CLI11_PARSE(app, argc, argv);
    std::printf("soak: --seed %llu\n", static_cast<unsigned long long>(options.seed));
    std::fflush(stdout);
    cutils::set_log_sink(quiet);
    bool good;
    {
        Soak soak(options);
        good = soak.run();
    }
    cutils::set_log_sink(nullptr);
    std::printf("soak: %s\n", good ? "nothing wrong" : "WRONG, see above");
    return good ? 0 : 1;
}
