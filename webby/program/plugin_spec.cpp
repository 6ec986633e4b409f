#include "webby/program/plugin_spec.h"

#include <algorithm>
#include <system_error>
#include <vector>

namespace webby::program {
namespace {

std::vector<std::string> parts_of(std::string_view text) {
    std::vector<std::string> parts;
    for (;;) {
        const std::size_t comma = text.find(',');
        parts.emplace_back(text.substr(0, comma));
        if (comma == std::string_view::npos) return parts;
        text.remove_prefix(comma + 1);
    }
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_identifier(std::string_view text) {
    return !text.empty() && !is_digit(text.front()) && std::all_of(text.begin(), text.end(), [](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    });
}
bool is_argument(std::string_view text) { return text.find('=') != std::string_view::npos; }

cutils::Error wrong(std::string_view text, const char* why) {
    return {std::make_error_code(std::errc::invalid_argument),
            std::string("\"").append(text).append("\": ").append(why)};
}

}  // namespace

cutils::Result<PluginSpec> PluginSpec::parse(std::string_view text) {
    const std::vector<std::string> parts = parts_of(text);
    PluginSpec spec;
    std::size_t at = 0;
    const auto left = [&] { return at < parts.size() && !is_argument(parts[at]); };
    if (parts.size() > 1 && !is_argument(parts[1]) && !is_identifier(parts[1])) spec.host = parts[at++];
    if (left()) spec.library = parts[at++];
    if (left()) spec.factory = parts[at++];
    for (; at < parts.size(); ++at) {
        const std::size_t equals = parts[at].find('=');
        if (equals == std::string::npos || equals == 0)
            return wrong(text, "not [VHOST,]LIB[,FACTORY][,KEY=VALUE...]");
        spec.arguments.emplace_back(parts[at].substr(0, equals), parts[at].substr(equals + 1));
    }
    if (at > 0 && parts[0].empty()) return wrong(text, "its VHOST is empty");
    if (spec.library.find_first_of("./") == std::string::npos)
        return wrong(text, "it names no shared library");
    if (!is_identifier(spec.factory)) return wrong(text, "its factory is not the name of a function");
    return spec;
}

cutils::Result<HostSpec> HostSpec::parse(std::string_view text) {
    const std::vector<std::string> parts = parts_of(text);
    HostSpec spec{parts[0], {}};
    std::size_t at = 1;
    if (at < parts.size() && !parts[at].empty() && std::all_of(parts[at].begin(), parts[at].end(), is_digit))
        spec.name += ":" + parts[at++];
    if (at < parts.size() && parts[at].find('/') != std::string::npos) spec.folder = parts[at++];
    if (at < parts.size() || parts[0].empty())
        return wrong(text, "not HOST[,PORT][,DIR], a DIR with a \"/\"");
    return spec;
}

}  // namespace webby::program
