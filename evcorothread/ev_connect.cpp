#include "evcorothread/ev_connect.h"

#include <string>
#include <utility>
#include <vector>

#include "cutils/check.h"
#include "evcorothread/loop_core_internal.h"
#include "nutils/sock_addr.h"

namespace evcorothread {

using cutils::Error;
using cutils::Result;
using nutils::SockAddr;

namespace {

struct Target {
    std::string_view host;
    std::string_view service;
};

Error no_target(std::string_view where, const char* why) {
    return {std::make_error_code(std::errc::invalid_argument),
            "connect to \"" + std::string(where) + "\" (" + why + ")"};
}

Result<Target> split(std::string_view where) {
    const std::size_t colon = where.rfind(':');
    if (colon == std::string_view::npos) return no_target(where, "no port: write host:port");
    Target target{where.substr(0, colon), where.substr(colon + 1)};
    if (target.service.empty()) return no_target(where, "no port behind the colon");
    if (target.host.starts_with('[')) {
        if (!target.host.ends_with(']')) return no_target(where, "no port behind the bracket");
        target.host = target.host.substr(1, target.host.size() - 2);
    } else if (target.host.find(':') != std::string_view::npos) {
        return no_target(where, "an IPv6 address stands in brackets: [::1]:80");
    }
    if (target.host.empty()) return no_target(where, "no host before the colon");
    return target;
}

// An address that cannot be read is no name, either: nobody need be asked.
Result<SockAddr> read_address(std::string_view host) {
    const Result<nutils::IpAddress> address = nutils::IpAddress::parse(host);
    if (!address) return Error(address.error().code(), "connect: " + address.error().context());
    return SockAddr::from(*address, 0);
}

Result<EvSocket> connect_to(EvLoop& loop, Resolver& names, const Target& target,
                            const HappyEyeballsOptions& options, Deadline deadline) {
    EVC_CHECK(&ThreadCore::current().loop == &loop.core(), "connect() in a coroutine of another loop");
    deadline = deadline.resolved(loop.precise_now());
    if (target.host.find(':') != std::string_view::npos) {
        if (const auto address = read_address(target.host); !address) return address.error();
    }
    const Result<Resolver::Addresses> addresses = names.lookup(target.host, target.service, deadline);
    if (!addresses) return addresses.error();
    Result<EvSocket> socket = connect_any(loop, *addresses, options, deadline);
    if (socket || nutils::IpAddress::parse(target.host)) return socket;
    return Error(socket.error().code(), std::string(target.host) + ": " + socket.error().context());
}

}  // namespace

Result<EvSocket> connect(EvLoop& loop, Resolver& names, std::string_view where,
                         const HappyEyeballsOptions& options, Deadline deadline) {
    if (where.starts_with("unix:")) {
        const Result<SockAddr> peer = SockAddr::parse(where);
        if (!peer) return peer.error();
        return EvSocket::connect(loop, *peer, options.connect, deadline);
    }
    const Result<Target> target = split(where);
    if (!target) return target.error();
    return connect_to(loop, names, *target, options, deadline);
}

Result<EvSocket> connect(EvLoop& loop, Resolver& names, std::string_view where, Deadline deadline) {
    return connect(loop, names, where, HappyEyeballsOptions(), deadline);
}

Result<EvSocket> connect(EvLoop& loop, Resolver& names, std::string_view host, std::uint16_t port,
                         const HappyEyeballsOptions& options, Deadline deadline) {
    return connect_to(loop, names, {host, std::to_string(port)}, options, deadline);
}

}  // namespace evcorothread
