// CommandLine: the program's options, and where their values come from.
#pragma once

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace webby::program {

// What an option is called, what its value is called, and what --help says of it.
struct OptionName {
    const char* name;  // "--listen"
    const char* type;  // "ADDR"
    const char* help;
};

// First all options are declared, each with the variable that its value goes to; what is in the variable is
// the default. Then read() takes the command line, and the file that --config names.
//
// Owner: main(). Lifetime: the variables outlive it.
class CommandLine {
  public:
    CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;
    ~CommandLine();

    void flag(const char* name, bool& value, const char* help);
    void text(const OptionName& option, std::string& value);
    void texts(const OptionName& option, std::vector<std::string>& values);  // may be repeated
    void choice(const char* name, std::string& value, std::initializer_list<const char*> choices,
                const char* help);
    void count(const OptionName& option, std::size_t& value, std::size_t least, std::size_t most);
    void seconds(const char* name, double& value, double least, const char* help);  // least: 0.001 or 0
    void path(const char* name, std::string& value, const char* help);              // "/healthz"
    void mode(const char* name, std::string& value, const char* help);              // "0660"
    // Looks at each value of an option above as it comes, so that a file's are refused with their line.
    // `check` says what is wrong, or nothing.
    void check(const char* name, std::function<std::string(const std::string& value)> check);

    // The exit code, when there is nothing more to do: --help, --version, --print-config; or something was
    // wrong, and has been said.
    [[nodiscard]] std::optional<int> read(int argc, char** argv);

    // Has anybody said anything, here or in the file?
    [[nodiscard]] bool has(const char* name) const;

  private:
    std::unique_ptr<CLI::App> parser_;
    std::string config_;
    bool print_config_ = false;
};

}  // namespace webby::program
