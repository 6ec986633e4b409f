#include "nutils/unique_fd.h"

#include <unistd.h>

#include <cerrno>

#include "cutils/check.h"

namespace nutils {

void close_fd(int fd) noexcept {
    const int saved = errno;
    // EINTR and EIO leave the descriptor closed as well; there is nothing to do about them.
    const int closed = ::close(fd);
    EVC_CHECK(closed == 0 || errno != EBADF,
              "a descriptor is closed that is not open: somebody closed it twice");
    errno = saved;
}

}  // namespace nutils
