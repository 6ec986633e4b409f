// RouteParams: what the ":name" and "*rest" parts of a route matched in a path.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace webby {

// A route has at most this many parameters; Router::add() refuses more.
inline constexpr std::size_t kMaxRouteParams = 16;

// Filled by the router, read through Request. Views: the names belong to the route, the values to the
// request's path.
class RouteParams {
  public:
    [[nodiscard]] std::string_view find(std::string_view name) const {
        for (std::size_t i = 0; i < names_.size(); ++i)
            if (names_[i] == name) return values_[i];
        return {};
    }
    [[nodiscard]] std::size_t size() const { return names_.size(); }

    void clear() { names_ = {}; }
    void set_names(std::span<const std::string> names) { names_ = names; }
    void set_value(std::size_t index, std::string_view value) { values_[index] = value; }

  private:
    std::span<const std::string> names_;
    std::array<std::string_view, kMaxRouteParams> values_;  // meaningful up to names_.size()
};

}  // namespace webby
