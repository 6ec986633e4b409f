// The stack pools of the process, for whoever has an address and asks whose it is. Internal.
#pragma once

#include <cstddef>
#include <cstdint>

#include "corothread/stack_pool.h"
#include "cutils/export.h"

namespace corothread {

// Where an address lies in a pool.
struct StackPlace {
    const StackPool* pool = nullptr;
    std::uint32_t index = 0;
    bool in_guard = false;
};

struct PoolList {
    static void enter(StackPool& pool);
    static void leave(StackPool& pool);
    // Async-signal-safe. None when the list stays locked, or the address is nobody's.
    EVC_API static StackPlace find(const void* address);
    // Units: pages, as they were asked for, before scaling.
    static std::size_t pages_asked(const StackPool& pool) { return pool.options_.pages; }
};

}  // namespace corothread
