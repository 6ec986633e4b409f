// ProxyReader: takes a PROXY header off a connection, before anybody else reads from it. Internal.
#pragma once

#include <cstdint>
#include <memory>

#include "cutils/clock.h"
#include "nutils/sock_addr.h"
#include "webby/forwarded.h"
#include "webby/proxy_protocol.h"

namespace webby {

// Works on the descriptor, so that it is the same for all drivers, with TLS behind it or not.
// Owner: the connection, until its header has come.
class ProxyReader {
  public:
    enum class Step { need_more, done, refused };

    // Peers that are not trusted are refused. Lifetime: trust outlives it.
    ProxyReader(const ForwardedTrust& trust, cutils::TimePoint until) : until_(until), trust_(trust) {}

    // Takes what is there of the header, and nothing behind it. A refusal is logged, at most once a second.
    [[nodiscard]] Step read(int fd);

    // After done: whose connection it is; null when the header does not say.
    [[nodiscard]] std::unique_ptr<nutils::SockAddr> client() const;
    // When the header has to be complete.
    [[nodiscard]] cutils::TimePoint until() const { return until_; }

  private:
    Step refuse(int fd, const char* why);

    const cutils::TimePoint until_;
    const ForwardedTrust& trust_;
    ProxyHeaderParser parser_;
    bool peer_is_trusted_ = false;
};

}  // namespace webby
