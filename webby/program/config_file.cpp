#include "webby/program/config_file.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>

namespace webby::program {
namespace {

cutils::Error wrong(const std::string& path, int line, std::string why) {
    return {std::make_error_code(std::errc::invalid_argument),
            path + ":" + std::to_string(line) + ": " + why};
}

// A folder can be opened: it is reading it that throws.
cutils::Result<std::string> content_of(const std::string& path) try {
    errno = 0;
    std::ifstream file(path);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    if (!file.is_open() || file.bad()) return cutils::Error::from_errno(path);
    return text;
} catch (const std::ios_base::failure&) {
    return cutils::Error::from_errno(path);
}

// Values keep their places among those that were given before, so each line is complained about by itself.
cutils::Result<void> give(CLI::Option& option, const Setting& setting, const std::string& path) {
    if (takes_one_value(option) && setting.values.size() != 1)
        return wrong(path, setting.line, "\"" + setting.key + "\" takes one value");
    if (takes_one_value(option) && option.count() > 0)
        return wrong(path, setting.line, "\"" + setting.key + "\" is said twice");
    try {
        for (const std::string& value : setting.values) option.add_result(value);
        option.run_callback();
        return {};
    } catch (const CLI::Error& error) {
        return wrong(path, setting.line, error.what());
    }
}

// What a number is to TOML needs no quotes.
bool is_number(const std::string& text) {
    const std::size_t point = text.find('.');
    const std::string whole = text.substr(0, point);
    const auto digits = [](const std::string& part) {
        return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    };
    return digits(whole) && (whole == "0" || whole.front() != '0') &&
           (point == std::string::npos || digits(text.substr(point + 1)));
}

// The default of a list is written "[a,b]".
std::vector<std::string> default_of(const CLI::Option& option) {
    std::string text = option.get_default_str();
    if (text.empty() || text == "[]") return {};
    if (option.get_expected_max() <= 1 || text.front() != '[') return {text};
    return CLI::detail::split(text.substr(1, text.size() - 2), ',');
}

std::string line_of(const CLI::Option& option) {
    const std::string key = option.get_lnames().front();
    const std::vector<std::string> values = option.count() > 0 ? option.results() : default_of(option);
    if (is_flag(option))
        return key + " = " + (!values.empty() && option.as<bool>() ? "true" : "false") + "\n";
    if (values.empty()) return "# " + key + " =\n";
    if (option.get_expected_max() <= 1)
        return key + " = " + (is_number(values.back()) ? values.back() : quoted_value(values.back())) + "\n";
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + quoted_value(value);
    return key + " = [" + list + "]\n";
}

}  // namespace

bool is_flag(const CLI::Option& option) { return option.get_expected_min() == 0; }
bool takes_one_value(const CLI::Option& option) { return is_flag(option) || option.get_expected_max() <= 1; }

cutils::Result<void> read_config(CLI::App& parser, const std::string& path) {
    const cutils::Result<std::string> text = content_of(path);
    if (!text) return text.error();
    const cutils::Result<std::vector<Setting>> settings = parse_settings(*text, path);
    if (!settings) return settings.error();
    std::set<const CLI::Option*> said;  // on the command line
    for (const CLI::Option* option : parser.get_options())
        if (option->count() > 0) said.insert(option);
    for (const Setting& setting : *settings) {
        CLI::Option* const option = parser.get_option_no_throw("--" + setting.key);
        if (option == nullptr || !option->get_configurable())
            return wrong(path, setting.line, "\"" + setting.key + "\" is not known");
        if (said.contains(option)) continue;
        if (cutils::Result<void> given = give(*option, setting, path); !given) return given;
    }
    return {};
}

std::string config_of(const CLI::App& parser) {
    std::string text;
    for (const CLI::Option* option : parser.get_options())
        if (option->get_configurable()) text += line_of(*option);
    return text;
}

}  // namespace webby::program
