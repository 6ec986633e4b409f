// Phases without descriptors: the limit is lowered to less than what is open, for a moment.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdarg>

#include "test/soak/soak.h"
#include "test/support/sanitizers.h"

namespace {

// UBSan makes a pipe to look at an object it does not know yet, and without descriptors calls it invalid. So
// under it there is a famine only for these calls.
std::atomic<bool> g_famine{false};

bool refused() {
    if (!g_famine.load(std::memory_order_relaxed)) return false;
    errno = EMFILE;
    return true;
}

}  // namespace

extern "C" {
int __real_accept4(int, sockaddr*, socklen_t*, int);
int __real_eventfd(unsigned, int);
int __real_open(const char*, int, ...);
int __real_pipe2(int*, int);
int __real_socket(int, int, int);

int __wrap_accept4(int fd, sockaddr* address, socklen_t* length, int flags) {
    return refused() ? -1 : __real_accept4(fd, address, length, flags);
}
int __wrap_eventfd(unsigned value, int flags) { return refused() ? -1 : __real_eventfd(value, flags); }
int __wrap_open(const char* path, int flags, ...) {
    std::va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return refused() ? -1 : __real_open(path, flags, mode);
}
int __wrap_pipe2(int* ends, int flags) { return refused() ? -1 : __real_pipe2(ends, flags); }
int __wrap_socket(int family, int type, int protocol) {
    return refused() ? -1 : __real_socket(family, type, protocol);
}
}

namespace soak {
namespace {

namespace this_evthread = evcorothread::this_evthread;

class Famine final : public Feature {
  public:
    Famine() : Feature("famine") {}

    void run(Round& round) override {
        rlimit usual{};
        ::getrlimit(RLIMIT_NOFILE, &usual);
        while (!round.over()) {
            if (this_evthread::delay(500ms + round.dice.up_to(1s))) break;
            rlimit low = usual;
            low.rlim_cur = 10 + round.dice.below(20);
            if (test_support::kAsan)
                g_famine = true;
            else
                ::setrlimit(RLIMIT_NOFILE, &low);
            (void)this_evthread::delay(round.dice.up_to(300ms));
            g_famine = false;
            ::setrlimit(RLIMIT_NOFILE, &usual);
            count();
        }
    }
};

}  // namespace

std::unique_ptr<Feature> descriptor_famine() { return std::make_unique<Famine>(); }

}  // namespace soak
