// The files of unix sockets: bind_socket() makes one, replacing what a killed process left behind; SocketFile
// removes it again.
#pragma once

#include <sys/types.h>

#include <string>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/sock_addr.h"

namespace nutils {

// bind(2), for every kind of address. A unix path where a socket file lies that nobody uses any more: it is
// replaced. One that is in use, or may be, is errc::address_in_use; what is not a socket is never touched.
//
// `permissions`: of the socket file, whatever the process's umask; -1 leaves it to that.
// Errors: the errno of the call that failed, with its name and the address in the context.
[[nodiscard]] EVC_API cutils::Result<void> bind_socket(int fd, const SockAddr& address, int permissions = -1);

// Remembers the file of a bound unix socket, and removes it when asked, if it still is that file and nobody
// listens there: not the one of a successor, which has replaced it or taken over the listening descriptor.
//
//   SocketFile file = SocketFile::of(address);    // right after bind
//   …
//   listener.reset();
//   file.remove();
//
// A value; never removes by itself. For any other address than a unix path it is empty, and does nothing.
class EVC_API SocketFile {
  public:
    SocketFile() = default;
    [[nodiscard]] static SocketFile of(const SockAddr& bound);

    // Removes it, once. Before: our descriptor is closed: "somebody listens" would be us.
    void remove() noexcept;

    [[nodiscard]] bool empty() const { return address_.is_none(); }

  private:
    SockAddr address_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace nutils
