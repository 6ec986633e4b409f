// In a coverage build: processes that end without exit(3), the children of tests among them, write down what
// they have run before they go. (The definitions in the program are taken before libc's.)
#ifdef TEST_SUPPORT_COVERAGE

#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/support/fault_injection.h"

extern "C" void __gcov_dump();  // libgcov's

namespace {
void write_coverage() {
    test_support::FaultSite::all_real() = true;
    __gcov_dump();
}
}  // namespace

extern "C" void _exit(int code) {
    write_coverage();
    for (;;) ::syscall(SYS_exit_group, code);
}

extern "C" void abort() noexcept {
    write_coverage();
    ::signal(SIGABRT, SIG_DFL);
    sigset_t aborted;
    ::sigemptyset(&aborted);
    ::sigaddset(&aborted, SIGABRT);
    ::pthread_sigmask(SIG_UNBLOCK, &aborted, nullptr);
    for (;;) ::raise(SIGABRT);
}

#endif
