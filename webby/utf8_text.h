// UTF-8 as it comes from outside: what is broken is found, replaced or cut off, never passed on unseen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// One step through text that may be broken. Overlong forms, surrogates and what lies beyond U+10FFFF are
// broken.
struct Utf8Step {
    std::size_t size;    // bytes; of what is broken, the longest part that could have begun a character
    char32_t character;  // kUtf8Broken where it is broken
};
inline constexpr char32_t kUtf8Broken = 0xffffffff;

// The step at the front. Before: text is not empty.
[[nodiscard]] EVC_API Utf8Step utf8_step(std::string_view text);

[[nodiscard]] EVC_API bool is_utf8(std::string_view text);

// Puts U+FFFD in the place of each broken part, as the WHATWG's decoder does.
// Cost: for text that is good, one pass and no allocation.
EVC_API void replace_broken_utf8(std::string& text);

// The longest front of at most `bytes` that does not end inside a character.
[[nodiscard]] EVC_API std::string_view cut_utf8(std::string_view text, std::size_t bytes);

}  // namespace webby
