// PageAccess: who may look at pages about the server itself.
#pragma once

#include "cutils/export.h"
#include "nutils/ip_network.h"
#include "webby/forwarded.h"
#include "webby/request.h"
#include "webby/response.h"

namespace webby {

// By address. Behind a proxy on the same machine everybody comes from loopback: so a request that somebody
// says to have forwarded is refused, unless `proxies` says whom to believe; then the client counts that they
// name. A proxy that says nothing has to keep these paths to itself.
struct EVC_API PageAccess {
    nutils::IpNetworkList networks = nutils::IpNetworkList::loopback();
    bool unix_sockets = false;  // whoever can connect to one may look
    bool everybody = false;
    ForwardedTrust proxies{};

    // False: the response is a 403.
    [[nodiscard]] bool admits(const Request& request, Response& response) const;
};

}  // namespace webby
