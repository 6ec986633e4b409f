// Comparing a secret with what a stranger sent, without telling by the time it takes how much was right.
#pragma once

#include <cstddef>
#include <string_view>

namespace webby {

// offered == secret, in a time that depends on the length of what was offered and on nothing else.
inline bool equal_in_constant_time(std::string_view offered, std::string_view secret) {
    // An empty secret is compared with a byte that differs, so that there is one to read.
    const std::string_view other = secret.empty() ? std::string_view("\1", 1) : secret;
    volatile std::size_t different = offered.size() ^ secret.size();
    std::size_t at = 0;
    for (const char c : offered) {
        different = different | static_cast<unsigned char>(c ^ other[at]);
        ++at;
        at &= std::size_t{0} - static_cast<std::size_t>(at < other.size());  // wraps without a branch
    }
    return different == 0;
}

}  // namespace webby
