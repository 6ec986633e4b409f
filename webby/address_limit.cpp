#include "webby/address_limit.h"

namespace webby {

bool AddressLimit::enter(const nutils::SockAddr& peer, Place& place) {
    const ClientKey key = client_key(peer);
    if (key.family == 0) return true;
    const std::lock_guard lock(mutex_);
    Place::Count& count = *counts_.try_emplace(key, 0).first;
    if (count.second >= most_) {
        ++refused_;
        return false;
    }
    ++count.second;
    place = Place(*this, count);
    return true;
}

void AddressLimit::leave(Place::Count& count) {
    const std::lock_guard lock(mutex_);
    if (--count.second == 0) counts_.erase(count.first);
}

std::uint64_t AddressLimit::refused() const {
    const std::lock_guard lock(mutex_);
    return refused_;
}

}  // namespace webby
