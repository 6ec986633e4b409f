#include "webby/request.h"

#include "webby/uri.h"

namespace webby {

std::optional<std::string> Request::query_param(std::string_view name) const {
    return form_value(query(), name);
}

}  // namespace webby
