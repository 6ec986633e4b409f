#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "webby/file_source_internal.h"
#include "webby/multipart_ranges_internal.h"

namespace webby {
namespace {

// Nobody can have put it into a file before: 128 random bits.
std::string make_boundary() {
    static constexpr char kHex[] = "0123456789abcdef";
    std::array<unsigned char, 16> bits{};
    (void)!::getrandom(bits.data(), bits.size(), GRND_NONBLOCK);
    std::string boundary;
    for (const unsigned char byte : bits) boundary.append({kHex[byte >> 4], kHex[byte & 15]});
    return boundary;
}

}  // namespace

MultipartRanges::MultipartRanges(std::span<const ByteRange> ranges, std::uint64_t whole,
                                 std::string_view type)
    : boundary_(make_boundary()) {
    for (const ByteRange range : ranges) {
        std::string head = parts_.empty() ? "--" : "\r\n--";
        head.append(boundary_).append("\r\nContent-Type: ").append(type).append("\r\nContent-Range: bytes ");
        head.append(std::to_string(range.first))
            .append("-")
            .append(std::to_string(range.first + range.size - 1));
        head.append("/").append(std::to_string(whole)).append("\r\n\r\n");
        parts_.push_back({std::move(head), range});
    }
    parts_.push_back({"\r\n--" + boundary_ + "--\r\n", {}});
    for (const Part& part : parts_) size_ += part.head.size() + part.range.size;
}

nutils::IoResult MultipartRanges::read(std::span<char> buffer) {
    while (part_ < parts_.size() && at_ == parts_[part_].head.size() + parts_[part_].range.size)
        ++part_, at_ = 0;
    if (part_ == parts_.size()) return {0, nutils::NetError::eof};
    const auto& [head, range] = parts_[part_];
    nutils::IoResult got;
    if (at_ < head.size()) {
        got.bytes = head.copy(buffer.data(), buffer.size(), static_cast<std::size_t>(at_));
    } else {
        const std::uint64_t done = at_ - head.size();
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), range.size - done));
        if (file_)
            got = read_file(file_.get(), range.first + done, buffer.first(size));
        else
            got.bytes = content_.copy(buffer.data(), size, static_cast<std::size_t>(range.first + done));
    }
    at_ += got.bytes;
    return got;
}

}  // namespace webby
