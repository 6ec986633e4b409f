#include "webby/program/passed_sockets.h"

#include "nutils/service_manager.h"

namespace webby::program {

PassedSockets PassedSockets::take() {
    PassedSockets all;
    for (nutils::PassedSocket& one : nutils::take_passed_sockets())
        all.sockets_.emplace_back(std::move(one.name), one.fd.release());
    return all;
}

std::vector<std::string> PassedSockets::addresses(bool tls) const {
    std::vector<std::string> found;
    for (const auto& [name, fd] : sockets_)
        if (tls == (name == "tls" || name == "https")) found.push_back("fd:" + std::to_string(fd));
    return found;
}

std::string PassedSockets::resolve(std::string& address) const {
    if (!address.starts_with("fd:") || address.find_first_not_of("0123456789", 3) == std::string::npos)
        return {};
    const std::string wanted = address.substr(3);
    for (const auto& [name, fd] : sockets_) {
        if (name != wanted) continue;
        address = "fd:" + std::to_string(fd);
        return {};
    }
    return "address \"" + address + "\": no socket of that name was passed (LISTEN_FDNAMES)";
}

}  // namespace webby::program
