#include "nutils/name_lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "nutils/net_error.h"
#include "nutils/text_internal.h"
#include "nutils/unique_fd.h"

namespace nutils {
namespace {

const char* advice(const std::error_code& code) noexcept {
    if (code == NameError::not_found) return "no such host: is the name spelled right?";
    if (code == NameError::no_address) return "the name exists, but has no address";
    if (code == NameError::wrong_family) return "it has no address of a family that this machine has";
    if (code == NameError::try_again)
        return "no name server has answered: is this machine connected, /etc/resolv.conf right?";
    if (code == NameError::failed) return "the name server cannot say: is it set up right?";
    if (code == NameError::no_such_service)
        return "no such service in /etc/services: write the port's number";
    if (code == NetError::timed_out) return "no answer within the deadline: is a name server reachable?";
    return nullptr;
}

bool is_shortage(int number) { return number == EMFILE || number == ENFILE || number == ENOMEM; }

// getaddrinfo(3) also says that there is no such name, or nothing that makes sense, when it could not open
// what it would have to look into, and does not always keep the number. So it is asked whether there is a
// descriptor to be had.
std::error_code reason(int failed, int number) {
    if (!is_shortage(number)) {
        const UniqueFd one(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (one || !is_shortage(errno)) return name_error(failed, number);
        number = errno;
    }
    return {number, std::generic_category()};
}

// A number that is one, in getaddrinfo(3)'s eyes, is cut to 16 bits there.
bool may_be_service(const std::string& service) {
    if (service.find_first_not_of("0123456789") != std::string::npos)
        return service.find('\0') == std::string::npos && service.find_first_of("+- \t\n\v\f\r") != 0;
    return service.size() - std::min(service.find_first_not_of('0'), service.size()) <= 5 &&
           (service.empty() || std::stoul(service) <= 65535);
}

}  // namespace

cutils::Error lookup_error(const std::error_code& code, const std::string& host, const std::string& service) {
    std::string context = "looking up ";
    detail::append_escaped(context, host);
    if (code == NameError::no_such_service) {
        context += ", service ";
        detail::append_escaped(context, service);
    }
    if (const char* const what_to_do = advice(code)) context.append(" (").append(what_to_do).append(")");
    return {code, context};
}

cutils::Result<std::vector<SockAddr>> look_up_name(const std::string& host, const std::string& service) {
    // What is behind a zero byte would not be looked at.
    if (host.find('\0') != std::string::npos) return lookup_error(NameError::not_found, host, service);
    if (!may_be_service(service)) return lookup_error(NameError::no_such_service, host, service);
    addrinfo hints = {};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;  // else each address comes once for every kind of socket
    // What is numeric needs no asking, and must not depend on which addresses this machine has.
    hints.ai_flags = IpAddress::parse(host) ? AI_NUMERICHOST : AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    errno = 0;
    const int failed =
        ::getaddrinfo(host.c_str(), service.empty() ? nullptr : service.c_str(), &hints, &list);
    if (failed != 0) return lookup_error(reason(failed, errno), host, service);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(list, ::freeaddrinfo);
    std::vector<SockAddr> addresses;
    for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
        const SockAddr address = SockAddr::from_sockaddr(one->ai_addr, one->ai_addrlen);
        // /etc/hosts may name one twice.
        if (address.is_ip() && std::find(addresses.begin(), addresses.end(), address) == addresses.end())
            addresses.push_back(address);
    }
    if (addresses.empty()) return lookup_error(NameError::no_address, host, service);
    return addresses;
}

}  // namespace nutils
