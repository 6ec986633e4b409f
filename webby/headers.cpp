#include "webby/headers.h"

#include "webby/ascii.h"

namespace webby {

std::optional<std::string_view> Headers::find(std::string_view name) const {
    for (const Field field : *this)
        if (ascii::equal_ignoring_case(field.name, name)) return field.value;
    return {};
}

std::string Headers::joined(std::string_view name) const {
    std::string all;
    bool found = false;
    for (const Field field : *this) {
        if (!ascii::equal_ignoring_case(field.name, name)) continue;
        if (found) all += ", ";
        all += field.value;
        found = true;
    }
    return all;
}

bool list_has_token(std::string_view list, std::string_view token) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        if (ascii::equal_ignoring_case(ascii::trim(list.substr(0, comma)), token)) return true;
        if (comma == std::string_view::npos) break;
        list.remove_prefix(comma + 1);
    }
    return false;
}

}  // namespace webby
