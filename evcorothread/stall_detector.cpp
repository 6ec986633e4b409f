#include "evcorothread/stall_detector.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "corothread/source_lines.h"
#include "corothread/stack_overflow.h"
#include "cutils/check.h"
#include "cutils/log.h"
#include "evcorothread/loop_core_internal.h"
#include "evcorothread/printable_internal.h"
#include "evcorothread/quiet_thread_internal.h"

namespace evcorothread {

using namespace std::chrono_literals;

namespace {

// What the loop's thread is asked, and answers in the handler.
struct Question {
    enum State { none, asked, answering, answered };
    std::atomic<int> state{none};
    std::uint64_t id = 0;
    char name[32] = {};
    std::size_t name_size = 0;
    corothread::Backtrace backtrace;
};

// --- the handler: one for all detectors of a signal

// Who asks which thread. A handler must not lock, so those who ask are in a fixed array, and leave it when
// they are gone.
constexpr std::size_t kMostDetectors = 256;
constinit std::atomic<Question*> questions[kMostDetectors] = {};

struct Handled {
    struct sigaction before = {};
    int users = 0;
};
constinit std::mutex handled_mutex;
constinit std::map<int, Handled>* handled = nullptr;  // while there are detectors

bool is_ours(const siginfo_t& info) {
    return info.si_code == SI_QUEUE && info.si_pid == ::getpid() &&
           std::any_of(std::begin(questions), std::end(questions), [&](const std::atomic<Question*>& each) {
               return info.si_value.sival_ptr != nullptr && each.load() == info.si_value.sival_ptr;
           });
}

void on_signal(int, siginfo_t* info, void*) {
    const int error = errno;
    if (is_ours(*info)) {
        auto& question = *static_cast<Question*>(info->si_value.sival_ptr);
        int expected = Question::asked;
        if (question.state.compare_exchange_strong(expected, Question::answering)) {
            if (const ThreadCore* const self = t_here.thread; self != nullptr) {
                question.id = self->id;
                question.name_size = self->name().size();
                std::memcpy(question.name, self->name().data(), question.name_size);
            }
            question.backtrace =
                corothread::Backtrace::here(2);  // without the handler and the signal's frame
            question.state = Question::answered;
        }
    }
    errno = error;
}

void take_signal(int number) {
    const std::lock_guard lock(handled_mutex);
    if (handled == nullptr) handled = new std::map<int, Handled>;
    Handled& entry = (*handled)[number];
    if (entry.users++ > 0) return;
    struct sigaction mine = {};
    mine.sa_sigaction = &on_signal;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    ::sigfillset(&mine.sa_mask);
    if (::sigaction(number, &mine, &entry.before) == 0) return;
    const int error = errno;
    handled->erase(number);
    throw std::system_error(error, std::generic_category(),
                            "StallDetector: signal " + std::to_string(number));
}

void return_signal(int number) {
    const std::lock_guard lock(handled_mutex);
    const auto found = handled->find(number);
    if (--found->second.users > 0) return;
    ::sigaction(number, &found->second.before, nullptr);
    handled->erase(found);
    if (!handled->empty()) return;
    delete handled;
    handled = nullptr;
}

// --- what the loop is at

// Changes whenever the loop does anything but go on with what it is at. Read without asking the loop: it
// costs the loop nothing, and a value that is half old makes a stall look shorter by a look, never longer.
struct Pulse {
    std::uint64_t passes = 0, io_events = 0;
    int budget = 0;
    const void* thread = nullptr;
    bool busy = false;
    bool operator==(const Pulse&) const = default;
};

__attribute__((no_sanitize("thread"), noinline)) Pulse pulse_of(const LoopCore& loop, const Here& here) {
    const volatile LoopCore& now = loop;
    Pulse pulse;
    pulse.passes = now.passes;
    pulse.io_events = now.io_events;
    pulse.budget = now.budget;
    pulse.thread = *const_cast<ThreadCore* const volatile*>(&here.thread);
    const bool inside = loop.owned ? now.running : now.in_pass;
    const bool asleep = now.in_poll && pulse.io_events == now.io_events_before_poll;
    pulse.busy = inside && !asleep;
    return pulse;
}

double milliseconds(Duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

}  // namespace

std::string to_string(const StallReport& report) {
    char text[160];
    std::snprintf(text, sizeof text, "%s%s%s%s has kept the loop for %.1f ms",
                  report.id != 0 ? "coroutine \"" : "a function that the loop calls",
                  printable(report.name).c_str(), report.id != 0 ? "\"" : "",
                  report.id != 0 ? (" (id " + std::to_string(report.id) + ")").c_str() : "",
                  milliseconds(report.lasted));
    std::string all = text;
    if (report.unreported > 0)
        all += "; " + std::to_string(report.unreported) + " more since the last report";
    all += report.backtrace.empty() ? "\n  (no backtrace: its OS thread did not answer)" : "\n";
    all += corothread::to_string(report.backtrace, "  ", corothread::SourceLines());
    if (all.back() == '\n') all.pop_back();
    return all;
}

struct StallDetector::Impl {
    Impl(LoopCore& l, Options o) : loop(l), options(std::move(o)) {
        if (options.signal == 0) options.signal = SIGRTMIN + 7;
        options.limit = std::max<Duration>(options.limit, 1ms);
    }
    ~Impl() {
        {
            const std::lock_guard lock(mutex);
            ending = true;
            woken.notify_one();
        }
        if (watcher.joinable()) watcher.join();
        if (place != nullptr) place->store(nullptr);
        if (signal_taken) return_signal(options.signal);
    }

    void begin() {
        corothread::OverflowReport::prepare_thread();  // where the handler runs
        corothread::Backtrace::prepare();
        for (std::atomic<Question*>& each : questions) {
            Question* nobody = nullptr;
            if (!each.compare_exchange_strong(nobody, &question)) continue;
            place = &each;
            break;
        }
        if (place == nullptr)
            throw std::system_error(EAGAIN, std::generic_category(), "StallDetector: 256 of them are enough");
        take_signal(options.signal);
        signal_taken = true;
        os_thread = static_cast<pid_t>(::syscall(SYS_gettid));
        here = static_cast<const Here*>(loop.thread.load());
        watcher = start_quiet_thread("stall detector", [this] { watch(); });
    }

    void watch() {
        std::unique_lock lock(mutex);
        while (!ending) {
            woken.wait_for(lock, options.limit / 4);
            if (ending) return;
            lock.unlock();
            look();
            lock.lock();
        }
    }

    void look() {
        const TimePoint now = cutils::monotonic_now();
        const Pulse pulse = pulse_of(loop, *here);
        if (!pulse.busy || pulse != last) {
            last = pulse;
            since = now;
            seen = false;
            return;
        }
        const Duration lasted = now - since;
        if (lasted.count() > longest.load(std::memory_order_relaxed))
            longest.store(lasted.count(), std::memory_order_relaxed);
        if (seen || lasted < options.limit) return;
        seen = true;
        count.fetch_add(1, std::memory_order_relaxed);
        if (last_report != TimePoint{} && now - last_report < options.every) {
            ++unreported;
            return;
        }
        last_report = now;
        report(lasted);
    }

    void report(Duration lasted) {
        StallReport report;
        report.lasted = lasted;
        report.unreported = std::exchange(unreported, 0);
        if (ask()) {
            report.id = question.id;
            report.name.assign(question.name, question.name_size);
            report.backtrace = question.backtrace;
        }
        question.state = Question::none;
        if (options.report)
            options.report(report);
        else
            cutils::log_line(cutils::LogLevel::warning, to_string(report));
    }

    // Has the loop's thread said where it is? Waits a little, but not for one that blocks the signal.
    bool ask() {
        question.id = 0;
        question.name_size = 0;
        question.state = Question::asked;
        siginfo_t info = {};
        info.si_code = SI_QUEUE;
        info.si_pid = ::getpid();
        info.si_uid = ::getuid();
        info.si_value.sival_ptr = &question;
        if (::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), os_thread, options.signal, &info) != 0) return false;
        for (int i = 0; i < 200 && question.state != Question::answered; ++i)
            std::this_thread::sleep_for(1ms);
        // Not begun: it will not be any more. Begun: it will be over in a moment.
        int expected = Question::asked;
        if (question.state.compare_exchange_strong(expected, Question::none)) return false;
        while (question.state != Question::answered) std::this_thread::sleep_for(1ms);
        return true;
    }

    LoopCore& loop;
    Options options;
    pid_t os_thread = 0;
    const Here* here = nullptr;
    bool signal_taken = false;
    std::atomic<Question*>* place = nullptr;
    Question question;

    Pulse last;
    TimePoint since{};
    TimePoint last_report{};
    bool seen = false;  // this stall
    std::uint64_t unreported = 0;
    std::atomic<Duration::rep> longest{0};
    std::atomic<std::uint64_t> count{0};

    std::mutex mutex;
    std::condition_variable woken;
    bool ending = false;
    std::thread watcher;
};

StallDetector::StallDetector(EvLoop& loop, Options options)
    : impl_(std::make_unique<Impl>(loop.core(), std::move(options))) {
    loop.core().check_thread();
    EVC_CHECK(!loop.core().virtual_time, "a StallDetector measures real time; this loop has a virtual clock");
    impl_->begin();
}
StallDetector::~StallDetector() { impl_->loop.check_thread_while_running(); }

Duration StallDetector::longest() const { return Duration(impl_->longest.load(std::memory_order_relaxed)); }
std::uint64_t StallDetector::count() const { return impl_->count.load(std::memory_order_relaxed); }

}  // namespace evcorothread
