#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutils/ip_network.h"
#include "webby/content_coding.h"
#include "webby/program/options.h"

namespace webby::program {
namespace {

// The sockets that the service manager has opened, as addresses.
std::string use_passed(const CommandLine& line, Arguments& arguments, const PassedSockets& passed) {
    ServerOptions& server = arguments.server;
    if (!line.has("--listen") && !line.has("--listen-tls") && !passed.empty()) {
        server.listen = passed.plain();
        server.listen_tls = passed.tls();
        return {};
    }
    for (std::vector<std::string>* list : {&server.listen, &server.listen_tls})
        for (std::string& address : *list)
            if (std::string wrong = passed.resolve(address); !wrong.empty()) return wrong;
    if (!server.listen_tls.empty() && !line.has("--listen")) server.listen.clear();
    return {};
}

evcorothread::TlsClientAuth client_auth_of(std::string_view name) {
    using evcorothread::TlsClientAuth;
    if (name == "required") return TlsClientAuth::required;
    return name == "optional" ? TlsClientAuth::optional : TlsClientAuth::none;
}

WhenFull when_full_of(std::string_view name) {
    if (name == "refuse") return WhenFull::refuse;
    return name == "close-idle" ? WhenFull::close_idle : WhenFull::wait;
}

// Each page has a path of its own, or one of them could never be seen.
std::string same_path_twice(const Arguments& arguments) {
    const std::pair<const char*, const std::string*> pages[] = {
        {"--status", &arguments.status}, {"--metrics", &arguments.metrics}, {"--health", &arguments.health}};
    for (const auto& [name, path] : pages)
        for (const auto& [other, its] : pages)
            if (path != its && !path->empty() && *path == *its)
                return std::string(name) + " and " + other + " are the same path: " + *path;
    return {};
}

void complete_tls(Arguments& arguments) {
    using evcorothread::TlsVersion;
    evcorothread::TlsServerOptions& tls = arguments.server.tls;
    for (std::size_t i = 0; i < arguments.keys.size(); ++i)
        tls.certificates.push_back({arguments.certificates[i], arguments.keys[i]});
    tls.client_auth = client_auth_of(arguments.tls_client_auth);
    tls.min_version = arguments.tls_min == "1.3" ? TlsVersion::tls1_3 : TlsVersion::tls1_2;
}

}  // namespace

std::string complete(const CommandLine& line, Arguments& arguments, const PassedSockets& passed) {
    ServerOptions& server = arguments.server;
    if (std::string wrong = use_passed(line, arguments, passed); !wrong.empty()) return wrong;
    if (std::string wrong = same_path_twice(arguments); !wrong.empty()) return wrong;
    if (arguments.certificates.size() != arguments.keys.size()) return "each --tls-cert needs a --tls-key";
    if (server.listen_tls.empty() != arguments.certificates.empty())
        return "--listen-tls, --tls-cert and --tls-key go together";
    if (server.listen_tls.empty() &&
        (arguments.tls_client_auth != "none" || !server.tls.client_ca_file.empty()))
        return "--tls-client-auth and --tls-client-ca need --listen-tls";
    complete_tls(arguments);
    if (arguments.files.compress && content_codings().empty())
        return "--compress: built without compression (make COMPRESSION=1)";
    if (arguments.files.compress && server.stack_pages < 8) return "--compress needs --stack-pages 8 or more";
    server.timeouts.io = to_milliseconds(arguments.io_timeout);
    server.timeouts.idle = to_milliseconds(arguments.idle_timeout);
    server.timeouts.head = to_milliseconds(arguments.head_timeout);
    server.access_log_format = parse_access_log_format(arguments.access_log_format).value();
    if (!arguments.socket_mode.empty()) server.socket_mode = std::stoi(arguments.socket_mode, nullptr, 8);
    server.when_full = when_full_of(arguments.when_full);
    server.max_unsent = std::uint64_t{arguments.max_unsent} * 1024 * 1024;
    server.drain = to_milliseconds(arguments.drain_timeout);
    server.drain_delay = to_milliseconds(arguments.drain_delay);
    server.stall_limit = to_milliseconds(arguments.stall_limit);
    if (arguments.forwarded) server.forwarded.by = ForwardedBy::forwarded;
    if (!arguments.trust.empty()) {
        cutils::Result<nutils::IpNetworkList> networks = nutils::IpNetworkList::parse(arguments.trust);
        if (!networks) return "--trust: " + networks.error().message();
        server.forwarded.networks = *std::move(networks);
    } else if (server.proxy_protocol) {
        return "--proxy-protocol needs --trust: whose headers are believed";
    } else if (arguments.forwarded) {
        return "--forwarded needs --trust: whose fields are believed";
    }
    server.paradigm = parse_paradigm(arguments.paradigm).value();
    if (server.paradigm != Paradigm::coroutine) server.max_active = 1;
    return {};
}

}  // namespace webby::program
