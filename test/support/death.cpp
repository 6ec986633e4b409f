#include "test/support/death.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "test/support/sanitizers.h"

#ifdef TEST_SUPPORT_TSAN
// An offence may start a thread in the child, after others have run in the parent.
extern "C" const char* __tsan_default_options();
const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif

namespace test_support {
namespace {

[[noreturn]] void offend(const std::function<void()>& offence, int to_parent) {
    const rlimit no_core = {0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    ::signal(SIGABRT, SIG_DFL);
    ::dup2(to_parent, STDERR_FILENO);
    try {
        offence();
    } catch (...) {  // a failed check of CppUTest; not the abort that was asked for
    }
    ::_exit(0);
}

}  // namespace

Death death_of(const std::function<void()>& offence) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {-1, "no pipe"};
    const pid_t child = ::fork();
    if (child == 0) {
        for (const int number : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(number, SIG_DFL);
        offend(offence, ends[1]);
    }
    ::close(ends[1]);
    Death death;
    char buffer[512];
    for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        death.said.append(buffer, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) return {-1, "no child"};
    death.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return death;
}

std::string abort_message(const std::function<void()>& offence) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    const pid_t child = ::fork();
    if (child == 0) offend(offence, ends[1]);
    ::close(ends[1]);
    std::string said;
    char buffer[512];
    for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        said.append(buffer, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) return "no child";
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? said : "did not abort";
}

int death_signal(const std::function<void()>& offence) {
    const pid_t child = ::fork();
    if (child == 0) {
        for (const int number : {SIGSEGV, SIGBUS, SIGABRT}) ::signal(number, SIG_DFL);
        offend(offence, STDERR_FILENO);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

}  // namespace test_support
