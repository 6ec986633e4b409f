#include "nutils/sigpipe_guard.h"

#include <signal.h>

#include <cerrno>
#include <ctime>

namespace nutils {
namespace {

sigset_t sigpipe_only() noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

}  // namespace

SigpipeGuard::SigpipeGuard() noexcept {
    const sigset_t sigpipe = sigpipe_only();
    sigset_t before;
    if (pthread_sigmask(SIG_BLOCK, &sigpipe, &before) == 0)
        blocked_here_ = sigismember(&before, SIGPIPE) == 0;
}

SigpipeGuard::~SigpipeGuard() {
    if (!blocked_here_) return;
    const sigset_t sigpipe = sigpipe_only();
    pthread_sigmask(SIG_UNBLOCK, &sigpipe, nullptr);
}

void SigpipeGuard::consume() noexcept {
    if (!blocked_here_) return;
    const int saved = errno;
    const sigset_t sigpipe = sigpipe_only();
    const timespec at_once = {};
    while (sigtimedwait(&sigpipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    errno = saved;
}

}  // namespace nutils
