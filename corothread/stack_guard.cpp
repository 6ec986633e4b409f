#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "corothread/stack_guard_internal.h"

namespace corothread::guard {
namespace {

constexpr int kMadvGuardInstall = 102;  // <linux/mman.h> of Linux 6.13; older headers do not name it
constexpr std::size_t kBatch = 512;     // the kernel takes at most 1,024 pieces

std::error_code last_error() { return {errno, std::generic_category()}; }

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
File open_for_reading(const char* path) { return {std::fopen(path, "re"), &std::fclose}; }

}  // namespace

namespace {

// Installs up to kBatch markers by one call; how many, or 0 when that is not to be had.
std::size_t install_batch(int self, char* first, std::size_t bytes, std::size_t stride, std::size_t count) {
    std::array<iovec, kBatch> pieces;
    count = std::min(count, kBatch);
    for (std::size_t i = 0; i < count; ++i) pieces[i] = {first + i * stride, bytes};
    const long advised = ::syscall(SYS_process_madvise, self, pieces.data(), count, kMadvGuardInstall, 0);
    return advised < 0 ? 0 : static_cast<std::size_t>(advised) / bytes;
}

}  // namespace

std::error_code install_markers(char* first, std::size_t bytes, std::size_t stride, std::size_t count,
                                std::size_t& done) {
    done = 0;
    if (count > 1) {
        const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
        while (self >= 0 && done < count) {
            const std::size_t some = install_batch(self, first + done * stride, bytes, stride, count - done);
            if (some == 0) break;
            done += some;
        }
        if (self >= 0) ::close(self);
    }
    for (; done < count; ++done)
        if (::madvise(first + done * stride, bytes, kMadvGuardInstall) != 0) return last_error();
    return {};
}

std::error_code install_mprotect(char* first, std::size_t bytes, std::size_t stride, std::size_t count,
                                 std::size_t& done) {
    for (done = 0; done < count; ++done)
        if (::mprotect(first + done * stride, bytes, PROT_NONE) != 0) return last_error();
    return {};
}

bool markers_available() {
    const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const page = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return false;
    const bool available = ::madvise(page, size, kMadvGuardInstall) == 0;
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
