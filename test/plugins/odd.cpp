// A plugin whose factories bring nothing.
#include <memory>

#include "webby/plugin.h"

WEBBY_PLUGIN(webby_plugin)(webby::PluginHost& host) {
    host.add(webby::Method::get, "/nobody",
             webby::make_servlet_per_connection([] { return std::unique_ptr<webby::Servlet>(); }));
}

WEBBY_PLUGIN(null_servlet)(webby::PluginHost& host) { host.add(webby::Method::get, "/null", nullptr); }

WEBBY_PLUGIN(null_filter)(webby::PluginHost& host) { host.add_filter(nullptr); }

extern "C" [[gnu::visibility("default")]] int no_function;
int no_function = 1;
