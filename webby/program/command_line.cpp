#include "webby/program/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <utility>

#include "webby/ascii.h"
#include "webby/program/arguments.h"
#include "webby/program/config_file.h"

namespace webby::program {
namespace {

// Checks a value: empty, or what is wrong.
template <class Check>
CLI::Validator checked(Check check) {
    return CLI::Validator([check](std::string& text) -> std::string { return check(text); }, "");
}

CLI::Validator among(std::initializer_list<const char*> choices) {
    std::vector<std::string> all(choices.begin(), choices.end());
    return checked([all = std::move(all)](const std::string& text) -> std::string {
        std::string names;
        for (const std::string& one : all) {
            if (one == text) return "";
            names += (names.empty() ? "" : ", ") + one;
        }
        return "\"" + text + "\" is none of " + names;
    });
}

// As CLI11 reads the values of flags, but for numbers.
bool is_yes_or_no(std::string text) {
    for (char& c : text) c = ascii::lower(c);
    for (const char* word : {"true", "false", "yes", "no", "on", "off", "1", "0"})
        if (text == word) return true;
    return false;
}

// Paths are, when they are compared.
bool is_normalised(const std::string& path) {
    const std::string segments = path + "/";
    return path.find("//") == std::string::npos && segments.find("/./") == std::string::npos &&
           segments.find("/../") == std::string::npos;
}

// The option that an argument names, perhaps with "=" and a value; null: none.
const CLI::Option* option_of(const CLI::App& parser, const std::string& argument) {
    if (!argument.starts_with("--")) return nullptr;
    return parser.get_option_no_throw(argument.substr(0, argument.find('=')));
}

// The arguments as the parser wants them, the last one in front. It would take the next argument for the
// value of "--name=" and "--name", even where that is an option: an empty variable in a script would swallow
// what follows it.
class ArgumentReader {
  public:
    ArgumentReader(const CLI::App& parser, int argc, char** argv)
        : parser_(parser), given_(argv + std::min(argc, 1), argv + argc) {}

    // Empty, or what is wrong.
    std::string read() {
        for (; at_ < given_.size(); ++at_) {
            const CLI::Option* const option = option_of(parser_, given_[at_]);
            if (option == nullptr)
                arguments.push_back(given_[at_]);
            else if (std::string wrong = take(*option); !wrong.empty())
                return wrong;
        }
        std::reverse(arguments.begin(), arguments.end());
        return {};
    }

    std::vector<std::string> arguments;

  private:
    std::string take(const CLI::Option& option) {
        const std::string text = given_[at_];
        const std::size_t equals = text.find('=');
        const std::string name = text.substr(0, equals);
        const bool has_value = equals != std::string::npos;
        if (is_flag(option)) {
            arguments.push_back(text);
            return has_value && equals + 1 == text.size() ? name + ": a value is missing" : "";
        }
        if (takes_one_value(option) && !said_.insert(&option).second) return name + ": is said twice";
        const bool is_last = at_ + 1 == given_.size();
        if (!has_value && (is_last || option_of(parser_, given_[at_ + 1]) != nullptr))
            return name + ": a value is missing";
        arguments.push_back(name);
        arguments.push_back(has_value ? text.substr(equals + 1) : given_[++at_]);
        return {};
    }

    const CLI::App& parser_;
    const std::vector<std::string> given_;
    std::size_t at_ = 0;
    std::set<const CLI::Option*> said_;
};

std::string joined(std::initializer_list<const char*> choices) {
    std::string names;
    for (const char* one : choices) names += (names.empty() ? "" : "|") + std::string(one);
    return names;
}

}  // namespace

CommandLine::CommandLine()
    : parser_(std::make_unique<CLI::App>(
          "webby: serves a folder over HTTP/1.1, with coroutines, threads or callbacks.", "webby")) {
    parser_->set_version_flag("--version", "webby " EVC_VERSION)->configurable(false);
    parser_->get_help_ptr()->configurable(false);
    parser_
        ->add_option("--config", config_,
                     "reads what the command line does not say: lines like listen = \"127.0.0.1:80\", named "
                     "as the options are (TOML, without tables)")
        ->type_name("FILE")
        ->check(checked(
            [](const std::string& text) -> std::string { return text.empty() ? "it names no file" : ""; }))
        ->configurable(false);
    parser_
        ->add_flag("--print-config", print_config_, "prints the whole configuration as such a file, and ends")
        ->configurable(false);
}

CommandLine::~CommandLine() = default;

void CommandLine::flag(const char* name, bool& value, const char* help) {
    parser_->add_flag(name, value, help)->check(checked([](const std::string& text) -> std::string {
        return is_yes_or_no(text) ? "" : "\"" + text + "\" is neither true nor false";
    }));
}

void CommandLine::text(const OptionName& option, std::string& value) {
    CLI::Option* const made = parser_->add_option(option.name, value, option.help)->type_name(option.type);
    if (!value.empty()) made->capture_default_str();
}

void CommandLine::texts(const OptionName& option, std::vector<std::string>& values) {
    CLI::Option* const made = parser_->add_option(option.name, values, option.help)->type_name(option.type);
    made->allow_extra_args(false);
    if (!values.empty()) made->capture_default_str();
}

void CommandLine::choice(const char* name, std::string& value, std::initializer_list<const char*> choices,
                         const char* help) {
    text({name, joined(choices).c_str(), help}, value);
    parser_->get_option(name)->check(among(choices));
}

void CommandLine::count(const OptionName& option, std::size_t& value, std::size_t least, std::size_t most) {
    CLI::Option* const made = parser_->add_option(option.name, value, option.help)->type_name(option.type);
    made->check(CLI::Range(least, most));
    if (value >= least) made->capture_default_str();
}

void CommandLine::seconds(const char* name, double& value, double least, const char* help) {
    parser_->add_option(name, value, help)
        ->check(checked([least](const std::string& text) -> std::string {
            char* end = nullptr;
            const double read = std::strtod(text.c_str(), &end);
            if (end != text.c_str() && *end == 0 && read >= least && read <= 1e6) return "";  // not nan
            return "\"" + text + "\" is not a number of seconds between " + (least > 0 ? "0.001" : "0") +
                   " and 1000000";
        }))
        ->type_name("S")
        ->capture_default_str();
}

void CommandLine::path(const char* name, std::string& value, const char* help) {
    text({name, "PATH", help}, value);
    parser_->get_option(name)->check(checked([](const std::string& text) -> std::string {
        if (!text.starts_with("/") || text.size() == 1)
            return "\"" + text + "\" is no path: begin with \"/\"";
        if (!is_normalised(text)) return "\"" + text + "\" is nothing that a client can ask for";
        if (text.find("/:") != std::string::npos || text.find("/*") != std::string::npos)
            return "\"" + text + "\" is a pattern, and has to be one path";
        return "";
    }));
}

void CommandLine::check(const char* name, std::function<std::string(const std::string& value)> check) {
    parser_->get_option(name)->check(checked(std::move(check)));
}

void CommandLine::mode(const char* name, std::string& value, const char* help) {
    text({name, "MODE", help}, value);
    parser_->get_option(name)->check(checked([](const std::string& text) -> std::string {
        const bool good = !text.empty() && text.size() <= 4 &&
                          text.find_first_not_of("01234567") == std::string::npos &&
                          std::stoi(text, nullptr, 8) <= 0777;
        return good ? "" : "\"" + text + "\" is not a mode like 0660";
    }));
}

std::optional<int> CommandLine::read(int argc, char** argv) {
    ArgumentReader given(*parser_, argc, argv);
    if (std::string wrong = given.read(); !wrong.empty()) return complain(std::move(wrong));
    try {
        parser_->parse(std::move(given.arguments));
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return parser_->exit(error);  // --help, --version
        return complain(error.what());
    }
    if (!config_.empty())
        if (const cutils::Result<void> done = read_config(*parser_, config_); !done)
            return complain(words(done.error()));
    if (!print_config_) return {};
    std::fputs(config_of(*parser_).c_str(), stdout);
    return 0;
}

bool CommandLine::has(const char* name) const { return parser_->count(name) > 0; }

}  // namespace webby::program
