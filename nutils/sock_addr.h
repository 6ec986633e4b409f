// SockAddr: where a socket is, or where it should connect to: IPv4, IPv6 or unix.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/ip_address.h"

namespace nutils {

// A value of 116 bytes without memory of its own: copied freely, compared, usable as a key.
//
//   SockAddr address = SockAddr::parse(config["listen"]).value();   // "127.0.0.1:8080", "unix:/run/web.sock"
//   ::bind(fd, address.data(), address.size());
//
// As text, and what parse() reads back:
//
//   127.0.0.1:80    [::1]:80    [fe80::1%2]:80
//   :80             any IPv4 address (parse only)
//   unix:/run/web.sock          a socket file
//   unix:@web                   an abstract name: no file, gone with its socket
//
// In the text of a unix address control characters and the backslash stand as \xNN, since the peer chooses
// its own name and a log must not break over it; a file whose name begins with '@' stands as unix:\x40name.
class EVC_API SockAddr {
  public:
    // No address at all: is_none().
    SockAddr() noexcept;

    [[nodiscard]] static SockAddr any(std::uint16_t port) noexcept { return from(IpAddress::any(), port); }
    [[nodiscard]] static SockAddr any6(std::uint16_t port) noexcept { return from(IpAddress::any6(), port); }
    [[nodiscard]] static SockAddr loopback(std::uint16_t port) noexcept {
        return from(IpAddress::loopback(), port);
    }
    [[nodiscard]] static SockAddr loopback6(std::uint16_t port) noexcept {
        return from(IpAddress::loopback6(), port);
    }
    [[nodiscard]] static SockAddr from(const IpAddress& address, std::uint16_t port) noexcept;

    // A socket file, or an abstract name when `path` begins with '@' (write "./@file" for a file named so).
    // Errors: errc::filename_too_long beyond 107 bytes (never cut off), errc::invalid_argument for an empty
    //         one or a zero byte in the name of a file.
    [[nodiscard]] static cutils::Result<SockAddr> unix_path(std::string_view path);

    // Reads the text forms above.
    // Errors: those of IpAddress::parse() and unix_path(); errc::invalid_argument when there is no port, a
    //         port is not a number from 0 to 65535, or an IPv6 address has no brackets. The context quotes
    //         the part that is wrong.
    [[nodiscard]] static cutils::Result<SockAddr> parse(std::string_view text);

    // What the kernel says. None when the family is not one of ours or `size` is too short for it.
    [[nodiscard]] static SockAddr from_sockaddr(const sockaddr* address, socklen_t size) noexcept;

    // Where `fd` is bound, or whom it is connected to.
    // Errors: the errno of getsockname(2), getpeername(2); errc::address_family_not_supported.
    [[nodiscard]] static cutils::Result<SockAddr> local_of(int fd);
    [[nodiscard]] static cutils::Result<SockAddr> peer_of(int fd);

    // The text that parse() reads. "none" without an address; "unix:" for the unnamed unix socket that a
    // client has (which parse() refuses, since nobody can connect to it).
    [[nodiscard]] std::string to_string() const;

    // For system calls.
    [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.base; }
    [[nodiscard]] socklen_t size() const noexcept { return size_; }
    [[nodiscard]] int family() const noexcept { return storage_.base.sa_family; }

    [[nodiscard]] bool is_none() const noexcept { return family() == AF_UNSPEC; }
    [[nodiscard]] bool is_ip() const noexcept { return family() == AF_INET || family() == AF_INET6; }
    [[nodiscard]] bool is_unix() const noexcept { return family() == AF_UNIX; }
    // A unix address without a file.
    [[nodiscard]] bool is_abstract() const noexcept;

    // 0 for what has no port.
    [[nodiscard]] std::uint16_t port() const noexcept;
    // Before: is_ip().
    [[nodiscard]] IpAddress ip() const noexcept;
    // Before: is_unix(). The file, or the abstract name without its '@'; empty for an unnamed socket.
    // Lifetime: valid as long as this SockAddr.
    [[nodiscard]] std::string_view path() const noexcept;

    friend bool operator==(const SockAddr& a, const SockAddr& b) noexcept { return a.bytes() == b.bytes(); }
    // Some total order, for maps and sets.
    friend std::strong_ordering operator<=>(const SockAddr& a, const SockAddr& b) noexcept {
        return a.bytes() <=> b.bytes();
    }
    [[nodiscard]] std::size_t hash() const noexcept { return std::hash<std::string_view>()(bytes()); }

  private:
    [[nodiscard]] std::string_view bytes() const noexcept {
        return {reinterpret_cast<const char*>(&storage_), size_};
    }
    static cutils::Result<SockAddr> make_unix(std::string_view name, bool abstract);
    static cutils::Result<SockAddr> parse_unix(std::string_view text);
    void set_unix(std::string_view sun_path) noexcept;

    // Everything beyond what the family uses is zero, so that equal addresses have equal bytes.
    union Storage {
        sockaddr base;
        sockaddr_in v4;
        sockaddr_in6 v6;
        sockaddr_un un;
    } storage_;
    socklen_t size_;
};

}  // namespace nutils

template <>
struct std::hash<nutils::SockAddr> {
    std::size_t operator()(const nutils::SockAddr& address) const noexcept { return address.hash(); }
};
