#include "webby/parameters.h"

#include "webby/ascii.h"

namespace webby {
namespace {

void skip_blanks(std::string_view& rest) {
    while (!rest.empty() && ascii::is_blank(rest.front())) rest.remove_prefix(1);
}

std::string_view take_token(std::string_view& rest) {
    const char* const end = ascii::kToken.skip(rest.data(), rest.data() + rest.size());
    const std::string_view token = rest.substr(0, static_cast<std::size_t>(end - rest.data()));
    rest.remove_prefix(token.size());
    return token;
}

// Reads what follows an opening quote; npos when it is never closed, else the place behind the closing one.
std::size_t read_quoted(std::string_view text, std::string& out, bool backslashes, Quoting quoting) {
    out.clear();
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '"') return at + 1;
        const bool escapes = backslashes && text[at] == '\\' && at + 1 < text.size() &&
                             (quoting == Quoting::http || text[at + 1] == '"' || text[at + 1] == '\\');
        if (escapes) ++at;
        out += text[at];
    }
    return std::string_view::npos;
}

void undo_browser_escapes(std::string& value) {
    std::size_t kept = 0;
    for (std::size_t at = 0; at < value.size(); ++at) {
        const std::string_view escape = std::string_view(value).substr(at, 3);
        char c = value[at];
        if (escape == "%22") c = '"';
        if (ascii::equal_ignoring_case(escape, "%0d")) c = '\r';
        if (ascii::equal_ignoring_case(escape, "%0a")) c = '\n';
        if (c != value[at]) at += 2;
        value[kept++] = c;
    }
    value.resize(kept);
}

bool read_value(std::string_view& rest, std::string& value, Quoting quoting) {
    if (!rest.starts_with('"')) {
        value = take_token(rest);
        return !value.empty();
    }
    rest.remove_prefix(1);
    std::size_t size = read_quoted(rest, value, true, quoting);
    // A browser leaves the backslash of "C:\" alone; without this its quote would never close.
    if (size == std::string_view::npos && quoting == Quoting::form_data)
        size = read_quoted(rest, value, false, quoting);
    if (size == std::string_view::npos) return false;
    rest.remove_prefix(size);
    if (quoting == Quoting::form_data) undo_browser_escapes(value);
    return true;
}

}  // namespace

ParameterStep read_parameter(std::string_view& rest, Parameter& parameter, Quoting quoting) {
    skip_blanks(rest);
    while (rest.starts_with(';')) {
        rest.remove_prefix(1);
        skip_blanks(rest);
        if (rest.empty() || rest.starts_with(';')) continue;
        parameter.name = take_token(rest);
        if (parameter.name.empty() || !rest.starts_with('=')) return ParameterStep::malformed;
        rest.remove_prefix(1);
        if (!read_value(rest, parameter.value, quoting)) return ParameterStep::malformed;
        skip_blanks(rest);
        return rest.empty() || rest.starts_with(';') ? ParameterStep::one : ParameterStep::malformed;
    }
    return rest.empty() ? ParameterStep::end : ParameterStep::malformed;
}

}  // namespace webby
