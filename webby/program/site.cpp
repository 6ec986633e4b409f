#include "webby/program/site.h"

#include <map>
#include <string>
#include <system_error>

#include "webby/program/plugin_spec.h"
#include "webby/program/ready_filters.h"

namespace webby::program {
namespace {

using Hosts = std::map<std::string, VirtualHost>;

cutils::Error wrong(const char* option, const std::string& why) {
    return {std::make_error_code(std::errc::invalid_argument), std::string(option) + " " + why};
}

cutils::Result<Hosts> add_hosts(Server& server, const Arguments& arguments) {
    Hosts hosts;
    for (const std::string& text : arguments.hosts) {
        const cutils::Result<HostSpec> spec = HostSpec::parse(text);
        if (!spec) return wrong("--vhost", words(spec.error()));
        const VirtualHost host = hosts.emplace(spec->name, server.host(spec->name)).first->second;
        if (!spec->folder.empty()) VirtualHost(host).files("/", spec->folder, arguments.files);
    }
    return hosts;
}

// "HOST" or "HOST:PORT", as --vhost has declared it.
cutils::Result<void> load(Server& server, const Hosts& hosts, const char* option, const std::string& text,
                          Server* everywhere, Plugins& plugins) {
    cutils::Result<PluginSpec> spec = PluginSpec::parse(text);
    if (!spec) return wrong(option, words(spec.error()));
    VirtualHost host = server.default_host();
    if (!spec->host.empty()) {
        const auto found = hosts.find(spec->host);
        if (found == hosts.end()) return wrong(option, "\"" + text + "\": there is no --vhost " + spec->host);
        host = found->second;
        everywhere = nullptr;
    }
    const cutils::Result<void> loaded = plugins.load(*spec, PluginHost(host, everywhere, spec->arguments));
    if (!loaded) return wrong(option, words(loaded.error()));
    if (const cutils::Result<void> taken = server.check(); !taken)
        return wrong(option, spec->library + ": " + words(taken.error()));
    return {};
}

// Before the files, which are everywhere else.
void add_pages(Server& server, const Arguments& arguments) {
    if (!arguments.status.empty()) server.status_page(arguments.status);
    if (!arguments.metrics.empty()) server.metrics_page(arguments.metrics);
    if (!arguments.health.empty()) server.health(arguments.health);
}

}  // namespace

cutils::Result<void> fill(Server& server, const Arguments& arguments, Loaded& loaded) {
    if (cutils::Result<void> added = add_ready_filters(server, arguments, loaded.passwords); !added)
        return added;
    const cutils::Result<Hosts> hosts = add_hosts(server, arguments);
    if (!hosts) return hosts.error();
    for (const std::string& text : arguments.filters)
        if (auto done = load(server, *hosts, "--filter", text, &server, loaded.plugins); !done) return done;
    for (const std::string& text : arguments.servlets)
        if (auto done = load(server, *hosts, "--servlet", text, nullptr, loaded.plugins); !done) return done;
    add_pages(server, arguments);
    server.files("/", arguments.root, arguments.files);
    return {};
}

}  // namespace webby::program
