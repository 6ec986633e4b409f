#include "webby/plugin_host.h"

#include <stdexcept>

namespace webby {

void PluginHost::add(Method method, std::string_view pattern, std::unique_ptr<Servlet> servlet,
                     RouteOptions options) {
    if (servlet == nullptr)
        throw std::invalid_argument("null instead of a servlet for \"" + std::string(pattern) + "\"");
    host_.add(method, pattern, std::move(servlet), options);
}

void PluginHost::add_filter(std::unique_ptr<Filter> filter) {
    if (filter == nullptr) throw std::invalid_argument("null instead of a filter");
    if (everywhere_ != nullptr)
        everywhere_->add_filter(std::move(filter));
    else
        host_.add_filter(std::move(filter));
}

void PluginHost::files(std::string_view prefix, const std::string& folder, FilesOptions options) {
    host_.files(prefix, folder, std::move(options));
}

std::string PluginHost::argument(std::string_view name, std::string_view otherwise) const {
    for (const auto& [key, value] : arguments_)
        if (key == name) return value;
    return std::string(otherwise);
}

}  // namespace webby
