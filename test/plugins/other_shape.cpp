// A plugin whose webby::Request is larger than the program's.
#include "webby/plugin_host.h"

extern "C" {
[[gnu::visibility("default")]] extern const webby::PluginAbi webby_plugin_abi;
const webby::PluginAbi webby_plugin_abi = {webby::kPluginAbiVersion, webby::kPluginAbi.request + 8,
                                           webby::kPluginAbi.response, webby::kPluginAbi.host};
[[gnu::visibility("default")]] void webby_plugin(webby::PluginHost&);
}

void webby_plugin(webby::PluginHost&) {}
