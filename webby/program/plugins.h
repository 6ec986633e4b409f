// Plugins: the shared libraries that the program has loaded.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cutils/result.h"
#include "webby/plugin_host.h"
#include "webby/program/plugin_spec.h"

namespace webby::program {

// Owner: whoever serves; ends after the server, whose servlets and filters live in the libraries. Unloads the
//        last one first.
class Plugins {
  public:
    Plugins() = default;
    Plugins(const Plugins&) = delete;
    Plugins& operator=(const Plugins&) = delete;
    ~Plugins();

    // Loads the library, unless it is there, and calls its factory.
    // Errors: what the loader says; another ABI; no such factory; what the factory throws.
    [[nodiscard]] cutils::Result<void> load(const PluginSpec& spec, PluginHost host);

  private:
    std::vector<void*> libraries_;
};

}  // namespace webby::program
