#include "nutils/sock_addr.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "cutils/check.h"
#include "nutils/text_internal.h"

namespace nutils {
namespace {

using cutils::Error;
using cutils::Result;
using detail::append_escaped;
using detail::quoted;

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::size_t kPathOffset = offsetof(sockaddr_un, sun_path);
// One byte less than sun_path: the zero behind a file's name, or the one before an abstract name.
constexpr std::size_t kMaxPath = sizeof(sockaddr_un::sun_path) - 1;

// The same error, in the words of whoever wrote the whole address.
Error in_address(std::string_view text, const Error& error) {
    return {error.code(), "address " + quoted(text) + ": " + error.context()};
}

Error refuse(std::string_view text, const std::string& why) {
    return in_address(text, {std::make_error_code(std::errc::invalid_argument), why});
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const bool leading_zero = text.size() > 1 && text.front() == '0';
    if (error != std::errc() || end != text.data() + text.size() || leading_zero) return std::nullopt;
    return port;
}

Result<SockAddr> join(std::string_view text, const Result<IpAddress>& address, std::string_view port_text) {
    if (!address) return in_address(text, address.error());
    const std::optional<std::uint16_t> port = parse_port(port_text);
    if (!port) return refuse(text, quoted(port_text) + " is not a port, a number from 0 to 65535");
    return SockAddr::from(*address, *port);
}

// "[address]:port"
Result<SockAddr> parse_bracketed(std::string_view text) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return refuse(text, "'[' without ']'");
    const std::string_view inside = text.substr(1, end - 1);
    const std::string_view behind = text.substr(end + 1);
    if (behind.empty()) return refuse(text, "no port; write [ADDRESS]:PORT");
    if (behind.front() != ':') return refuse(text, quoted(behind) + " follows ']', where \":PORT\" belongs");
    if (inside.find(':') == std::string_view::npos)
        return refuse(text, quoted(inside) + " is not an IPv6 address; only those stand in brackets");
    return join(text, IpAddress::parse(inside), behind.substr(1));
}

// Undoes append_escaped(). Nothing when a backslash is not followed by xNN.
std::optional<std::string> unescaped(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        if (text.front() != '\\') {
            out += text.front();
            text.remove_prefix(1);
            continue;
        }
        unsigned char byte = 0;
        if (text.size() < 4 || text[1] != 'x') return std::nullopt;
        const auto [end, error] = std::from_chars(text.data() + 2, text.data() + 4, byte, 16);
        if (error != std::errc() || end != text.data() + 4) return std::nullopt;
        out += static_cast<char>(byte);
        text.remove_prefix(4);
    }
    return out;
}

Result<SockAddr> ask_kernel(int fd, int (*ask)(int, sockaddr*, socklen_t*), const char* name) {
    // Roomier than any SockAddr: the kernel adds a zero to a unix path that fills sun_path.
    union {
        sockaddr base;
        sockaddr_storage room;
    } answer = {};
    socklen_t size = sizeof answer;
    if (ask(fd, &answer.base, &size) != 0) return Error::from_errno(name);
    const SockAddr address = SockAddr::from_sockaddr(&answer.base, size);
    if (address.is_none()) return Error(std::make_error_code(std::errc::address_family_not_supported), name);
    return address;
}

}  // namespace

SockAddr::SockAddr() noexcept : size_(sizeof(sa_family_t)) {
    std::memset(static_cast<void*>(&storage_), 0, sizeof storage_);
}

SockAddr SockAddr::from(const IpAddress& address, std::uint16_t port) noexcept {
    SockAddr result;
    if (address.is_v4()) {
        result.storage_.v4.sin_family = AF_INET;
        result.storage_.v4.sin_port = htons(port);
        result.storage_.v4.sin_addr = address.v4();
        result.size_ = sizeof(sockaddr_in);
    } else {
        result.storage_.v6.sin6_family = AF_INET6;
        result.storage_.v6.sin6_port = htons(port);
        result.storage_.v6.sin6_addr = address.v6();
        result.storage_.v6.sin6_scope_id = address.scope();
        result.size_ = sizeof(sockaddr_in6);
    }
    return result;
}

void SockAddr::set_unix(std::string_view sun_path) noexcept {
    storage_.un.sun_family = AF_UNIX;
    std::memcpy(storage_.un.sun_path, sun_path.data(), sun_path.size());
    size_ = static_cast<socklen_t>(kPathOffset + sun_path.size());
}

Result<SockAddr> SockAddr::make_unix(std::string_view name, bool abstract) {
    if (name.empty())
        return Error(std::make_error_code(std::errc::invalid_argument), "empty unix socket path");
    if (name.size() > kMaxPath)
        return Error(std::make_error_code(std::errc::filename_too_long),
                     "unix socket path of " + std::to_string(name.size()) + " bytes, at most " +
                         std::to_string(kMaxPath) + " fit: " + quoted(name));
    if (!abstract && name.find('\0') != std::string_view::npos)
        return Error(std::make_error_code(std::errc::invalid_argument), "zero byte in a unix socket path");
    char sun_path[sizeof(sockaddr_un::sun_path)] = {};
    std::memcpy(sun_path + (abstract ? 1 : 0), name.data(), name.size());
    SockAddr result;
    result.set_unix({sun_path, name.size() + 1});
    return result;
}

Result<SockAddr> SockAddr::unix_path(std::string_view path) {
    const bool abstract = !path.empty() && path.front() == '@';
    return make_unix(path.substr(abstract ? 1 : 0), abstract);
}

Result<SockAddr> SockAddr::parse_unix(std::string_view text) {
    std::string_view escaped = text.substr(kUnixPrefix.size());
    // Asked before the escapes are undone: a '@' that comes out of one belongs to a file's name.
    const bool abstract = !escaped.empty() && escaped.front() == '@';
    if (abstract) escaped.remove_prefix(1);
    const std::optional<std::string> name = unescaped(escaped);
    if (!name) return refuse(text, "a backslash is written \\x5c, and only \\xNN may follow one");
    Result<SockAddr> address = make_unix(*name, abstract);
    if (!address) return in_address(text, address.error());
    return address;
}

Result<SockAddr> SockAddr::parse(std::string_view text) {
    if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) return parse_unix(text);
    if (!text.empty() && text.front() == '[') return parse_bracketed(text);
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos)
        return refuse(text, "no port; write ADDRESS:PORT, :PORT or unix:PATH");
    const std::string_view host = text.substr(0, colon);
    if (host.find(':') != std::string_view::npos)
        return refuse(text, "an IPv6 address needs brackets, [ADDRESS]:PORT");
    if (host.empty()) return join(text, IpAddress::any(), text.substr(1));
    return join(text, IpAddress::parse(host), text.substr(colon + 1));
}

SockAddr SockAddr::from_sockaddr(const sockaddr* address, socklen_t size) noexcept {
    if (address == nullptr || size < sizeof(sa_family_t)) return {};
    if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
        sockaddr_in v4;
        std::memcpy(&v4, address, sizeof v4);
        return from(IpAddress(v4.sin_addr), ntohs(v4.sin_port));
    }
    if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
        sockaddr_in6 v6;
        std::memcpy(&v6, address, sizeof v6);
        return from(IpAddress(v6.sin6_addr, v6.sin6_scope_id), ntohs(v6.sin6_port));
    }
    if (address->sa_family != AF_UNIX) return {};
    std::string_view path(reinterpret_cast<const char*>(address) + kPathOffset,
                          std::min<std::size_t>(size - kPathOffset, sizeof(sockaddr_un::sun_path)));
    SockAddr result;
    if (path.empty() || path.front() == '\0') {
        result.set_unix(path);  // unnamed, or an abstract name, which is as long as the kernel says
        return result;
    }
    // A file's name ends at its zero, whatever the size; one that fills sun_path has none.
    path = path.substr(0, path.find('\0'));
    result.set_unix(path);
    if (path.size() <= kMaxPath) ++result.size_;
    return result;
}

Result<SockAddr> SockAddr::local_of(int fd) { return ask_kernel(fd, ::getsockname, "getsockname"); }
Result<SockAddr> SockAddr::peer_of(int fd) { return ask_kernel(fd, ::getpeername, "getpeername"); }

bool SockAddr::is_abstract() const noexcept {
    return is_unix() && size_ > kPathOffset && storage_.un.sun_path[0] == '\0';
}

std::uint16_t SockAddr::port() const noexcept {
    if (family() == AF_INET) return ntohs(storage_.v4.sin_port);
    if (family() == AF_INET6) return ntohs(storage_.v6.sin6_port);
    return 0;
}

IpAddress SockAddr::ip() const noexcept {
    EVC_CHECK(is_ip(), "SockAddr::ip() of an address that is not IPv4 or IPv6");
    if (family() == AF_INET) return IpAddress(storage_.v4.sin_addr);
    return IpAddress(storage_.v6.sin6_addr, storage_.v6.sin6_scope_id);
}

std::string_view SockAddr::path() const noexcept {
    EVC_CHECK(is_unix(), "SockAddr::path() of an address that is not a unix address");
    const std::string_view stored(storage_.un.sun_path, size_ - kPathOffset);
    if (stored.empty()) return stored;
    if (stored.front() == '\0') return stored.substr(1);
    return stored.substr(0, stored.find('\0'));
}

std::string SockAddr::to_string() const {
    if (is_none()) return "none";
    if (is_ip()) {
        const std::string address = ip().to_string();
        return (family() == AF_INET ? address : "[" + address + "]") + ":" + std::to_string(port());
    }
    std::string text = is_abstract() ? "unix:@" : "unix:";
    std::string_view name = path();
    if (!is_abstract() && !name.empty() && name.front() == '@') {
        text += "\\x40";
        name.remove_prefix(1);
    }
    append_escaped(text, name);
    return text;
}

}  // namespace nutils
