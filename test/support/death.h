// abort_message, death_signal: what a caller's bug says before it ends the process, and how it ends it.
#pragma once

#include <functional>
#include <string>

namespace test_support {

// Runs `offence` in a child process and returns what it printed to stderr when it aborted, or "did not
// abort".
//
//   STRCMP_CONTAINS("empty buffer", abort_message([&] { recv_some(fd, {}); }).c_str());
//
// Before: no other thread holds a lock that `offence` needs: the child has only the calling thread.
[[nodiscard]] std::string abort_message(const std::function<void()>& offence);

// Runs `offence` in a child process with default signal handlers (no sanitizer's report) and returns the
// signal that ended it; 0 when it lived on.
[[nodiscard]] int death_signal(const std::function<void()>& offence);

// The same, and what it printed to stderr.
struct Death {
    int signal = 0;
    std::string said;
};
[[nodiscard]] Death death_of(const std::function<void()>& offence);

}  // namespace test_support
