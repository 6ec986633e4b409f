// A plugin that was built for another version of webby.
#include "webby/plugin_host.h"

extern "C" {
[[gnu::visibility("default")]] extern const webby::PluginAbi webby_plugin_abi;
const webby::PluginAbi webby_plugin_abi = {webby::kPluginAbiVersion + 1, webby::kPluginAbi.request,
                                           webby::kPluginAbi.response, webby::kPluginAbi.host};
[[gnu::visibility("default")]] void webby_plugin(webby::PluginHost&);
}

void webby_plugin(webby::PluginHost&) {}
