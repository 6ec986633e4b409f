// ProcessFigures: what the kernel says about this process. Internal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace webby {

struct Descriptors {
    std::size_t open = 0;
    std::uint64_t most = 0;  // RLIMIT_NOFILE

    // Cost: a few system calls, and one for every hundred descriptors or so.
    static Descriptors now();
};

struct ProcessFigures {
    double cpu_seconds = 0;  // of all threads, user and system
    double start_time = 0;   // seconds since 1970
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t threads = 0;
    Descriptors descriptors;

    // Cost: a few system calls more than for the descriptors.
    static ProcessFigures now();
};

}  // namespace webby
