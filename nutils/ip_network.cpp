#include "nutils/ip_network.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "cutils/check.h"
#include "nutils/text_internal.h"

namespace nutils {
namespace {

constexpr unsigned kMappedBits = 96;

struct Bytes {
    unsigned char data[16] = {};
    unsigned size = 16;
};

Bytes bytes_of(const IpAddress& address) noexcept {
    Bytes bytes;
    if (address.is_v4()) {
        const in_addr v4 = address.v4();
        std::memcpy(bytes.data, &v4, bytes.size = sizeof v4);
    } else {
        const in6_addr v6 = address.v6();
        std::memcpy(bytes.data, &v6, sizeof v6);
    }
    return bytes;
}

// What of byte `index` belongs to a prefix of `bits`.
unsigned char mask_of(unsigned bits, unsigned index) noexcept {
    const unsigned before = index * 8;
    if (bits >= before + 8) return 0xff;
    if (bits <= before) return 0;
    return static_cast<unsigned char>(0xff00u >> (bits - before));
}

IpAddress masked(const IpAddress& address, unsigned bits) noexcept {
    Bytes bytes = bytes_of(address);
    for (unsigned i = 0; i < bytes.size; ++i)
        bytes.data[i] = static_cast<unsigned char>(bytes.data[i] & mask_of(bits, i));
    if (address.is_v4()) {
        in_addr v4;
        std::memcpy(&v4, bytes.data, sizeof v4);
        return IpAddress(v4);
    }
    in6_addr v6;
    std::memcpy(&v6, bytes.data, sizeof v6);
    return IpAddress(v6);
}

unsigned all_bits(const IpAddress& address) noexcept { return address.is_v4() ? 32 : 128; }

bool is_gap(char c) { return c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

cutils::Error refuse(std::string_view text, const std::string& why) {
    return {std::make_error_code(std::errc::invalid_argument), detail::quoted(text) + " " + why};
}

std::optional<unsigned> read_bits(std::string_view text, unsigned most) {
    unsigned bits = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
    const bool padded = text.size() > 1 && text.front() == '0';
    if (error != std::errc() || end != text.data() + text.size() || bits > most || padded) return {};
    return bits;
}

}  // namespace

IpNetwork::IpNetwork(const IpAddress& address) noexcept : IpNetwork(address, all_bits(address)) {}

IpNetwork::IpNetwork(const IpAddress& address, unsigned bits) noexcept : address_(address), bits_(bits) {
    EVC_CHECK(bits <= all_bits(address), "IpNetwork with a prefix longer than the address");
    if (address.is_v4_mapped() && bits >= kMappedBits) {
        address_ = address.unmapped();
        bits_ = bits - kMappedBits;
    }
    address_ = masked(address_, bits_);
}

cutils::Result<IpNetwork> IpNetwork::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view front = text.substr(0, slash);
    if (front.find('%') != std::string_view::npos)
        return refuse(text, "has a scope, which a network has not");
    const cutils::Result<IpAddress> address = IpAddress::parse(front);
    if (!address) return address.error();
    if (slash == std::string_view::npos) return IpNetwork(*address);
    const std::optional<unsigned> bits = read_bits(text.substr(slash + 1), all_bits(*address));
    if (!bits)
        return refuse(text,
                      "needs a number from 0 to " + std::to_string(all_bits(*address)) + " after \"/\"");
    if (const IpAddress first = masked(*address, *bits); first != *address)
        return refuse(text,
                      "has bits behind its prefix; write " + first.to_string() + "/" + std::to_string(*bits));
    return IpNetwork(*address, *bits);
}

std::string IpNetwork::to_string() const {
    const std::string text = address_.to_string();
    return bits_ == all_bits(address_) ? text : text + "/" + std::to_string(bits_);
}

bool IpNetwork::contains(const IpAddress& address) const noexcept {
    // A network as wide as ::/0 holds the mapped ones, too, which are compared as they are.
    IpAddress other = address.is_v4_mapped() ? address.unmapped() : address;
    if (other.is_v4() && address_.is_v6()) {
        Bytes mapped;
        const in_addr v4 = other.v4();
        mapped.data[10] = mapped.data[11] = 0xff;
        std::memcpy(mapped.data + 12, &v4, sizeof v4);
        in6_addr v6;
        std::memcpy(&v6, mapped.data, sizeof v6);
        other = IpAddress(v6);
    }
    return other.is_v4() == address_.is_v4() && masked(other, bits_) == address_;
}

cutils::Result<IpNetworkList> IpNetworkList::parse(std::string_view text) {
    IpNetworkList list;
    const char* at = text.data();
    const char* const end = at + text.size();
    while ((at = std::find_if_not(at, end, is_gap)) != end) {
        const char* const stop = std::find_if(at, end, is_gap);
        const cutils::Result<IpNetwork> network = IpNetwork::parse({at, static_cast<std::size_t>(stop - at)});
        if (!network) return network.error();
        list.add(*network);
        at = stop;
    }
    return list;
}

IpNetworkList IpNetworkList::loopback() { return parse("127.0.0.0/8 ::1").value(); }
IpNetworkList IpNetworkList::local() {
    return parse("127.0.0.0/8 ::1 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10")
        .value();
}

bool IpNetworkList::contains(const IpAddress& address) const noexcept {
    return std::any_of(networks_.begin(), networks_.end(),
                       [&](const IpNetwork& network) { return network.contains(address); });
}

}  // namespace nutils
