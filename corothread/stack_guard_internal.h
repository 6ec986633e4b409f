// Guards: pages below a stack that must not be touched. Internal to StackPool.
#pragma once

#include <cstddef>
#include <system_error>

namespace corothread {

enum class GuardKind;  // stack_pool.h

namespace guard {

// MADV_GUARD_INSTALL (Linux 6.13): a marker in the page table; no mapping is split, so a million guards cost no VMA.
// Errors: EINVAL on an older kernel or locked memory.
std::error_code install_marker(char* begin, std::size_t bytes);

// mprotect(PROT_NONE): works everywhere; splits the mapping, two VMAs a guard.
std::error_code install_mprotect(char* begin, std::size_t bytes);

// Does this kernel have markers? Asked once, on a page of its own.
bool markers_available();

// How many more VMAs this process may have: vm.max_map_count less those it has. Negative when it cannot be told.
long mappings_left(long& limit);

}  // namespace guard
}  // namespace corothread
