// The system calls that these tests can make fail: what wrap.txt names.
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/types.h>

#include <cstdarg>

#include "test/support/fault_injection.h"

TEST_SUPPORT_WRAP(int, madvise, (void* begin, size_t bytes, int advice), (begin, bytes, advice))
TEST_SUPPORT_WRAP(int, mprotect, (void* begin, size_t bytes, int protection), (begin, bytes, protection))
TEST_SUPPORT_WRAP(int, munmap, (void* begin, size_t bytes), (begin, bytes))

// It fails with 0.
extern "C" int __real_dladdr(const void* address, Dl_info* info);
extern "C" int __wrap_dladdr(const void* address, Dl_info* info);
static ::test_support::FaultSite fault_site_dladdr("dladdr");
int __wrap_dladdr(const void* address, Dl_info* info) {
    return fault_site_dladdr.enter() ? 0 : __real_dladdr(address, info);
}

// A mapping that fails is MAP_FAILED, not -1.
extern "C" void* __real_mmap(void* hint, size_t bytes, int protection, int flags, int fd, off_t offset);
extern "C" void* __wrap_mmap(void* hint, size_t bytes, int protection, int flags, int fd, off_t offset);
static ::test_support::FaultSite fault_site_mmap("mmap");
void* __wrap_mmap(void* hint, size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (const auto fault = fault_site_mmap.enter()) {
        (void)fault->take();
        return MAP_FAILED;
    }
    return __real_mmap(hint, bytes, protection, flags, fd, offset);
}

extern "C" long __real_syscall(long number, ...);
extern "C" long __wrap_syscall(long number, ...);
static ::test_support::FaultSite fault_site_syscall("syscall");
long __wrap_syscall(long number, ...) {
    if (const auto fault = fault_site_syscall.enter()) return fault->take();
    std::va_list list;
    va_start(list, number);
    long arguments[5];
    for (long& argument : arguments)
        argument = va_arg(list, long);  // as libc does: words, whatever they mean; no call here has more
    va_end(list);
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]);
}
