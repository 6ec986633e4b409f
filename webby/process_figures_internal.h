// ProcessFigures: what the kernel says about this process. Internal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace webby {

struct ProcessFigures {
    double cpu_seconds = 0;  // of all threads, user and system
    double start_time = 0;   // seconds since 1970
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t threads = 0;
    std::size_t open_descriptors = 0;
    std::uint64_t most_descriptors = 0;

    // Cost: a few system calls, and one for every hundred descriptors or so.
    static ProcessFigures now();
};

}  // namespace webby
