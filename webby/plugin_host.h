// PluginHost: what a plugin of the webby program is given to add its servlets and filters to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cutils/export.h"
#include "webby/files_options.h"
#include "webby/filter.h"
#include "webby/routes.h"
#include "webby/server.h"
#include "webby/servlet.h"

namespace webby {

// See plugin.h for what a plugin is and how the program loads one.
//
// Owner:    the program; means something only while the factory runs.
// Lifetime: what is added lives as long as the server; then it is destroyed, and after that the library is
//           unloaded.
class EVC_API PluginHost : public Routes<PluginHost> {
  public:
    using Arguments = std::vector<std::pair<std::string, std::string>>;

    // `everywhere`: where add_filter() adds to instead of `host`, if not null.
    PluginHost(VirtualHost host, Server* everywhere, Arguments arguments)
        : host_(host), everywhere_(everywhere), arguments_(std::move(arguments)) {}

    // get(), post(), put(), del(), patch(): see Routes. To the host that the command line names, or to the
    // default one. Errors: std::invalid_argument for null, here and below, which ends the program in one
    // line.
    void add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
             RouteOptions options = {});
    // To the host that the command line names; without a name, it sees the requests to all hosts.
    void add_filter(std::unique_ptr<Filter> filter);
    // As Server::files.
    void files(std::string_view prefix, const std::string& folder, FilesOptions options = {});

    // The KEY=VALUEs of the command line, in their order.
    [[nodiscard]] const Arguments& arguments() const { return arguments_; }
    // The first one of that name, or `otherwise`.
    [[nodiscard]] std::string argument(std::string_view name, std::string_view otherwise = {}) const;

  private:
    VirtualHost host_;
    Server* everywhere_;
    Arguments arguments_;
};

// What a library was built against. The program compares it with its own, and loads nothing that differs.
struct PluginAbi {
    std::uint32_t version;  // raised whenever what plugins see of webby changes its shape
    // Against builds with other options, and versions that somebody forgot to raise.
    std::uint32_t request, response, host;

    friend bool operator==(const PluginAbi&, const PluginAbi&) = default;
};
inline constexpr std::uint32_t kPluginAbiVersion = 1;
inline constexpr PluginAbi kPluginAbi{kPluginAbiVersion, sizeof(Request), sizeof(Response),
                                      sizeof(PluginHost)};

using PluginFactory = void(PluginHost& host);
inline constexpr const char* kPluginAbiSymbol = "webby_plugin_abi";
inline constexpr const char* kPluginFactory = "webby_plugin";  // when the command line names none

}  // namespace webby
