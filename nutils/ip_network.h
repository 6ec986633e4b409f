// IpNetwork: all addresses that begin with the same bits, as in "10.0.0.0/8"; and lists of them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"
#include "nutils/ip_address.h"
#include "nutils/sock_addr.h"

namespace nutils {

// A value. For access lists and trusted proxies.
//
//   IpNetwork office = IpNetwork::parse("2001:db8::/32").value();
//   if (office.contains(peer.ip())) …
//
// An IPv4 address is the same as that address mapped into IPv6 (::ffff:10.0.0.1), on either side: a socket
// that serves both families shows IPv4 clients that way. Scopes do not matter.
class EVC_API IpNetwork {
  public:
    // One address. Before: bits <= 32 or 128; what follows the first `bits` of the address does not matter.
    explicit IpNetwork(const IpAddress& address) noexcept;
    IpNetwork(const IpAddress& address, unsigned bits) noexcept;

    // Reads "10.0.0.0/8", "2001:db8::/32", or an address alone: that one only.
    // Errors: errc::invalid_argument for what is no address, a prefix that is no number or too long, a scope,
    //         and bits that are set behind the prefix: "10.1.0.0/8" is a mistake in one of its numbers.
    [[nodiscard]] static cutils::Result<IpNetwork> parse(std::string_view text);
    // What parse() reads: "10.0.0.0/8"; an address alone without its "/32", "/128".
    [[nodiscard]] std::string to_string() const;

    // Cost: at most 16 comparisons of bytes.
    [[nodiscard]] bool contains(const IpAddress& address) const noexcept;

    [[nodiscard]] const IpAddress& address() const noexcept { return address_; }
    [[nodiscard]] unsigned bits() const noexcept { return bits_; }

    friend bool operator==(const IpNetwork&, const IpNetwork&) noexcept = default;

  private:
    IpAddress address_;  // unmapped; nothing set behind the prefix
    unsigned bits_;
};

// Networks, asked as one.
//
//   IpNetworkList trusted = IpNetworkList::parse("127.0.0.0/8, ::1").value();
//   if (trusted.contains(request.peer())) …
//
// Cost: asks one after the other: for lists that people write.
class EVC_API IpNetworkList {
  public:
    IpNetworkList() = default;
    IpNetworkList(std::initializer_list<IpNetwork> networks) : networks_(networks) {}

    // Networks with commas or blanks between them. Errors: those of IpNetwork::parse().
    [[nodiscard]] static cutils::Result<IpNetworkList> parse(std::string_view text);
    // 127.0.0.0/8 and ::1.
    [[nodiscard]] static IpNetworkList loopback();
    // Those, and what is never routed in the Internet: 10/8, 172.16/12, 192.168/16, 169.254/16, fc00::/7,
    // fe80::/10.
    [[nodiscard]] static IpNetworkList local();

    void add(const IpNetwork& network) { networks_.push_back(network); }
    [[nodiscard]] bool empty() const noexcept { return networks_.empty(); }
    [[nodiscard]] auto begin() const noexcept { return networks_.begin(); }
    [[nodiscard]] auto end() const noexcept { return networks_.end(); }

    [[nodiscard]] bool contains(const IpAddress& address) const noexcept;
    // False for what is not IPv4 or IPv6.
    [[nodiscard]] bool contains(const SockAddr& address) const noexcept {
        return address.is_ip() && contains(address.ip());
    }

  private:
    std::vector<IpNetwork> networks_;
};

}  // namespace nutils
