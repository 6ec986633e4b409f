#include "webby/page_access.h"

namespace webby {
namespace {

bool is_forwarded(const Request& request) {
    return request.headers().find("Forwarded") || request.headers().find("X-Forwarded-For");
}

bool is_welcome(const PageAccess& access, const Request& request) {
    const nutils::SockAddr peer = request.peer();
    const ForwardedClient client = forwarded_client(request.headers(), peer, access.proxies);
    if (!client.forwarded && is_forwarded(request)) return false;
    if (client.address.is_none()) return false;
    return client.address.is_ip() ? access.networks.contains(client.address) : access.unix_sockets;
}

}  // namespace

bool PageAccess::admits(const Request& request, Response& response) const {
    if (everybody || is_welcome(*this, request)) return true;
    response.error(Status::forbidden, "This page is not for everybody.");
    return false;
}

}  // namespace webby
