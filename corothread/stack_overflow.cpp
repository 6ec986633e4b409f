#include "corothread/stack_overflow.h"

#include <signal.h>
#include <sys/mman.h>
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
std::atomic<bool> reported{false};
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

// A guard may also be met by a stray pointer. It was an overflow if that stack is the one that runs.
bool runs_on(const StackPlace& place, const void* context, RunningStack& running) {
    const FindRunningStack find = find_running.load(std::memory_order_relaxed);
    if (find != nullptr && find(running) && running.pool == place.pool && running.index == place.index)
        return true;
    running = {};
    const Stack stack = place.pool->stack(place.index);
    const char* const sp = stack_pointer(context);
    return sp >= stack.bottom - place.pool->guard_size() && sp < stack.top();
}

void report(const StackPlace& place, const RunningStack& running, const void* touched) {
    const Stack stack = place.pool->stack(place.index);
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t pages = PoolList::pages_asked(*place.pool);
    Text text;
    text << "stack overflow: ";
    if (running.pool != nullptr)
        text << "coroutine \"" << std::string_view(running.name, running.name_size) << "\" (id " << running.id
             << ")";
    else
        text << "a coroutine";
    text << " needs more than its " << stack.size << " bytes (" << stack.size / page << " pages), stack "
         << place.index << " of a pool of " << place.pool->capacity() << "\n  it touched ";
    text.hex(touched) << ", " << static_cast<std::uint64_t>(stack.bottom - static_cast<const char*>(touched))
                      << " bytes below the end\n  raise StackPoolOptions::pages from " << pages << " to "
                      << 2 * pages << ", or keep large arrays and deep recursion off the stack\n";
    text.write_to(report_fd);
    write_backtrace(report_fd, Backtrace::here(3));  // without the handler and the signal's own frame
}

void pass_on(int signal, siginfo_t* info, void* context) {
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(signal, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
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

void on_fault(int signal, siginfo_t* info, void* context) {
    const int error = errno;
    if (info->si_code > 0) {
        const StackPlace place = PoolList::find(info->si_addr);
        RunningStack running = {};
        if (place.in_guard && runs_on(place, context, running) && !reported.exchange(true))
            report(place, running, info->si_addr);
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
    reported = false;
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
