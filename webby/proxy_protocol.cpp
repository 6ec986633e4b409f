#include "webby/proxy_protocol.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "nutils/net_error.h"
#include "webby/ascii.h"
#include "webby/crc32c.h"

namespace webby {

using nutils::IpAddress;
using nutils::SockAddr;
using Step = ProxyHeaderParser::Step;

namespace {

constexpr std::string_view kLineStart = "PROXY ";
constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kMaxLine = 107;
constexpr std::size_t kFixedPart = 16;  // of version 2: signature, version and command, family, length
constexpr std::size_t kUnixName = 108;
constexpr unsigned char kChecksum = 0x03;  // PP2_TYPE_CRC32C

unsigned byte_at(std::string_view text, std::size_t at) { return static_cast<unsigned char>(text[at]); }
std::uint16_t number16(std::string_view text, std::size_t at) {
    return static_cast<std::uint16_t>(byte_at(text, at) << 8 | byte_at(text, at + 1));
}

std::string_view take(std::string_view& text, std::size_t bytes) {
    const std::string_view front = text.substr(0, bytes);
    text.remove_prefix(bytes);
    return front;
}

// The next word of a line with exactly one blank between words.
std::string_view take_word(std::string_view& line) {
    const std::size_t blank = line.find(' ');
    const std::string_view word = line.substr(0, blank);
    line.remove_prefix(blank == std::string_view::npos ? line.size() : blank + 1);
    return word;
}

std::optional<std::uint16_t> read_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const bool padded = text.size() > 1 && text.front() == '0';
    if (error != std::errc() || end != text.data() + text.size() || padded) return {};
    return port;
}

// Without a scope, which would name one of our interfaces.
std::optional<IpAddress> read_ip(std::string_view text, bool v4) {
    if (text.find('%') != std::string_view::npos) return {};
    const cutils::Result<IpAddress> address = IpAddress::parse(text);
    if (!address || address->is_v4() != v4) return {};
    return *address;
}

SockAddr ipv4(std::string_view address, std::uint16_t port) {
    in_addr v4;
    std::memcpy(&v4, address.data(), sizeof v4);
    return SockAddr::from(IpAddress(v4), port);
}
SockAddr ipv6(std::string_view address, std::uint16_t port) {
    in6_addr v6;
    std::memcpy(&v6, address.data(), sizeof v6);
    return SockAddr::from(IpAddress(v6), port);
}
// An abstract name is filled up with zeros, like that of a file; so they do not belong to it.
SockAddr unix_name(std::string_view name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name = name.substr(0, name.find_last_not_of('\0') + 1);
    std::memcpy(address.sun_path, name.data(), name.size());
    return SockAddr::from_sockaddr(reinterpret_cast<const sockaddr*>(&address),
                                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size()));
}

// Whether `text` can still become, or is, the start that is wanted.
bool agrees(std::string_view text, std::string_view start) {
    const std::size_t size = std::min(text.size(), start.size());
    return text.substr(0, size) == start.substr(0, size);
}

}  // namespace

Step ProxyHeaderParser::refuse(const char* why) {
    error_ = cutils::Error(std::make_error_code(std::errc::bad_message), std::string("PROXY: ") + why);
    return step_ = Step::refused;
}

// How many bytes the header surely has, as far as is known: so that nothing behind it is ever eaten.
std::size_t ProxyHeaderParser::wanted() const {
    if (text_.empty() || text_.front() == kLineStart.front()) return text_.size() + 1;
    if (text_.size() < kFixedPart) return kFixedPart;
    return kFixedPart + number16(text_, 14);
}

Step ProxyHeaderParser::eat(std::string_view& input) {
    while (step_ == Step::need_more && !input.empty()) {
        text_ += take(input, std::min(input.size(), wanted() - text_.size()));
        step_ = read();
    }
    return step_;
}

Step ProxyHeaderParser::read() {
    if (text_.front() == kLineStart.front()) return read_line();
    if (!agrees(text_, kSignature)) return refuse("not a header");
    if (text_.size() < kFixedPart) return Step::need_more;
    if (wanted() > limit_) {
        error_ = cutils::Error(nutils::NetError::too_long, "PROXY: the header is too long");
        return step_ = Step::refused;
    }
    return text_.size() < wanted() ? Step::need_more : read_binary();
}

Step ProxyHeaderParser::read_line() {
    if (!agrees(text_, kLineStart)) return refuse("not a header");
    if (text_.ends_with('\n')) {
        if (!text_.ends_with("\r\n")) return refuse("the line ends without CR");
        const std::string_view line(text_);
        if (!read_line_addresses(line.substr(kLineStart.size(), line.size() - kLineStart.size() - 2)))
            return refuse("the line cannot be read");
        header_.version = 1;
        return Step::done;
    }
    return text_.size() == kMaxLine ? refuse("the line is too long") : Step::need_more;
}

bool ProxyHeaderParser::read_line_addresses(std::string_view line) {
    const std::string_view protocol = take_word(line);
    if (protocol == "UNKNOWN") return true;  // whatever follows
    const bool v4 = protocol == "TCP4";
    if (!v4 && protocol != "TCP6") return false;
    const std::optional<IpAddress> source = read_ip(take_word(line), v4);
    const std::optional<IpAddress> destination = read_ip(take_word(line), v4);
    const std::optional<std::uint16_t> source_port = read_port(take_word(line));
    const std::optional<std::uint16_t> destination_port = read_port(line);
    if (!source || !destination || !source_port || !destination_port) return false;
    header_.source = SockAddr::from(*source, *source_port);
    header_.destination = SockAddr::from(*destination, *destination_port);
    header_.has_addresses = true;
    return true;
}

Step ProxyHeaderParser::read_binary() {
    const unsigned version_and_command = byte_at(text_, 12);
    std::string_view payload = std::string_view(text_).substr(kFixedPart);
    if (version_and_command >> 4 != 2) return refuse("a version that is not 2");
    const unsigned command = version_and_command & 15;
    if (command > 1) return refuse("an unknown command");
    header_.version = 2;
    if (command == 0) return Step::done;  // LOCAL: the rest is to be skipped
    if (!read_binary_addresses(byte_at(text_, 13), payload)) return refuse("addresses that cannot be read");
    if (!read_additions(payload)) return refuse("an addition that cannot be read, or a wrong checksum");
    return Step::done;
}

bool ProxyHeaderParser::read_binary_addresses(unsigned family, std::string_view& payload) {
    const unsigned transport = family & 15;
    if (transport > 2) return false;
    if (family == 0) return true;  // unspecified
    if (transport == 0) return false;
    switch (family >> 4) {
        case 1:
            if (payload.size() < 12) return false;
            header_.source = ipv4(payload, number16(payload, 8));
            header_.destination = ipv4(payload.substr(4), number16(payload, 10));
            payload.remove_prefix(12);
            break;
        case 2:
            if (payload.size() < 36) return false;
            header_.source = ipv6(payload, number16(payload, 32));
            header_.destination = ipv6(payload.substr(16), number16(payload, 34));
            payload.remove_prefix(36);
            break;
        case 3:
            if (payload.size() < 2 * kUnixName) return false;
            header_.source = unix_name(take(payload, kUnixName));
            header_.destination = unix_name(take(payload, kUnixName));
            break;
        default: return false;
    }
    header_.has_addresses = true;
    return true;
}

bool ProxyHeaderParser::read_additions(std::string_view payload) {
    while (!payload.empty()) {
        if (payload.size() < 3) return false;
        const unsigned type = byte_at(payload, 0);
        const std::size_t size = number16(payload, 1);
        payload.remove_prefix(3);
        if (payload.size() < size) return false;
        const std::string_view value = take(payload, size);
        if (type != kChecksum) continue;
        if (size != 4 || header_.checked) return false;
        // Of the whole header, with zeros where the checksum stands.
        std::string zeroed = text_;
        zeroed.replace(static_cast<std::size_t>(value.data() - text_.data()), size, size, '\0');
        const std::uint32_t sent = std::uint32_t{number16(value, 0)} << 16 | number16(value, 2);
        if (crc32c(zeroed) != sent) return false;
        header_.checked = true;
    }
    return true;
}

}  // namespace webby
