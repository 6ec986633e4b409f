// The configuration file's grammar: settings stand on lines of the file, what is wrong is said with its line,
// and what was read is written so that it is read again.
#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "test/fuzz/fuzz.h"
#include "webby/program/config_file.h"

namespace {

using webby::program::Setting;

const std::string kName = "webby.toml";

int lines_in(std::string_view text) {
    return 1 + static_cast<int>(std::count(text.begin(), text.end(), '\n'));
}

void complains_well(std::string_view complaint, int lines) {
    fuzz::must(complaint.starts_with(kName + ":"), "an error begins with the file");
    complaint.remove_prefix(kName.size() + 1);
    int line = 0;
    const auto [end, error] = std::from_chars(complaint.data(), complaint.data() + complaint.size(), line);
    fuzz::must(error == std::errc() && line >= 1 && line <= lines, "… and a line that it has");
    complaint.remove_prefix(static_cast<std::size_t>(end - complaint.data()));
    fuzz::must(complaint.starts_with(": ") && complaint.size() > 2, "… and says what is wrong");
    fuzz::must(std::all_of(complaint.begin(), complaint.end(), [](char c) { return c >= ' ' && c <= '~'; }),
               "… on one line");
}

void are_inside(const std::vector<Setting>& settings, std::string_view input) {
    std::size_t bytes = 0;
    int last = 0;
    for (const Setting& setting : settings) {
        fuzz::must(setting.line > last && setting.line <= lines_in(input), "each has a line of its own");
        last = setting.line;
        fuzz::must(!setting.key.empty(), "each has a key");
        bytes += setting.key.size();
        for (const std::string& value : setting.values) bytes += value.size();
    }
    fuzz::must(bytes <= input.size(), "no more than was there");
}

std::string written(const std::vector<Setting>& settings) {
    std::string text;
    for (const Setting& setting : settings) {
        text += setting.key + " = [";
        for (const std::string& value : setting.values) text += webby::program::quoted_value(value) + ", ";
        text += "]\n";
    }
    return text;
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    const auto settings = webby::program::parse_settings(input, kName);
    if (!settings) return complains_well(settings.error().context(), lines_in(input));
    are_inside(*settings, input);
    const auto again = webby::program::parse_settings(written(*settings), kName);
    must(again.ok() && again->size() == settings->size(), "what is written can be read");
    for (std::size_t i = 0; i < settings->size(); ++i)
        must((*again)[i].key == (*settings)[i].key && (*again)[i].values == (*settings)[i].values,
             "… and says the same");
}
