// The sockets that a service manager has opened for the program, as addresses for ServerOptions::listen.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace webby::program {

// Owner: main(). The descriptors are the server's once it listens; those it does not use stay open.
class PassedSockets {
  public:
    // From the environment, once.
    [[nodiscard]] static PassedSockets take();

    [[nodiscard]] bool empty() const { return sockets_.empty(); }
    // "fd:3", …: those named "tls" or "https", and all others.
    [[nodiscard]] std::vector<std::string> plain() const { return addresses(false); }
    [[nodiscard]] std::vector<std::string> tls() const { return addresses(true); }
    // Makes "fd:3" of "fd:web". Empty, or what is wrong.
    [[nodiscard]] std::string resolve(std::string& address) const;

  private:
    [[nodiscard]] std::vector<std::string> addresses(bool tls) const;
    std::vector<std::pair<std::string, int>> sockets_;  // name, descriptor
};

}  // namespace webby::program
