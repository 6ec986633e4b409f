#include "webby/prometheus_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "webby/utf8_text.h"

namespace webby {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What is no UTF-8 would cost Prometheus all of the page.
void escape(std::string& out, std::string_view text, bool quotes) {
    while (!text.empty()) {
        const Utf8Step step = utf8_step(text);
        const char c = text.front();
        if (c == '\\' || (quotes && c == '"')) out += '\\';
        if (step.character == kUtf8Broken)
            out += "\xef\xbf\xbd";
        else if (c == '\n')
            out += "\\n";
        else
            out.append(text.substr(0, step.size));
        text.remove_prefix(step.size);
    }
}

}  // namespace

bool is_metric_name(std::string_view name) {
    return !name.empty() && !is_digit(name.front()) && std::all_of(name.begin(), name.end(), [](char c) {
        return is_letter(c) || is_digit(c) || c == ':';
    });
}

bool is_label_name(std::string_view name) {
    return is_metric_name(name) && name.find(':') == std::string_view::npos && !name.starts_with("__");
}

std::string PrometheusText::number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 32> text;
    return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

void PrometheusText::family(std::string_view name, MetricType type, std::string_view help) {
    static constexpr std::array<std::string_view, 3> kTypes = {"counter", "gauge", "histogram"};
    name_ = name;
    text_.append("# HELP ").append(name).append(" ");
    escape(text_, help, false);
    text_.append("\n# TYPE ").append(name).append(" ");
    text_.append(kTypes[static_cast<std::size_t>(type)]).append("\n");
}

void PrometheusText::bucket(Labels labels, double most, std::uint64_t count_so_far) {
    line("_bucket", labels, number(most), number(count_so_far));
}

void PrometheusText::histogram_end(Labels labels, double sum, std::uint64_t count) {
    line("_bucket", labels, "+Inf", number(count));
    line("_sum", labels, {}, number(sum));
    line("_count", labels, {}, number(count));
}

void PrometheusText::line(std::string_view suffix, Labels labels, std::string_view most,
                          std::string_view value) {
    text_.append(name_).append(suffix);
    if (!labels.empty() || !most.empty()) {
        text_ += '{';
        for (const auto& [name, its_value] : labels) label(name, its_value);
        if (!most.empty()) label("le", most);
        text_.back() = '}';  // in place of the last comma
    }
    text_.append(" ").append(value).append("\n");
}

void PrometheusText::label(std::string_view name, std::string_view value) {
    text_.append(name).append("=\"");
    escape(text_, value, true);
    text_.append("\",");
}

}  // namespace webby
