// The configuration file: what the command line could have said, line by line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cutils/result.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace webby::program {

// KEY = VALUE, as TOML has it, without its tables: KEY is an option without its "--"; VALUE is "text" (with
// \" \\ \n \t in it), 'text', a number, a word (true, 127.0.0.1:80), or several of them between [ and ],
// over several lines if need be. A "#" begins a comment.
struct Setting {
    int line = 0;
    std::string key;
    std::vector<std::string> values;
};

// Errors: errc::invalid_argument, "NAME:LINE: what is wrong".
[[nodiscard]] cutils::Result<std::vector<Setting>> parse_settings(std::string_view text,
                                                                  const std::string& name);

// `text` as such a file has it between quotes, the quotes with it.
[[nodiscard]] std::string quoted_value(std::string_view text);

// True or false; and whether it may be said only once.
[[nodiscard]] bool is_flag(const CLI::Option& option);
[[nodiscard]] bool takes_one_value(const CLI::Option& option);

// Gives the options what the file says, but those that the command line has given.
// Before: the command line has been parsed.
// Errors: of open(2); those of parse_settings(); the same for keys that are no options, and for values that
//         the option refuses.
[[nodiscard]] cutils::Result<void> read_config(CLI::App& parser, const std::string& path);

// All options and what they are, as such a file; those that are not set as comments.
[[nodiscard]] std::string config_of(const CLI::App& parser);

}  // namespace webby::program
