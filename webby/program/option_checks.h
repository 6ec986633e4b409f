// What values of options are checked with.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>

namespace webby::program {

// Seconds, as the user may give them; least: 0.001 or 0.
[[nodiscard]] CLI::Validator seconds(double least);
// Permissions: 0660.
[[nodiscard]] CLI::Validator octal();
// Where a page is found: "/healthz".
[[nodiscard]] CLI::Validator path();

[[nodiscard]] inline CLI::Range count() { return {std::size_t{1}, std::size_t{10'000'000}}; }

}  // namespace webby::program
