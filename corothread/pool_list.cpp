#include "corothread/pool_list_internal.h"

#include <sched.h>

#include <atomic>

namespace corothread {
namespace {

// Not a mutex: a signal handler may ask for it, and must not wait for ever.
constinit std::atomic<bool> locked{false};
constinit StackPool* first = nullptr;

bool try_lock() { return !locked.exchange(true, std::memory_order_acquire); }
void unlock() { locked.store(false, std::memory_order_release); }
void lock() {
    while (!try_lock()) ::sched_yield();
}

}  // namespace

void PoolList::enter(StackPool& pool) {
    lock();
    pool.next_pool_ = first;
    first = &pool;
    unlock();
}

void PoolList::leave(StackPool& pool) {
    lock();
    for (StackPool** link = &first; *link != nullptr; link = &(*link)->next_pool_)
        if (*link == &pool) {
            *link = pool.next_pool_;
            break;
        }
    unlock();
}

StackPlace PoolList::find(const void* address) {
    bool mine = false;
    for (int attempts = 0; !mine && attempts < 1000; ++attempts) {
        mine = try_lock();
        if (!mine) ::sched_yield();
    }
    if (!mine) return {};
    StackPlace place;
    for (const StackPool* pool = first; pool != nullptr && place.pool == nullptr; pool = pool->next_pool_) {
        const auto offset =
            reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(pool->base_);
        if (offset >= pool->slot_bytes_ * pool->options_.count) continue;
        place = {pool, static_cast<std::uint32_t>(offset / pool->slot_bytes_),
                 offset % pool->slot_bytes_ < pool->guard_bytes_};
    }
    unlock();
    return place;
}

}  // namespace corothread
