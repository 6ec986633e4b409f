// The C face: addresses.
#include <cstring>
#include <string>

#include "evcorothread/evthread.h"
#include "evcorothread/evthread_internal.h"
#include "nutils/ip_address.h"
#include "nutils/sock_addr.h"

using namespace evcorothread::c_face;
using nutils::IpAddress;
using nutils::SockAddr;

namespace {

void to_c(const IpAddress& address, IPADDRESS& out) {
    out = {};
    out.family = address.is_v4() ? AF_INET : AF_INET6;
    out.scope = address.scope();
    if (address.is_v4()) {
        const in_addr v4 = address.v4();
        std::memcpy(out.bytes, &v4, sizeof v4);
    } else {
        const in6_addr v6 = address.v6();
        std::memcpy(out.bytes, &v6, sizeof v6);
    }
}

int make(IPADDRESS* address, int family, const IpAddress& v4, const IpAddress& v6) {
    if (address == nullptr || (family != AF_INET && family != AF_INET6)) return fail(EINVAL);
    to_c(family == AF_INET ? v4 : v6, *address);
    return 0;
}

int copy_text(const std::string& from, char* to, std::size_t size) {
    if (to == nullptr) return fail(EINVAL);
    if (from.size() >= size) return fail(ENOSPC);
    std::memcpy(to, from.c_str(), from.size() + 1);
    return static_cast<int>(from.size());
}

}  // namespace

namespace evcorothread::c_face {

bool from_c(const IPADDRESS* address, IpAddress& out) {
    if (address == nullptr) return false;
    if (address->family == AF_INET) {
        in_addr v4;
        std::memcpy(&v4, address->bytes, sizeof v4);
        out = IpAddress(v4);
        return true;
    }
    if (address->family != AF_INET6) return false;
    in6_addr v6;
    std::memcpy(&v6, address->bytes, sizeof v6);
    out = IpAddress(v6, address->scope);
    return true;
}

SockAddr from_c(const SOCKADDR& address) {
    return SockAddr::from_sockaddr(&address.address.base, address.length);
}

void to_c(const SockAddr& address, SOCKADDR& out) {
    std::memset(&out, 0, sizeof out);
    std::memcpy(&out.address, address.data(), address.size());
    out.length = address.size();
}

}  // namespace evcorothread::c_face

int IPADDRESS_any(IPADDRESS* address, int family) noexcept {
    return make(address, family, IpAddress::any(), IpAddress::any6());
}

int IPADDRESS_loopback(IPADDRESS* address, int family) noexcept {
    return make(address, family, IpAddress::loopback(), IpAddress::loopback6());
}

int IPADDRESS_parse(IPADDRESS* address, const char* text) noexcept {
    if (address == nullptr || text == nullptr) return fail(EINVAL);
    return guarded(-1, [&] {
        const auto parsed = IpAddress::parse(text);
        if (!parsed) return fail(parsed.error().code());
        to_c(*parsed, *address);
        return 0;
    });
}

int IPADDRESS_to_string(const IPADDRESS* address, char* text, size_t size) noexcept {
    IpAddress ip;
    if (!from_c(address, ip)) return fail(EINVAL);
    return guarded(-1, [&] { return copy_text(ip.to_string(), text, size); });
}

int SOCKADDR_init(SOCKADDR* saddr, const IPADDRESS* address, int port) noexcept {
    IpAddress ip;
    if (saddr == nullptr || port < 0 || port > 65535 || !from_c(address, ip)) return fail(EINVAL);
    to_c(SockAddr::from(ip, static_cast<std::uint16_t>(port)), *saddr);
    return 0;
}

int SOCKADDR_parse(SOCKADDR* saddr, const char* text) noexcept {
    if (saddr == nullptr || text == nullptr) return fail(EINVAL);
    return guarded(-1, [&] {
        const auto parsed = SockAddr::parse(text);
        if (!parsed) return fail(parsed.error().code());
        to_c(*parsed, *saddr);
        return 0;
    });
}

int SOCKADDR_to_string(const SOCKADDR* saddr, char* text, size_t size) noexcept {
    if (saddr == nullptr) return fail(EINVAL);
    const SockAddr address = from_c(*saddr);
    if (address.is_none()) return fail(EINVAL);
    return guarded(-1, [&] { return copy_text(address.to_string(), text, size); });
}

int SOCKADDR_port(const SOCKADDR* saddr) noexcept {
    if (saddr == nullptr) return fail(EINVAL);
    const SockAddr address = from_c(*saddr);
    return address.is_none() ? fail(EINVAL) : address.port();
}
