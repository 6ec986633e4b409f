// Which content codings a client takes: Accept-Encoding (RFC 9110 §12.5.3).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "cutils/export.h"
#include "webby/headers.h"

namespace webby {

// How the bytes of a body are coded.
enum class ContentCoding : std::uint8_t { identity, gzip, br, zstd };

inline constexpr std::size_t kContentCodingCount = 4;

// "gzip", …, as in Content-Encoding; "identity". The text lives for ever.
[[nodiscard]] EVC_API std::string_view to_string(ContentCoding coding);
// Whatever its case; "x-gzip" is gzip.
[[nodiscard]] EVC_API std::optional<ContentCoding> parse_content_coding(std::string_view token);

// What a client said about the codings it takes.
//
//   constexpr ContentCoding kHave[] = {ContentCoding::zstd, ContentCoding::gzip};
//   const AcceptEncoding accepted(request.headers());
//   response.add_header("Vary", "Accept-Encoding");
//   const std::optional<ContentCoding> coding = accepted.choose(kHave);
//
// A value; no allocation.
class EVC_API AcceptEncoding {
  public:
    // All fields of that name; one by itself.
    explicit AcceptEncoding(const Headers& headers);
    explicit AcceptEncoding(std::string_view field);

    // How much a coding is liked, in thousandths: 0 is refused, 1000 the most. Who says nothing gets the body
    // as it is (identity); who lists codings still takes it, least of all, unless it is refused
    // ("identity;q=0", "*;q=0").
    [[nodiscard]] unsigned quality(ContentCoding coding) const;
    [[nodiscard]] bool accepts(ContentCoding coding) const { return quality(coding) > 0; }

    // The best of `codings`, which stand in our order of preference, and identity. Nothing when every one is
    // refused: 406, or identity all the same.
    [[nodiscard]] std::optional<ContentCoding> choose(std::span<const ContentCoding> codings) const;

  private:
    static constexpr std::int16_t kUnsaid = -1;
    static constexpr std::int16_t kNothingSaid = -2;  // of any coding

    void add(std::string_view field);
    void add_element(std::string_view element);

    std::array<std::int16_t, kContentCodingCount> qualities_;
    std::int16_t others_ = kNothingSaid;  // "*"
};

}  // namespace webby
