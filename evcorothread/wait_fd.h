// Waiting for a descriptor that some other library reads and writes itself: a database client, inotify, a
// pipe.
#pragma once

#include <system_error>

#include "cutils/deadline.h"
#include "cutils/export.h"

namespace evcorothread {

// Waits until read(2), or write(2), on `fd` would not block. The descriptor stays the caller's, and stays as
// it is.
//
//   while (PQconsumeInput(db), PQisBusy(db))
//       if (auto error = wait_readable(PQsocket(db), 5s)) return error;
//
// Before:   called in a coroutine thread. For an EvSocket's descriptor use its own functions.
// Suspends: until the kernel says so, unless it already does.
// Errors:   timed_out, canceled; EBADF; another errno of poll(2) or epoll_ctl(2).
// Cost:     two epoll_ctl(2) when it suspends, one poll(2) always: for descriptors of our own there is
//           EvSocket.
[[nodiscard]] EVC_API std::error_code wait_readable(int fd, cutils::Deadline deadline);
[[nodiscard]] EVC_API std::error_code wait_writable(int fd, cutils::Deadline deadline);

}  // namespace evcorothread
