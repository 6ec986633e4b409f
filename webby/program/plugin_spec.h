// What --servlet, --filter and --vhost say.
#pragma once

#include <string>
#include <string_view>

#include "cutils/result.h"
#include "webby/plugin_host.h"

namespace webby::program {

// "[VHOST,]LIB[,FACTORY][,KEY=VALUE...]". A FACTORY is letters, digits and "_"; a LIB is not only that: it
// has a "/" or a "." in it. So it is the first part that is followed by no other LIB.
struct PluginSpec {
    std::string host;  // empty: none given
    std::string library;
    std::string factory = kPluginFactory;
    PluginHost::Arguments arguments{};

    // Errors: errc::invalid_argument, with what is wrong.
    [[nodiscard]] static cutils::Result<PluginSpec> parse(std::string_view text);
};

// "HOST[,PORT][,DIR]".
struct HostSpec {
    std::string name;    // with ":PORT"
    std::string folder;  // empty: none

    [[nodiscard]] static cutils::Result<HostSpec> parse(std::string_view text);
};

}  // namespace webby::program
