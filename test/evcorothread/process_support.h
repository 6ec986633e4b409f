// What tests of processes look at: which children there are, and in what state.
#pragma once

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "cutils/clock.h"
#include "test/support/harness.h"

namespace test_support {

// The children of a process, zombies among them.
inline std::vector<pid_t> children_of(pid_t parent) {
    const std::string id = std::to_string(parent);
    std::ifstream list("/proc/" + id + "/task/" + id + "/children");
    std::vector<pid_t> pids;
    for (pid_t pid = 0; list >> pid;) pids.push_back(pid);
    return pids;
}

// 'R', 'S', 'Z' (a zombie), …; 0 when there is no such process.
inline char state_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    return name_end == std::string::npos ? '\0' : text[name_end + 2];
}

// Gives up the CPU until `done`, at most so many seconds.
template <class Done>
bool eventually(Done&& done, int seconds = 20) {
    const cutils::TimePoint limit = cutils::monotonic_now() + std::chrono::seconds(seconds);
    while (!done()) {
        if (cutils::monotonic_now() > limit) return false;
        ::sched_yield();
    }
    return true;
}

inline bool wait_until_zombie(pid_t pid) {
    return eventually([pid] { return state_of(pid) == 'Z'; });
}

// Which children there are that were not there when it was made.
class NoChildrenLeft {
  public:
    NoChildrenLeft() : before_(children_of(::getpid())) {}

    // "123 (Z)"; empty when none is left.
    [[nodiscard]] std::string left() const {
        std::ostringstream text;
        for (const pid_t pid : children_of(::getpid()))
            if (std::find(before_.begin(), before_.end(), pid) == before_.end())
                text << pid << " (" << state_of(pid) << ") ";
        return text.str();
    }

  private:
    std::vector<pid_t> before_;
};

}  // namespace test_support
