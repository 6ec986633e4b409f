#include "webby/random_hex.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "cutils/check.h"
#include "nutils/unique_fd.h"

namespace webby {
namespace {

// Where getrandom(2) is not to be had: a sandbox that does not know it.
bool read_device(unsigned char* random, std::size_t bytes) {
    const nutils::UniqueFd device(::open("/dev/urandom", O_RDONLY | O_CLOEXEC));
    if (!device) return false;
    std::size_t got = 0;
    while (got < bytes) {
        const ssize_t some = ::read(device.get(), random + got, bytes - got);
        if (some > 0)
            got += static_cast<std::size_t>(some);
        else if (some == 0 || errno != EINTR)
            return false;
    }
    return true;
}

bool fill(unsigned char* random, std::size_t bytes) {
    // Up to 256 bytes come whole, and only a process that starts before the kernel is ready ever waits.
    ssize_t got = -1;
    do got = ::getrandom(random, bytes, 0);
    while (got < 0 && errno == EINTR);
    return got == static_cast<ssize_t>(bytes) || read_device(random, bytes);
}

}  // namespace

std::string random_hex(std::size_t bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    unsigned char random[32];
    EVC_CHECK(bytes <= sizeof random, "random_hex() of more than 32 bytes");
    if (!fill(random, bytes))
        throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(),
                                "no random bytes, neither from getrandom(2) nor from /dev/urandom");
    std::string text;
    text.reserve(bytes * 2);
    for (std::size_t i = 0; i < bytes; ++i) {
        text += kDigits[random[i] >> 4];
        text += kDigits[random[i] & 15];
    }
    return text;
}

}  // namespace webby
