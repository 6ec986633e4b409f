// What the kernel says about this process: CPU time, resident memory, mappings.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {

// User and system time of all threads, from getrusage(2).
inline std::chrono::nanoseconds cpu_time() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& tv) {
        return std::chrono::seconds(tv.tv_sec) + std::chrono::microseconds(tv.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

// How often the kernel took the core away for somebody else: what makes a sleeper late through no fault of
// its own.
inline long preemptions() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

// A line of /proc/self/status such as "VmRSS:    1234 kB". Units: bytes.
inline long status_bytes(const char* key) {
    std::FILE* file = std::fopen("/proc/self/status", "re");
    if (file == nullptr) return -1;
    char line[256];
    long kilobytes = -1;
    while (std::fgets(line, sizeof line, file) != nullptr) {
        if (std::strncmp(line, key, std::strlen(key)) == 0)
            kilobytes = std::atol(line + std::strlen(key) + 1);
    }
    std::fclose(file);
    return kilobytes * 1024;
}

inline long resident_bytes() { return status_bytes("VmRSS"); }
inline long page_table_bytes() { return status_bytes("VmPTE"); }

// How many mappings (VMAs) this process has.
inline long mappings() {
    std::FILE* file = std::fopen("/proc/self/maps", "re");
    if (file == nullptr) return -1;
    long lines = 0;
    for (int c; (c = std::fgetc(file)) != EOF;) lines += c == '\n' ? 1 : 0;
    std::fclose(file);
    return lines;
}

}  // namespace bench
