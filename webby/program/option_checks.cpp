#include "webby/program/option_checks.h"

#include <cstdlib>
#include <string>

namespace webby::program {

CLI::Validator seconds(double least) {
    return CLI::Validator(
        [least](std::string& text) -> std::string {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            if (end != text.c_str() && *end == 0 && value >= least && value <= 1e6) return "";  // not nan
            return "\"" + text + "\" is not a number of seconds between " + (least > 0 ? "0.001" : "0") +
                   " and 1000000";
        },
        "", "seconds");
}

CLI::Validator octal() {
    return CLI::Validator(
        [](std::string& text) -> std::string {
            const bool good = !text.empty() && text.size() <= 4 &&
                              text.find_first_not_of("01234567") == std::string::npos &&
                              std::stoi(text, nullptr, 8) <= 0777;
            return good ? "" : "\"" + text + "\" is not a mode like 0660";
        },
        "", "octal");
}

CLI::Validator path() {
    return CLI::Validator(
        [](std::string& text) -> std::string {
            return text.starts_with("/") && text.size() > 1 ? ""
                                                            : "\"" + text + "\" is no path: begin with \"/\"";
        },
        "", "path");
}

}  // namespace webby::program
