#include "webby/form.h"

#include "nutils/net_error.h"
#include "webby/ascii.h"
#include "webby/uri.h"
#include "webby/utf8_text.h"

namespace webby {
namespace {

void decode(std::string_view raw, std::string& out) {
    out = percent_decode(raw, true);
    replace_broken_utf8(out);
}

cutils::Error too_long(const char* what, std::size_t limit) {
    return {nutils::NetError::too_long,
            std::string("form: ").append(what).append(std::to_string(limit)).append(" allowed")};
}

}  // namespace

bool FormReader::next() {
    while (!rest_.empty()) {
        const std::string_view pair = rest_.substr(0, rest_.find('&'));
        rest_.remove_prefix(pair.size() < rest_.size() ? pair.size() + 1 : rest_.size());
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        decode(pair.substr(0, equals), name_);
        decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1), value_);
        return true;
    }
    return false;
}

cutils::Result<FormFields> FormFields::parse(std::string_view text, const FormLimits& limits) {
    FormFields form;
    for (FormReader reader(text); reader.next();) {
        if (form.fields_.size() == limits.fields) return too_long("more fields than the ", limits.fields);
        if (reader.name().size() > limits.name) return too_long("a name longer than the ", limits.name);
        if (reader.value().size() > limits.value) return too_long("a value longer than the ", limits.value);
        form.fields_.push_back({reader.name(), reader.value()});
    }
    return form;
}

std::optional<std::string_view> FormFields::find(std::string_view name) const {
    for (const FormField& field : fields_)
        if (field.name == name) return field.value;
    return {};
}

std::vector<std::string_view> FormFields::all(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const FormField& field : fields_)
        if (field.name == name) values.push_back(field.value);
    return values;
}

std::optional<std::string> form_value(std::string_view form, std::string_view name) {
    for (FormReader reader(form); reader.next();)
        if (reader.name() == name) return reader.value();
    return {};
}

bool is_form_type(std::string_view content_type) {
    const std::string_view type = ascii::trim(content_type.substr(0, content_type.find(';')));
    return ascii::equal_ignoring_case(type, "application/x-www-form-urlencoded");
}

}  // namespace webby
