// ClientKey: what is one client, for limits: an IPv4 address, or the IPv6 network of 64 bits that one
// customer has.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cutils/export.h"
#include "nutils/sock_addr.h"

namespace webby {

struct ClientKey {
    std::uint64_t bits = 0;
    unsigned family = 0;  // 4, 6; 0: everybody who has no IP address

    friend bool operator==(const ClientKey&, const ClientKey&) = default;
};

// An IPv4 address and the same one mapped into IPv6 are one client.
[[nodiscard]] EVC_API ClientKey client_key(const nutils::SockAddr& client);

// Seeded, so that nobody can choose addresses that meet in one place of a table.
struct EVC_API ClientHash {
    std::uint64_t seed = random_seed();
    std::size_t operator()(const ClientKey& key) const noexcept;

  private:
    static std::uint64_t random_seed();
};

}  // namespace webby
