#include "webby/program/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

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
    parser_->add_flag(name, value, help);
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
    try {
        parser_->parse(argc, argv);
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
