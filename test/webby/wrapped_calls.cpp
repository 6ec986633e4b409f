// The system calls that these tests can make fail: what wrap.txt names.
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "test/support/fault_injection.h"

TEST_SUPPORT_WRAP(int, epoll_ctl, (int epoll, int what, int fd, epoll_event* event), (epoll, what, fd, event))
TEST_SUPPORT_WRAP(ssize_t, getrandom, (void* bytes, size_t count, unsigned int flags), (bytes, count, flags))
TEST_SUPPORT_WRAP_SIZED(ssize_t, read, (int fd, void* buffer, size_t size), size, (fd, buffer, size))
