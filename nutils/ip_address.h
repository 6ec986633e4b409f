// IpAddress: an IPv4 or IPv6 address, without a port. For access lists, logs and making socket addresses.
#pragma once

#include <netinet/in.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "cutils/result.h"

namespace nutils {

// A value: copied freely, compared, usable as a key. Never a name: "localhost" is not an address.
//
//   IpAddress address = IpAddress::parse("2001:db8::1").value();
//   if (peer.ip().unmapped() == IpAddress::loopback()) …
class EVC_API IpAddress {
  public:
    // 0.0.0.0; the same as any().
    IpAddress() noexcept : IpAddress(in_addr{}) {}
    explicit IpAddress(const in_addr& address) noexcept;
    // scope: the index of the network interface, for link-local addresses; 0 for none.
    explicit IpAddress(const in6_addr& address, std::uint32_t scope = 0) noexcept;

    [[nodiscard]] static IpAddress any() noexcept { return IpAddress(in_addr{}); }    // 0.0.0.0
    [[nodiscard]] static IpAddress any6() noexcept { return IpAddress(in6_addr{}); }  // ::
    [[nodiscard]] static IpAddress loopback() noexcept;                               // 127.0.0.1
    [[nodiscard]] static IpAddress loopback6() noexcept;                              // ::1

    // Reads "192.0.2.1", "2001:db8::1", "fe80::1%eth0" or "fe80::1%2" (without brackets). Strict: four
    // decimal numbers without leading zeros, nothing around them.
    // Errors: errc::invalid_argument, with the text and what is wrong with it. An interface name that this
    //         machine does not have is errc::no_such_device.
    [[nodiscard]] static cutils::Result<IpAddress> parse(std::string_view text);

    // What parse() reads: the shortest form of RFC 5952; the scope as a number.
    [[nodiscard]] std::string to_string() const;

    [[nodiscard]] bool is_v4() const noexcept { return is_v4_; }
    [[nodiscard]] bool is_v6() const noexcept { return !is_v4_; }
    [[nodiscard]] bool is_any() const noexcept;
    // 127.0.0.0/8 and ::1.
    [[nodiscard]] bool is_loopback() const noexcept;
    // 169.254.0.0/16 and fe80::/10.
    [[nodiscard]] bool is_link_local() const noexcept;
    // ::ffff:192.0.2.1, the way an IPv6 socket shows an IPv4 peer.
    [[nodiscard]] bool is_v4_mapped() const noexcept;
    // The IPv4 address inside a mapped one; any other address as it is. Use it before comparing with access
    // lists.
    [[nodiscard]] IpAddress unmapped() const noexcept;

    [[nodiscard]] std::uint32_t scope() const noexcept { return scope_; }

    // Before: is_v4().
    [[nodiscard]] in_addr v4() const noexcept;
    // Before: is_v6().
    [[nodiscard]] in6_addr v6() const noexcept;

    friend bool operator==(const IpAddress&, const IpAddress&) noexcept = default;
    // IPv6 before IPv4; inside a family in the order of the bytes, so a network's addresses stand together.
    friend std::strong_ordering operator<=>(const IpAddress&, const IpAddress&) noexcept = default;

    [[nodiscard]] std::size_t hash() const noexcept;

  private:
    bool is_v4_ = true;
    std::uint8_t bytes_[16] = {};  // network order; an IPv4 address in the first four
    std::uint32_t scope_ = 0;
};

}  // namespace nutils

template <>
struct std::hash<nutils::IpAddress> {
    std::size_t operator()(const nutils::IpAddress& address) const noexcept { return address.hash(); }
};
