#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "corothread/stack_guard_internal.h"

namespace corothread::guard {
namespace {

constexpr int kMadvGuardInstall = 102;  // <linux/mman.h> of Linux 6.13; older headers do not name it

std::error_code last_error() { return {errno, std::generic_category()}; }

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
File open_for_reading(const char* path) { return {std::fopen(path, "re"), &std::fclose}; }

}  // namespace

std::error_code install_marker(char* begin, std::size_t bytes) {
    return ::madvise(begin, bytes, kMadvGuardInstall) == 0 ? std::error_code() : last_error();
}

std::error_code install_mprotect(char* begin, std::size_t bytes) {
    return ::mprotect(begin, bytes, PROT_NONE) == 0 ? std::error_code() : last_error();
}

bool markers_available() {
    const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    const bool available = !install_marker(static_cast<char*>(page), size);
    ::munmap(page, size);
    return available;
}

long mappings_left(long& limit) {
    limit = 0;
    const File maximum = open_for_reading("/proc/sys/vm/max_map_count");
    if (!maximum || std::fscanf(maximum.get(), "%ld", &limit) != 1) return -1;
    const File maps = open_for_reading("/proc/self/maps");
    if (!maps) return -1;
    long used = 0;
    for (int c; (c = std::fgetc(maps.get())) != EOF;) used += c == '\n';
    return limit > used ? limit - used : 0;
}

}  // namespace corothread::guard
