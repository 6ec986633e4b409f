#include "corothread/stack_overflow.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "corothread/backtrace.h"
#include "corothread/pool_list_internal.h"
#include "cutils/check.h"

namespace corothread {
namespace {

constexpr std::size_t kSignalStack = 64 * 1024;  // the unwinder takes some 10 KiB, registers up to 11

std::atomic<FindRunningStack> find_running{nullptr};
std::atomic<bool> alive{false};
std::atomic<pid_t> reporter{0};  // the OS thread that writes a report
std::atomic<int> reports{0};
constexpr int kMostReports = 8;  // a handler that was there may recover, or just return, again and again
int report_fd = 2;
struct sigaction before = {};

// An OS thread's alternate signal stack.
class SignalStack {
  public:
    SignalStack() = default;
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;
    ~SignalStack() {
        if (memory_ == MAP_FAILED) return;
        stack_t now = {};
        if (::sigaltstack(nullptr, &now) == 0 && now.ss_sp == memory_) {
            stack_t none = {};
            none.ss_flags = SS_DISABLE;
            ::sigaltstack(&none, nullptr);
        }
        ::munmap(memory_, kSignalStack);
    }
    void make() {
        stack_t now = {};
        if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
        memory_ = ::mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "OverflowReport: a signal stack");
        stack_t mine = {};
        mine.ss_sp = memory_;
        mine.ss_size = kSignalStack;
        ::sigaltstack(&mine, nullptr);
    }

  private:
    void* memory_ = MAP_FAILED;
};

// Text for a signal handler: no allocation, no locale.
class Text {
  public:
    Text& operator<<(std::string_view text) {
        for (const char c : text)
            if (size_ < sizeof text_) text_[size_++] = c;
        return *this;
    }
    Text& operator<<(std::uint64_t number) { return digits(number, 10); }
    Text& hex(const void* address) {
        *this << "0x";
        return digits(reinterpret_cast<std::uintptr_t>(address), 16);
    }
    void write_to(int fd) const { (void)!::write(fd, text_, size_); }

  private:
    Text& digits(std::uint64_t number, unsigned base) {
        char digits[24];
        std::size_t first = sizeof digits;
        do digits[--first] = "0123456789abcdef"[number % base];
        while ((number /= base) != 0);
        return *this << std::string_view(digits + first, sizeof digits - first);
    }
    char text_[1024];
    std::size_t size_ = 0;
};

const char* stack_pointer(const void* context) {
    const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return reinterpret_cast<const char*>(machine.gregs[REG_RSP]);
#elif defined(__aarch64__)
    return reinterpret_cast<const char*>(machine.sp);
#else
    (void)machine;
    return nullptr;
#endif
}

// A guard may also be met by a stray pointer. It was an overflow if that stack is the one that runs: that of
// `running`, or one of a corothread::Coroutine that it has resumed.
bool runs_on(const StackPlace& place, const void* context, RunningStack& running) {
    const FindRunningStack find = find_running.load(std::memory_order_relaxed);
    if (find == nullptr || !find(running)) running = {};
    if (running.pool == place.pool && running.index == place.index) return true;
    const Stack stack = place.pool->stack(place.index);
    const char* const sp = stack_pointer(context);
    return sp >= stack.bottom - place.pool->guard_size() && sp < stack.top();
}

[[gnu::noinline]] void report(const StackPlace& place, const RunningStack& running, const void* touched) {
    const Stack stack = place.pool->stack(place.index);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pages = PoolList::pages_asked(*place.pool);
    Text text;
    text << "stack overflow: ";
    const bool inside = running.pool != place.pool || running.index != place.index;
    if (inside) text << "a coroutine";
    if (running.pool != nullptr)
        text << (inside ? " inside of " : "") << "coroutine \""
             << std::string_view(running.name, running.name_size) << "\" (id " << running.id << ")";
    text << " needs more than its " << stack.size << " bytes (" << stack.size / page << " pages), stack "
         << place.index << " of a pool of " << place.pool->capacity() << "\n  it touched ";
    text.hex(touched) << ", " << static_cast<std::uint64_t>(stack.bottom - static_cast<const char*>(touched))
                      << " bytes below the end\n  raise StackPoolOptions::pages from " << pages << " to "
                      << 2 * pages << ", or keep large arrays and deep recursion off the stack\n";
    text.write_to(report_fd);
    write_backtrace(report_fd, Backtrace::here(4));  // without the handler and the signal's own frame
}

bool somebody_was_there() {
    return (before.sa_flags & SA_SIGINFO) != 0 ||
           (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN);
}

// One at a time: an OS thread that overflows while another one's report is written would end the process in
// the middle of it, so it waits; not for itself, nor for one that hangs.
[[gnu::noinline]] void report_in_turn(const StackPlace& place, const RunningStack& running,
                                      const void* touched) {
    const auto self = static_cast<pid_t>(::syscall(SYS_gettid));
    pid_t nobody = 0;
    for (int waits = 0; !reporter.compare_exchange_strong(nobody, self); nobody = 0) {
        if (nobody == self || ++waits > 200) return;
        const timespec moment = {0, 10'000'000};
        ::nanosleep(&moment, nullptr);
    }
    if (reports.fetch_add(1) < kMostReports) report(place, running, touched);
    if (somebody_was_there()) reporter = 0;  // else the process dies now, and nobody begins anything
}

void pass_on(int signal, siginfo_t* info, void* context) {
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(signal, info, context);
    } else if (somebody_was_there()) {
        before.sa_handler(signal);
    } else {
        // The instruction is tried again, and this time the process dies of it, there; a core file shows
        // where. Sent by somebody, it would not happen again.
        struct sigaction fatal = {};
        fatal.sa_handler = SIG_DFL;
        ::sigaction(signal, &fatal, nullptr);
        if (info->si_code <= 0) ::raise(signal);
    }
}

[[gnu::noinline]] void on_fault(int signal, siginfo_t* info, void* context) {
    const int error = errno;
    if (info->si_code > 0) {
        const StackPlace place = PoolList::find(info->si_addr);
        RunningStack running = {};
        if (place.in_guard && runs_on(place, context, running)) report_in_turn(place, running, info->si_addr);
    }
    errno = error;
    pass_on(signal, info, context);
}

}  // namespace

OverflowReport::OverflowReport(int fd) {
    EVC_CHECK(!alive.exchange(true), "there are two OverflowReports at once");
    prepare_thread();
    Backtrace::prepare();
    report_fd = fd;
    reporter = 0;
    reports = 0;
    struct sigaction mine = {};
    mine.sa_sigaction = &on_fault;
    mine.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    ::sigemptyset(&mine.sa_mask);
    if (::sigaction(SIGSEGV, &mine, &before) == 0) return;
    alive = false;
    throw std::system_error(errno, std::generic_category(), "OverflowReport: sigaction");
}

OverflowReport::~OverflowReport() {
    struct sigaction now = {};
    if (::sigaction(SIGSEGV, nullptr, &now) == 0 && now.sa_sigaction == &on_fault)
        ::sigaction(SIGSEGV, &before, nullptr);
    alive = false;
}

void OverflowReport::prepare_thread() {
    static thread_local SignalStack stack;
    stack.make();
}

bool OverflowReport::wanted() { return alive.load(std::memory_order_relaxed); }

void set_running_stack_finder(FindRunningStack find) { find_running = find; }

}  // namespace corothread
