// PrometheusChecker: reads the text format 0.0.4 as strictly as it is written, and says what is wrong.
#pragma once

#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "webby/prometheus_text.h"

namespace webby_test {

class PrometheusChecker {
  public:
    explicit PrometheusChecker(std::string_view text) {
        if (text.empty() || text.back() != '\n') complain("the last line does not end", text);
        while (!text.empty()) {
            const std::size_t end = std::min(text.find('\n'), text.size() - 1);
            line(text.substr(0, end));
            text.remove_prefix(end + 1);
        }
        check_histograms();
    }

    // Empty: all is well.
    [[nodiscard]] const std::string& complaints() const { return complaints_; }
    // "name{label="value"}" as it stands there; -1 when it does not.
    [[nodiscard]] double value(const std::string& sample) const {
        const auto found = samples_.find(sample);
        return found == samples_.end() ? -1 : found->second;
    }
    [[nodiscard]] const std::map<std::string, double>& samples() const { return samples_; }

  private:
    void complain(std::string_view what, std::string_view where) {
        complaints_.append(what).append(": ").append(where.substr(0, 200)).append("\n");
    }

    void line(std::string_view text) {
        if (text.starts_with("# HELP ")) {
            family_ = text.substr(7, text.find(' ', 7) - 7);
            if (!helped_.insert(family_).second) complain("two families of one name", text);
            if (text.size() <= 8 + family_.size()) complain("no help", text);
            type_.clear();
        } else if (text.starts_with("# TYPE ")) {
            const std::size_t blank = text.find(' ', 7);
            if (text.substr(7, blank - 7) != family_) complain("the type of something else", text);
            type_ = text.substr(blank + 1);
            if (type_ != "counter" && type_ != "gauge" && type_ != "histogram") complain("no type", text);
            if ((type_ == "counter") != family_.ends_with("_total")) complain("_total is for counters", text);
            if (!webby::is_metric_name(family_)) complain("no name", text);
            types_[family_] = type_;
        } else {
            sample(text);
        }
    }

    void sample(std::string_view text) {
        const std::size_t name_end = text.find_first_of("{ ");
        const std::string name(text.substr(0, name_end));
        if (type_.empty() || !belongs(name)) complain("a sample of another family", text);
        std::size_t at = name_end;
        if (at < text.size() && text[at] == '{') at = labels(text, at);
        if (at >= text.size() || text[at] != ' ') return complain("no value", text);
        const std::string number(text.substr(at + 1));
        char* end = nullptr;
        const double value = std::strtod(number.c_str(), &end);
        if (number.empty() || *end != 0) complain("no number", text);
        if (type_ == "counter" && !(value >= 0)) complain("a counter below zero", text);
        if (!samples_.emplace(text.substr(0, at), value).second) complain("twice the same sample", text);
    }
    [[nodiscard]] bool belongs(const std::string& name) const {
        if (type_ != "histogram") return name == family_;
        return name == family_ + "_bucket" || name == family_ + "_sum" || name == family_ + "_count";
    }
    // Returns where they end.
    std::size_t labels(std::string_view text, std::size_t at) {
        for (++at; at < text.size() && text[at] != '}';) {
            const std::size_t equals = text.find("=\"", at);
            if (equals == std::string_view::npos) break;
            if (!webby::is_label_name(text.substr(at, equals - at))) complain("no name of a label", text);
            for (at = equals + 2; at < text.size() && text[at] != '"'; ++at)
                if (text[at] == '\\' &&
                    (++at >= text.size() || (text[at] != '\\' && text[at] != '"' && text[at] != 'n')))
                    complain("a wrong escape", text);
            ++at;
            if (at < text.size() && text[at] == ',') ++at;
        }
        if (at >= text.size()) complain("labels without an end", text);
        return at + 1;
    }

    // Buckets go up, and the last one has all.
    void check_histograms() {
        for (const auto& [family, type] : types_) {
            if (type != "histogram") continue;
            std::map<std::string, std::map<double, double>> series;
            for (const auto& [name, value] : samples_) {
                if (!name.starts_with(family + "_bucket{")) continue;
                const std::size_t le = name.find("le=\"");
                if (le == std::string::npos) {
                    complain("a bucket without le", name);
                    continue;
                }
                series[name.substr(family.size() + 7, le - family.size() - 7)]
                      [std::strtod(name.c_str() + le + 4, nullptr)] = value;
            }
            for (const auto& [labels, buckets] : series) {
                double before = 0;
                for (const auto& [le, count] : buckets) {
                    if (count < before) complain("a bucket has fewer than the one before", family);
                    before = count;
                }
                if (!std::isinf(buckets.rbegin()->first)) complain("no bucket for all", family);
                std::string rest = labels == "{" ? "" : labels;
                if (!rest.empty()) rest.back() = '}';
                if (value(family + "_count" + rest) != before)
                    complain("the count is not that of all", family);
            }
        }
    }

    std::string complaints_, family_, type_;
    std::map<std::string, std::string> types_;
    std::set<std::string> helped_;
    std::map<std::string, double> samples_;
};

}  // namespace webby_test
