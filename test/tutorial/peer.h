// Peer, Host: plain blocking sockets with bounded waits, for the other end of a tutorial's program.
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>

#include "test/tutorial/program.h"

namespace tutorial_test {

// A connection, from either side.
class Peer {
  public:
    explicit Peer(nutils::UniqueFd fd) : fd_(std::move(fd)) {}
    // Connects to a port of this machine.
    explicit Peer(int port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
            FAIL("cannot connect");
    }
    void write(const std::string& text) const {
        CHECK_EQUAL(text.size(), ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL));
    }
    // As many bytes as come, at most `size`, while there is patience.
    [[nodiscard]] std::string read(std::size_t size) const {
        std::string text;
        char buffer[8192];
        while (text.size() < size && wait_for(fd_.get(), POLLIN)) {
            const ssize_t got = ::recv(fd_.get(), buffer, std::min(sizeof buffer, size - text.size()), 0);
            if (got <= 0) break;
            text.append(buffer, static_cast<std::size_t>(got));
        }
        return text;
    }
    // Until the end of a request's head, which is among it.
    [[nodiscard]] std::string read_head() const {
        std::string text;
        while (!text.ends_with("\r\n\r\n")) {
            const std::string more = read(1);
            if (more.empty()) break;
            text += more;
        }
        return text;
    }
    void end() const { ::shutdown(fd_.get(), SHUT_WR); }

  private:
    nutils::UniqueFd fd_;
};

// Listens at a port of this machine.
class Host {
  public:
    Host() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const raw = reinterpret_cast<sockaddr*>(&address);
        if (::bind(fd_.get(), raw, size) != 0 || ::listen(fd_.get(), 16) != 0 ||
            ::getsockname(fd_.get(), raw, &size) != 0)
            FAIL("cannot listen");
        port_ = ntohs(address.sin_port);
    }
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] Peer accept() const {
        if (!wait_for(fd_.get(), POLLIN)) FAIL("nobody connects");
        return Peer(nutils::UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
    }

  private:
    nutils::UniqueFd fd_;
    int port_ = 0;
};

}  // namespace tutorial_test
