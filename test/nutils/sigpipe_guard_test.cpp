#include "nutils/sigpipe_guard.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "nutils/unique_fd.h"
#include "test/support/harness.h"

using nutils::SigpipeGuard;
using nutils::UniqueFd;

namespace {

bool is_pending() {
    sigset_t set;
    sigpending(&set);
    return sigismember(&set, SIGPIPE) == 1;
}

bool is_blocked() {
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, nullptr, &set);
    return sigismember(&set, SIGPIPE) == 1;
}

// What raises SIGPIPE.
ssize_t write_to_broken_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return 0;
    ::close(ends[0]);
    const UniqueFd out(ends[1]);
    return ::write(out.get(), "x", 1);
}

}  // namespace

TEST_GROUP(SigpipeGuard){};

TEST(SigpipeGuard, TakesTheSignalAway) {
    SigpipeGuard guard;
    LONGS_EQUAL(-1, write_to_broken_pipe());
    LONGS_EQUAL(EPIPE, errno);
    CHECK(is_pending());
    guard.consume();
    CHECK(!is_pending());
}

TEST(SigpipeGuard, LeavesTheSignalMaskAsItWas) {
    CHECK(!is_blocked());
    {
        const SigpipeGuard guard;
        CHECK(is_blocked());
    }
    CHECK(!is_blocked());
}

TEST(SigpipeGuard, ConsumingNothingDoesNotWaitAndKeepsErrno) {
    SigpipeGuard guard;
    errno = ENOENT;
    guard.consume();
    LONGS_EQUAL(ENOENT, errno);
}

TEST(SigpipeGuard, NestsInsideAnApplicationsOwnBlocking) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    ::raise(SIGPIPE);  // one that the application has not looked at yet
    {
        SigpipeGuard guard;
        guard.consume();
    }
    CHECK(is_blocked());
    CHECK(is_pending());
    const timespec at_once = {};
    sigtimedwait(&set, nullptr, &at_once);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}
