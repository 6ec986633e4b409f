// MultipartRanges: several parts of a file as one body, multipart/byteranges (RFC 9110 §14.6). Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutils/unique_fd.h"
#include "webby/body_source.h"
#include "webby/byte_ranges.h"

namespace webby {

class MultipartRanges final : public BodySource {
  public:
    // Of a file of `whole` bytes and that type.
    MultipartRanges(std::span<const ByteRange> ranges, std::uint64_t whole, std::string_view type);
    // Where its bytes are; said before the first read().
    void take(nutils::UniqueFd file) { file_ = std::move(file); }
    void take(std::string content) { content_ = std::move(content); }

    // Of the body, frames and all.
    [[nodiscard]] std::uint64_t size() const { return size_; }
    [[nodiscard]] std::string content_type() const { return "multipart/byteranges; boundary=" + boundary_; }

    nutils::IoResult read(std::span<char> buffer) override;

  private:
    struct Part {
        std::string head;
        ByteRange range;
    };
    std::string boundary_;
    std::vector<Part> parts_;  // and one without a range: the end
    std::uint64_t size_ = 0;
    std::size_t part_ = 0;
    std::uint64_t at_ = 0;  // in the part, its head included
    nutils::UniqueFd file_;
    std::string content_;
};

}  // namespace webby
