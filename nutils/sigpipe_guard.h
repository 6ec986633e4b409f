// SigpipeGuard: keeps SIGPIPE away from this thread while something writes that has no MSG_NOSIGNAL:
// sendfile, splice, write to a pipe, a foreign library.
#pragma once

#include "cutils/export.h"

namespace nutils {

// A local of the function that writes. The process's signal disposition stays what the application made it.
//
//   SigpipeGuard guard;
//   // Not only when it fails with EPIPE: a reader that goes in the middle raises it, too.
//   if (::write(pipe, data, size) < size) guard.consume();
// Before: nothing suspends while it exists; it belongs to this OS thread.
// Cost:   two pthread_sigmask(3).
class EVC_API SigpipeGuard {
  public:
    SigpipeGuard() noexcept;
    ~SigpipeGuard();
    SigpipeGuard(const SigpipeGuard&) = delete;
    SigpipeGuard& operator=(const SigpipeGuard&) = delete;

    // Takes back the SIGPIPE that the write has just raised, if it has. Keeps errno. Cost: one
    // sigtimedwait(2).
    void consume() noexcept;

  private:
    // An application that blocks SIGPIPE itself may have one pending: then nothing is ours to change.
    bool blocked_here_ = false;
};

}  // namespace nutils
