#include "webby/request.h"

#include "webby/cookie.h"
#include "webby/form.h"

namespace webby {

std::optional<std::string> Request::query_param(std::string_view name) const {
    return form_value(query(), name);
}

std::optional<std::string_view> Request::cookie(std::string_view name) const {
    for (CookieReader cookies(headers()); cookies.next();)
        if (cookies.name() == name) return cookies.value();
    return {};
}

cutils::Result<FormFields> Request::form(const FormLimits& limits) const {
    if (!is_form_type(header("Content-Type")))
        return cutils::Error(std::make_error_code(std::errc::not_supported), "form: not the type of a form");
    return FormFields::parse(body(), limits);
}

}  // namespace webby
