// start_quiet_thread: an OS thread of the library's. Internal.
#pragma once

#include <string>
#include <thread>
#include <utility>

namespace evcorothread {

// While it lives, threads that the calling one starts inherit a mask that blocks every signal but those of
// faults and of profilers: signals go to the threads that the application has made, as before.
class SignalsBlocked {
  public:
    SignalsBlocked();
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;
    ~SignalsBlocked();

  private:
    alignas(16) unsigned char before_[128];  // a sigset_t
};

// What tools show the calling thread as; cut to 15 bytes.
void name_this_thread(const std::string& name);

// Errors: std::system_error, of pthread_create(3).
template <class F>
std::thread start_quiet_thread(const std::string& name, F&& f) {
    const SignalsBlocked blocked;
    return std::thread([name, f = std::forward<F>(f)]() mutable {
        name_this_thread(name);
        f();
    });
}

}  // namespace evcorothread
