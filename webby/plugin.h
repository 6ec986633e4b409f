// For plugins: shared libraries with servlets and filters for the webby program. Include it in one, and
// nowhere else.
//
//   #include <webby/plugin.h>
//
//   WEBBY_PLUGIN(webby_plugin)(webby::PluginHost& host) {
//       host.get("/hello/:name", [greeting = host.argument("greeting", "Hello")](webby::Request& request,
//                                                                              webby::Response& response) {
//           response.text(greeting + ", " + request.param("name") + "!\n");
//       });
//   }
//
//   g++ -std=c++20 -fPIC -shared $(pkg-config --cflags webby) hello.cpp -o hello.so
//   webby --servlet ./hello.so,greeting=Servus
//
// Do not link it with webby or any other library of ours: the program has them, and a second copy would not
// know of the first. It has to be built with the same version of webby, and the same C++ library; the program
// refuses one that was not, as far as it can tell (webby_plugin_abi).
//
//   --servlet [VHOST,]LIB[,FACTORY][,KEY=VALUE...]
//   --filter  [VHOST,]LIB[,FACTORY][,KEY=VALUE...]
//
// LIB is a path with a "/", or a name that the loader looks for as dlopen(3) says. FACTORY is the name of
// WEBBY_PLUGIN(); webby_plugin, if it is not given: a library may have several. VHOST is one of --vhost's.
// Both options do the same, but for filters without a VHOST: those are for all hosts, and servlets without
// one are for the default host. Filters see requests in the order of the command line, --filter before
// --servlet.
//
// Life: the libraries are loaded one after the other, and each factory is called once, before the program
//       listens. What it throws ends the program, as what is wrong with a route does: one line and exit code
//       2. At the end, the servlets and filters are destroyed, and then the libraries are unloaded, the last
//       one first. A thread that a plugin started must have ended by then.
#pragma once

#include "webby/plugin_host.h"

// The library's own, in each of its sources that include this.
extern "C" {
[[gnu::weak, gnu::visibility("default")]] extern const webby::PluginAbi webby_plugin_abi;
const webby::PluginAbi webby_plugin_abi = webby::kPluginAbi;
}

// Begins the function with that name that the program calls.
#define WEBBY_PLUGIN(name) extern "C" [[gnu::visibility("default")]] void name
