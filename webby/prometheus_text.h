// PrometheusText: metrics in the text format that Prometheus reads (version 0.0.4).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "cutils/export.h"

namespace webby {

enum class MetricType : std::uint8_t { counter, gauge, histogram };

// Name and value: {"method", "GET"}.
using MetricLabel = std::pair<std::string_view, std::string_view>;

// Letters, digits, "_" and, in names of metrics, ":"; not beginning with a digit. Labels do not begin with
// "__".
[[nodiscard]] EVC_API bool is_metric_name(std::string_view name);
[[nodiscard]] EVC_API bool is_label_name(std::string_view name);

// Writes families of metrics, one after the other:
//
//   PrometheusText text;
//   text.family("jobs_total", MetricType::counter, "Jobs done.");
//   text.sample({{"kind", "mail"}}, 17);                 // jobs_total{kind="mail"} 17
//
// Help and values of labels may hold anything: they are escaped, and what is no UTF-8 becomes U+FFFD. Names
// are the caller's business (is_metric_name).
class EVC_API PrometheusText {
  public:
    static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
    using Labels = std::span<const MetricLabel>;

    // What follows belongs to it.
    void family(std::string_view name, MetricType type, std::string_view help);

    void sample(Labels labels, std::uint64_t value) { line({}, labels, {}, number(value)); }
    void sample(Labels labels, double value) { line({}, labels, {}, number(value)); }
    void sample(std::initializer_list<MetricLabel> labels, auto value) {
        sample(Labels(labels.begin(), labels.size()), value);
    }
    // A histogram: the buckets in their order, each with all of those before it; then, with all there are,
    // their end.
    void bucket(Labels labels, double most, std::uint64_t count_so_far);
    void histogram_end(Labels labels, double sum, std::uint64_t count);

    [[nodiscard]] std::string& text() { return text_; }

    // As the format writes them: the shortest text that reads back as the same number; "+Inf", "NaN".
    [[nodiscard]] static std::string number(std::uint64_t value) { return std::to_string(value); }
    [[nodiscard]] static std::string number(double value);

  private:
    void line(std::string_view suffix, Labels labels, std::string_view most, std::string_view value);
    void label(std::string_view name, std::string_view value);

    std::string text_;
    std::string name_;
};

}  // namespace webby
