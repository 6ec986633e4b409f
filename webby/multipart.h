// Multipart: the grammar of multipart/form-data (RFC 7578 on RFC 2046). Bytes in, parts out, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"

namespace webby {

// The boundary that the Content-Type of a multipart/form-data body names.
//
// Errors: errc::not_supported when the type is another; errc::bad_message when there is no boundary, there
//         are two, or it is not 1 to 70 of the characters RFC 2046 §5.1.1 allows.
[[nodiscard]] EVC_API cutils::Result<std::string> multipart_boundary(std::string_view content_type);

// What a part says about itself.
struct EVC_API MultipartPart {
    struct Header {
        std::string name;
        std::string value;
    };
    std::string name;                     // of the form's field; any bytes, UTF-8 from browsers
    std::optional<std::string> filename;  // as the client wrote it: see safe_file_name()
    std::string content_type;             // empty: not said, which means text/plain
    std::vector<Header> headers;          // all of them

    // The value of the first header of that name, whatever its case; empty when there is none.
    [[nodiscard]] std::string_view header(std::string_view wanted) const;
};

// Past one of them a body is refused: NetError::too_long.
struct MultipartLimits {
    std::size_t parts = 128;
    std::size_t header_bytes = 8 * 1024;     // of one part
    std::size_t header_count = 16;           // of one part
    std::uint64_t part = 16 * 1024 * 1024;   // bytes of one part
    std::uint64_t total = 64 * 1024 * 1024;  // bytes of all parts and what is around them
};

// Eats a body in pieces of any size and says what it sees:
//
//   MultipartParser parser(boundary, limits);
//   for (;;) switch (parser.next(input)) {          // eats from the front of `input`
//       case Step::need_more: …read more into input, or parser.finish()…
//       case Step::part:      begin(parser.part());
//       case Step::data:      keep(parser.data());
//       case Step::part_end:  …
//       case Step::end:       …all parts are complete; what follows is eaten and forgotten
//       case Step::refused:   return parser.error();
//   }
//
// Strict where a second reading would be possible: lines end with CR LF; what begins with the boundary at the
// start of a line is a delimiter, and one that does not go on as one is an error; headers are not folded; a
// part has exactly one Content-Disposition: form-data with one name. filename* is ignored, as RFC 7578 §4.2
// asks; a Content-Transfer-Encoding that would need decoding is refused.
//
// Cost: data is searched for CR and not copied; the headers of a part are.
class EVC_API MultipartParser {
  public:
    enum class Step { need_more, part, data, part_end, end, refused };

    // Before: boundary comes from multipart_boundary().
    explicit MultipartParser(std::string_view boundary, const MultipartLimits& limits = {});

    [[nodiscard]] Step next(std::string_view& input);
    // There is no more input. False when the body ends in the middle; error() says so.
    [[nodiscard]] bool finish();

    // After Step::part, until the next one.
    [[nodiscard]] MultipartPart& part() { return part_; }
    // After Step::data. Lifetime: as the input's.
    [[nodiscard]] std::string_view data() const { return data_; }
    // Errors: errc::bad_message for what is malformed, NetError::too_long past a limit, NetError::truncated.
    [[nodiscard]] const cutils::Error& error() const { return error_; }

  private:
    enum class State : std::uint8_t {
        preamble,
        after_delimiter,  // "--boundary" …
        padding,          // … and blanks
        line_end,         // … and CR
        closing,          // … or "-"
        headers,
        data,
        epilogue,
        refused,
    };

    Step next_in_text(std::string_view& input);
    Step next_after_delimiter(std::string_view& input);
    Step next_in_headers(std::string_view& input);
    bool goes_on_as_delimiter(char c);
    Step give(std::string_view data);
    Step read_part();
    bool read_header(std::string_view line);
    bool read_disposition(std::string_view value);
    Step refuse(std::string why);
    Step refuse_too_long(const char* what);
    void take(std::string_view& input, std::size_t bytes);

    std::string delimiter_;  // "\r\n--boundary"
    MultipartLimits limits_;
    MultipartPart part_;
    std::string head_;  // the headers of a part, as far as they have come
    std::string_view data_;
    cutils::Error error_{std::error_code()};
    std::uint64_t total_ = 0;
    std::uint64_t part_bytes_ = 0;
    std::size_t parts_ = 0;
    std::size_t matched_ = 2;   // how much of the delimiter stands at the end of what was eaten
    std::size_t borrowed_ = 2;  // of that, what is not data if no delimiter comes of it
    State state_ = State::preamble;
    bool in_part_ = false;
};

}  // namespace webby
