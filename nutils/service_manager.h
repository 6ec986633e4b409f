// What a service manager (systemd, or one that speaks like it) and a service tell each other. No library of
// its own is needed for it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/unique_fd.h"

namespace nutils {

// A socket that was opened for us before we were started (socket activation).
struct PassedSocket {
    UniqueFd fd;
    std::string name;  // of LISTEN_FDNAMES: FileDescriptorName= in systemd's unit; may be empty
};

// The sockets of LISTEN_FDS, if LISTEN_PID says that they are for this process: descriptors from 3 on, made
// close-on-exec. Once: the three variables are gone from the environment afterwards, whoever they were for.
//
//   for (PassedSocket& one : take_passed_sockets()) …      // EvTcpAcceptor::adopt, ServerOptions::listen
//
// Before: main(), before other threads read the environment or open descriptors.
// After:  nothing, when nobody passed any. What is for us and makes no sense is left out, with a log line.
[[nodiscard]] EVC_API std::vector<PassedSocket> take_passed_sockets();

// Tells the service manager how the service is: sd_notify(3), to the socket in $NOTIFY_SOCKET. Without that
// variable every call does nothing, successfully.
//
//   ServiceNotifier manager = ServiceNotifier::from_environment();
//   manager.ready("serving at port 80");
//   …
//   manager.stopping();
//
// Owner: a value; remembers the address, and has no descriptor. Thread: any.
// Cost:  a few system calls each. Never waits: a manager that does not read is errc::operation_would_block.
class EVC_API ServiceNotifier {
  public:
    ServiceNotifier() = default;  // of nobody
    // The path of a socket, or, behind "@", an abstract name.
    explicit ServiceNotifier(std::string socket) : socket_(std::move(socket)) {}
    // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
    [[nodiscard]] static ServiceNotifier from_environment();

    [[nodiscard]] bool is_heard() const { return !socket_.empty(); }
    // Within which alive() must be called again and again, or the manager ends the service; call it twice as
    // often.
    [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

    // Each returns what kept the manager from hearing it, which is rarely worth more than a line in the log.
    cutils::Result<void> ready(std::string_view status = {}) const;
    // Configuration is read again; ready() says when that is done.
    cutils::Result<void> reloading() const;
    cutils::Result<void> stopping() const;
    cutils::Result<void> status(std::string_view text) const;
    cutils::Result<void> alive() const;
    // Any "NAME=VALUE", or several on lines of their own.
    cutils::Result<void> notify(std::string_view state) const;

  private:
    std::string socket_;
    std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace nutils
