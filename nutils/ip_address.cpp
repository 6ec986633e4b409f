#include "nutils/ip_address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "cutils/check.h"
#include "nutils/text_internal.h"

namespace nutils {
namespace {

cutils::Error refuse(std::string_view text, const char* why) {
    return {std::make_error_code(std::errc::invalid_argument), detail::quoted(text) + " " + why};
}

// What inet_pton reads ends at a zero byte; text that contains one would be read only in part.
bool to_c_string(std::string_view text, char* out, std::size_t size) {
    if (text.size() >= size || text.find('\0') != std::string_view::npos) return false;
    std::memcpy(out, text.data(), text.size());
    out[text.size()] = '\0';
    return true;
}

// A scope is an interface's number or its name.
cutils::Result<std::uint32_t> parse_scope(std::string_view text, std::string_view scope) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(scope.data(), scope.data() + scope.size(), number);
    if (error == std::errc() && end == scope.data() + scope.size() && number != 0) return number;
    char name[IF_NAMESIZE];
    if (scope.empty() || !to_c_string(scope, name, sizeof name))
        return refuse(text, "has no interface number or name after '%'");
    number = if_nametoindex(name);
    if (number != 0) return number;
    return cutils::Error(std::make_error_code(std::errc::no_such_device),
                         detail::quoted(text) + " names an interface this machine does not have");
}

}  // namespace

IpAddress::IpAddress(const in_addr& address) noexcept { std::memcpy(bytes_, &address, sizeof address); }

IpAddress::IpAddress(const in6_addr& address, std::uint32_t scope) noexcept : is_v4_(false), scope_(scope) {
    std::memcpy(bytes_, &address, sizeof address);
}

IpAddress IpAddress::loopback() noexcept { return IpAddress(in_addr{htonl(INADDR_LOOPBACK)}); }
IpAddress IpAddress::loopback6() noexcept { return IpAddress(in6_addr(IN6ADDR_LOOPBACK_INIT)); }

cutils::Result<IpAddress> IpAddress::parse(std::string_view text) {
    char buffer[INET6_ADDRSTRLEN];
    if (text.empty()) return refuse(text, "is empty where an IP address is expected");
    if (text.find(':') == std::string_view::npos) {
        in_addr v4;
        if (!to_c_string(text, buffer, sizeof buffer) || inet_pton(AF_INET, buffer, &v4) != 1)
            return refuse(text, "is not an IP address (names are not looked up here)");
        return IpAddress(v4);
    }
    if (text.find_first_of("[]") != std::string_view::npos)
        return refuse(text, "has brackets, which belong to an address with a port");
    const std::size_t percent = text.find('%');
    in6_addr v6;
    if (!to_c_string(text.substr(0, percent), buffer, sizeof buffer) || inet_pton(AF_INET6, buffer, &v6) != 1)
        return refuse(text, "is not an IPv6 address");
    if (percent == std::string_view::npos) return IpAddress(v6);
    const cutils::Result<std::uint32_t> scope = parse_scope(text, text.substr(percent + 1));
    if (!scope) return scope.error();
    return IpAddress(v6, *scope);
}

std::string IpAddress::to_string() const {
    char buffer[INET6_ADDRSTRLEN];
    std::string text = inet_ntop(is_v4_ ? AF_INET : AF_INET6, bytes_, buffer, sizeof buffer);
    if (scope_ != 0) text.append("%").append(std::to_string(scope_));
    return text;
}

bool IpAddress::is_any() const noexcept {
    return std::all_of(std::begin(bytes_), std::end(bytes_), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const noexcept {
    if (is_v4_) return bytes_[0] == 127;
    return std::memcmp(bytes_, &in6addr_loopback, sizeof bytes_) == 0;
}

bool IpAddress::is_link_local() const noexcept {
    if (is_v4_) return bytes_[0] == 169 && bytes_[1] == 254;
    return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_v4_mapped() const noexcept {
    static constexpr std::uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return !is_v4_ && std::memcmp(bytes_, kPrefix, sizeof kPrefix) == 0;
}

IpAddress IpAddress::unmapped() const noexcept {
    if (!is_v4_mapped()) return *this;
    in_addr v4;
    std::memcpy(&v4, bytes_ + 12, sizeof v4);
    return IpAddress(v4);
}

in_addr IpAddress::v4() const noexcept {
    EVC_CHECK(is_v4_, "IpAddress::v4() of an IPv6 address");
    in_addr v4;
    std::memcpy(&v4, bytes_, sizeof v4);
    return v4;
}

in6_addr IpAddress::v6() const noexcept {
    EVC_CHECK(!is_v4_, "IpAddress::v6() of an IPv4 address");
    in6_addr v6;
    std::memcpy(&v6, bytes_, sizeof v6);
    return v6;
}

std::size_t IpAddress::hash() const noexcept {
    const std::string_view bytes(reinterpret_cast<const char*>(bytes_), sizeof bytes_);
    return std::hash<std::string_view>()(bytes) * 31 + scope_ + (is_v4_ ? 1 : 0);
}

}  // namespace nutils
