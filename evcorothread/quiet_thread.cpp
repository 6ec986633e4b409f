#include <pthread.h>

#include <csignal>

#include "evcorothread/quiet_thread_internal.h"

namespace evcorothread {

static_assert(sizeof(sigset_t) <= 128);

SignalsBlocked::SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    // Those that a thread brings upon itself end the process without a word when they are blocked.
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF})
        sigdelset(&all, fault);
    pthread_sigmask(SIG_BLOCK, &all, reinterpret_cast<sigset_t*>(before_));
}

SignalsBlocked::~SignalsBlocked() {
    pthread_sigmask(SIG_SETMASK, reinterpret_cast<const sigset_t*>(before_), nullptr);
}

void name_this_thread(const std::string& name) {
    (void)pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace evcorothread
