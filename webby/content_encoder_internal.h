// What content_coding.cpp asks of the libraries that compress: an engine each. Internal.
#pragma once

#include <cstdint>
#include <memory>

#include "webby/content_coding.h"

namespace webby {

class ContentEncoder::Engine {
  public:
    virtual ~Engine() = default;
    [[nodiscard]] virtual std::size_t memory() const = 0;  // of large windows; see ContentEncoder
    virtual Step step(std::string_view& input, std::span<char> room, Until until) = 0;
};

// Null when there is no memory for one. Windows are kept small: what a body gains from a large one, a server
// with many of them loses in memory.
std::unique_ptr<ContentEncoder::Engine> make_gzip_engine(std::uint64_t expected_size);
std::unique_ptr<ContentEncoder::Engine> make_brotli_engine(std::uint64_t expected_size);
std::unique_ptr<ContentEncoder::Engine> make_zstd_engine(std::uint64_t expected_size);

}  // namespace webby
