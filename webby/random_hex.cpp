#include "webby/random_hex.h"

#include <sys/random.h>

#include "cutils/check.h"

namespace webby {

std::string random_hex(std::size_t bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    unsigned char random[32];
    EVC_CHECK(bytes <= sizeof random, "random_hex() of more than 32 bytes");
    // Up to 256 bytes come whole, and only a process that starts before the kernel is ready ever waits.
    const ssize_t got = ::getrandom(random, bytes, 0);
    EVC_CHECK(got == static_cast<ssize_t>(bytes), "getrandom(2) failed: the kernel has no randomness");
    std::string text;
    text.reserve(bytes * 2);
    for (std::size_t i = 0; i < bytes; ++i) {
        text += kDigits[random[i] >> 4];
        text += kDigits[random[i] & 15];
    }
    return text;
}

}  // namespace webby
