// Guards: pages below a stack that must not be touched. Internal to StackPool.
#pragma once

#include <cstddef>
#include <system_error>

namespace corothread {

enum class GuardKind;  // stack_pool.h

namespace guard {

// Guards for `count` stacks: `bytes` at `first`, and every `stride` bytes from there. `done` says how many
// are in place, also after an error.

// MADV_GUARD_INSTALL (Linux 6.13): a marker in the page table; no mapping is split, so a million guards cost
// no VMA. Many a system call where the kernel has process_madvise(2) for one's own process. Errors: EINVAL on
// an older kernel or locked memory.
std::error_code install_markers(char* first, std::size_t bytes, std::size_t stride, std::size_t count,
                                std::size_t& done);

// mprotect(PROT_NONE): works everywhere; splits the mapping, two VMAs a guard.
std::error_code install_mprotect(char* first, std::size_t bytes, std::size_t stride, std::size_t count,
                                 std::size_t& done);

// Does this kernel have markers? Asked once, on a page of its own.
bool markers_available();

// How many more VMAs this process may have: vm.max_map_count less those it has. Negative when it cannot be
// told.
long mappings_left(long& limit);

}  // namespace guard
}  // namespace corothread
