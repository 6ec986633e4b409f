// Ranges of bytes, as a client asks for parts of something (RFC 9110 §14).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// Not empty. Units: bytes.
struct ByteRange {
    std::uint64_t first = 0;
    std::uint64_t size = 0;
    friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// What a Range field asks for, of something of a given size.
//
//   const ByteRanges asked("bytes=0-99, -100", 1000);
//   for (const ByteRange range : asked.ranges()) …        // {0, 100}, {900, 100}
//
// A value; no allocation.
class EVC_API ByteRanges {
  public:
    enum class Meaning {
        ignored,        // 200 and the whole: not a range of bytes, malformed, or not worth it (see below)
        satisfiable,    // 206 and ranges()
        unsatisfiable,  // 416: every range lies behind the end
    };
    // How many a client may ask for at once. More, or two that overlap, are ignored: they cost the server
    // more than the whole (RFC 9110 §14.2 allows it).
    static constexpr std::size_t kMost = 16;

    // Before: none; `field` may be anything, from anybody.
    ByteRanges(std::string_view field, std::uint64_t size);

    [[nodiscard]] Meaning meaning() const { return meaning_; }
    // In the order they were asked for; what lies behind the end is cut off, or left out. Empty unless
    // satisfiable.
    [[nodiscard]] std::span<const ByteRange> ranges() const { return {ranges_.data(), count_}; }

  private:
    [[nodiscard]] bool parse(std::string_view field, std::uint64_t size);
    [[nodiscard]] bool add(std::string_view spec, std::uint64_t size);
    [[nodiscard]] bool overlap() const;

    std::array<ByteRange, kMost> ranges_;
    std::size_t count_ = 0;
    std::size_t asked_ = 0;
    Meaning meaning_ = Meaning::ignored;
};

}  // namespace webby
