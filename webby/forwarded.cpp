#include "webby/forwarded.h"

#include <charconv>
#include <utility>
#include <vector>

#include "webby/ascii.h"
#include "webby/parameters.h"
#include "webby/uri.h"

namespace webby {

using nutils::IpAddress;
using nutils::SockAddr;

namespace {

constexpr ascii::CharSet kIdentifier([](char c) {
    return ascii::is_alnum(c) || c == '.' || c == '_' || c == '-';
});

// Hands out the elements of all fields of one name from right to left. A comma in quotes separates nothing;
// since quotes are looked for from the right, nothing a client wrote further left can change how the part of
// a trusted proxy is read.
class ListFromTheRight {
  public:
    ListFromTheRight(const Headers& headers, std::string_view name)
        : headers_(headers), name_(name), field_(headers.size()) {}

    std::optional<std::string_view> next() {
        while (true) {
            while (!more_) {
                if (field_ == 0) return {};
                const Headers::Field field = headers_[--field_];
                if (!ascii::equal_ignoring_case(field.name, name_)) continue;
                rest_ = field.value;
                more_ = true;
            }
            const std::string_view element = ascii::trim(take_last());
            if (!element.empty()) return element;  // RFC 9110 §5.6.1: empty ones do not count
        }
    }

  private:
    std::string_view take_last() {
        bool quoted = false;
        for (std::size_t at = rest_.size(); at > 0; --at) {
            const char c = rest_[at - 1];
            if (c == '"' && !is_escaped(at - 1)) quoted = !quoted;
            if (c != ',' || quoted) continue;
            const std::string_view last = rest_.substr(at);
            rest_ = rest_.substr(0, at - 1);
            return last;
        }
        more_ = false;
        return rest_;
    }
    [[nodiscard]] bool is_escaped(std::size_t at) const {
        std::size_t slashes = 0;
        while (slashes < at && rest_[at - 1 - slashes] == '\\') ++slashes;
        return slashes % 2 == 1;
    }

    const Headers& headers_;
    std::string_view name_;
    std::size_t field_;
    std::string_view rest_;
    bool more_ = false;
};

// One hop as the proxy behind it described it.
struct Hop {
    std::string node;
    std::string proto;
    std::string host;
};

// "for=192.0.2.1;proto=https". What cannot be read leaves an empty node, which is no address.
Hop read_forwarded(std::string_view element) {
    Hop hop;
    std::string text(";");
    text.append(element);
    std::string_view rest = text;
    Parameter pair;
    ParameterStep step;
    bool named = false;
    while ((step = read_parameter(rest, pair, Quoting::http)) == ParameterStep::one) {
        if (ascii::equal_ignoring_case(pair.name, "for")) {
            if (std::exchange(named, true)) return {};
            hop.node = std::move(pair.value);
        } else if (ascii::equal_ignoring_case(pair.name, "proto")) {
            hop.proto = std::move(pair.value);
        } else if (ascii::equal_ignoring_case(pair.name, "host")) {
            hop.host = std::move(pair.value);
        }
    }
    return step == ParameterStep::end ? hop : Hop();
}

std::string_view unquoted(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') return text.substr(1, text.size() - 2);
    return text;
}

std::size_t count(const Headers& headers, std::string_view name) {
    std::size_t elements = 0;
    for (ListFromTheRight list(headers, name); list.next();) ++elements;
    return elements;
}

// The element of `name` that belongs to hop number `hop` from the right, of `hops`.
std::string element_of(const Headers& headers, std::string_view name, std::size_t hop, std::size_t hops) {
    if (count(headers, name) != hops) hop = 0;
    ListFromTheRight list(headers, name);
    std::optional<std::string_view> element = list.next();
    while (hop-- > 0) element = list.next();
    return std::string(element.value_or(std::string_view()));
}

// What X-Forwarded-Proto and -Host say of the hop.
void add_x_forwarded(const Headers& headers, std::size_t hop, Hop& out) {
    const std::size_t hops = count(headers, "X-Forwarded-For");
    out.proto = element_of(headers, "X-Forwarded-Proto", hop, hops);
    out.host = element_of(headers, "X-Forwarded-Host", hop, hops);
}

void tell(Hop&& hop, ForwardedClient& client) {
    const auto is = [&](std::string_view proto) { return ascii::equal_ignoring_case(hop.proto, proto); };
    if (is("https")) client.proto = "https";
    if (is("http")) client.proto = "http";
    if (is_valid_host(hop.host)) client.host = std::move(hop.host);
    if (!client.address.is_none()) return;
    if (ascii::equal_ignoring_case(hop.node, "unknown")) client.identifier = "unknown";
    if (hop.node.starts_with('_') && kIdentifier.has_all(hop.node)) client.identifier = std::move(hop.node);
}

bool is_trusted(const SockAddr& address, const ForwardedTrust& trust) {
    return address.is_unix() ? trust.unix_sockets : trust.networks.contains(address);
}

std::optional<std::uint16_t> read_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || text.size() > 5) return {};
    return port;
}

// "_hidden" and a number that is none are ports that nobody knows; anything else spoils the node.
bool is_port_of_node(std::string_view text) {
    return read_port(text) || (text.size() > 1 && text.front() == '_' && kIdentifier.has_all(text));
}

}  // namespace

SockAddr parse_forwarded_node(std::string_view node) {
    std::string_view address = node, port;
    bool has_port = false;
    if (node.starts_with('[')) {
        const std::size_t end = node.find(']');
        if (end == std::string_view::npos) return {};
        address = node.substr(1, end - 1);
        if (address.find(':') == std::string_view::npos) return {};
        const std::string_view rest = node.substr(end + 1);
        has_port = !rest.empty();
        if (has_port && rest.front() != ':') return {};
        if (has_port) port = rest.substr(1);
    } else if (const std::size_t colon = node.find(':');
               colon != std::string_view::npos && node.rfind(':') == colon) {
        address = node.substr(0, colon);
        port = node.substr(colon + 1);
        has_port = true;
    }
    if (has_port && !is_port_of_node(port)) return {};
    if (address.find('%') != std::string_view::npos) return {};  // would name one of our interfaces
    const cutils::Result<IpAddress> ip = IpAddress::parse(address);
    if (!ip) return {};
    return SockAddr::from(ip->unmapped(), read_port(port).value_or(0));
}

ForwardedClient forwarded_client(const Headers& headers, const SockAddr& peer, const ForwardedTrust& trust) {
    ForwardedClient client{.address = peer};
    if (!is_trusted(peer, trust)) return client;
    const bool standard = trust.by == ForwardedBy::forwarded;
    ListFromTheRight list(headers, standard ? "Forwarded" : "X-Forwarded-For");
    Hop hop;
    std::size_t hops = 0;
    while (const std::optional<std::string_view> element = list.next()) {
        hop = standard ? read_forwarded(*element) : Hop{std::string(unquoted(*element)), {}, {}};
        client.address = parse_forwarded_node(hop.node);
        client.forwarded = true;
        ++hops;
        if (!is_trusted(client.address, trust)) break;
    }
    if (hops > 0 && !standard) add_x_forwarded(headers, hops - 1, hop);
    if (hops > 0) tell(std::move(hop), client);
    return client;
}

}  // namespace webby
