// Forwarded (RFC 7239) and X-Forwarded-For: who the client is when proxies stand between.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cutils/export.h"
#include "nutils/ip_network.h"
#include "nutils/sock_addr.h"
#include "webby/headers.h"

namespace webby {

// Which fields our proxies write. Never both: what a proxy does not write, it lets the client write.
enum class ForwardedBy {
    x_forwarded,  // X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host
    forwarded,    // Forwarded
};

// Whom to believe.
struct ForwardedTrust {
    nutils::IpNetworkList networks{};  // of our proxies, all of them on the way
    bool unix_sockets = false;         // a peer on a unix socket is a proxy, too
    ForwardedBy by = ForwardedBy::x_forwarded;

    [[nodiscard]] bool nobody() const { return networks.empty() && !unix_sockets; }
};

// What the proxies said.
struct ForwardedClient {
    // The client, with port 0 where none was said. None (is_none()) when a trusted proxy wrote something that
    // is no address; treat that as a stranger, never as the proxy.
    nutils::SockAddr address;
    std::string identifier{};  // "unknown", or "_hidden" as RFC 7239 §6.3 has it; in place of an address
    std::string proto{};       // "http" or "https" as the client spoke it; empty: not said
    std::string host{};        // as the client asked for it; empty: not said
    bool forwarded = false;    // false: the peer is the client; all else is empty
};

// Goes from the peer backwards: what a trusted proxy appended at the right end is true; if that is another
// trusted proxy, so is what stands left of it. The first one that is not trusted is the client; what stands
// left of that is anybody's invention and not even looked at.
//
//   trust.networks = IpNetworkList::parse("10.0.0.0/8").value();
//   peer 10.0.0.2, "X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.0.0.1"   ->   192.0.2.7
//
// Reads "192.0.2.7", "192.0.2.7:4711", "[2001:db8::1]:80", in quotes or not; IPv6 also without brackets.
// X-Forwarded-Proto and -Host are taken from the place that belongs to the client where they are as long as
// the list of addresses, else from their right end. A proto other than http or https, or a host that is none,
// counts as not said. When all are trusted, the leftmost is the client.
//
// Cost: nothing unless the peer is trusted; then a few strings.
[[nodiscard]] EVC_API ForwardedClient forwarded_client(const Headers& headers, const nutils::SockAddr& peer,
                                                       const ForwardedTrust& trust);

// The address in a node of RFC 7239 §6 or an element of X-Forwarded-For; none when it is not one.
[[nodiscard]] EVC_API nutils::SockAddr parse_forwarded_node(std::string_view node);

}  // namespace webby
