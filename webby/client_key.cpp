#include "webby/client_key.h"

#include <sys/random.h>

#include <cstring>

namespace webby {

std::uint64_t ClientHash::random_seed() {
    std::uint64_t seed = 0;
    // Without randomness, which no kernel we run on lacks, the table is merely easier to attack.
    (void)!::getrandom(&seed, sizeof seed, GRND_NONBLOCK);
    return seed;
}

// The finalizer of SplitMix64 over the seeded key.
std::size_t ClientHash::operator()(const ClientKey& key) const noexcept {
    std::uint64_t x = (key.bits ^ seed) + 0x9e3779b97f4a7c15 * (key.family + 1U);
    x = (x ^ (x >> 30)) * (0xbf58476d1ce4e5b9 ^ (seed | 1));
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return static_cast<std::size_t>(x ^ (x >> 31));
}

ClientKey client_key(const nutils::SockAddr& client) {
    ClientKey key;
    if (!client.is_ip()) return key;
    const nutils::IpAddress address = client.ip().unmapped();
    if (address.is_v4()) {
        const in_addr v4 = address.v4();
        key.family = 4;
        std::memcpy(&key.bits, &v4, sizeof v4);
    } else {
        const in6_addr v6 = address.v6();
        key.family = 6;
        std::memcpy(&key.bits, &v6, sizeof key.bits);
    }
    return key;
}

}  // namespace webby
