// How a body of unknown size is framed in HTTP/1.1 (RFC 9112 §7.1): chunks, each under a line with its size.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace webby {

inline constexpr std::string_view kChunkEnd = "\r\n";        // behind the bytes of a chunk
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";  // no trailers

// How long the line above a chunk of `size` bytes is.
[[nodiscard]] constexpr std::size_t chunk_line_size(std::size_t size) {
    std::size_t digits = 1;
    while (size >>= 4) ++digits;
    return digits + 2;
}

// Room for a chunk of at most `size` bytes, and the last chunk behind it.
[[nodiscard]] constexpr std::size_t framed_size(std::size_t size) {
    return chunk_line_size(size) + size + kChunkEnd.size() + kLastChunk.size();
}

// Makes a chunk of `size` bytes that stand at begin + chunk_line_size(most): where there are fewer than the
// `most` that were hoped for, they move up to their line. Returns its end.
//
// Before: 0 < size <= most (a chunk of nothing would be the last one); room for framed_size(most) at `begin`.
[[nodiscard]] inline char* frame_chunk(char* begin, std::size_t size, std::size_t most) {
    const std::size_t line = chunk_line_size(size);
    if (line != chunk_line_size(most)) std::memmove(begin + line, begin + chunk_line_size(most), size);
    char* out = std::to_chars(begin, begin + line, size, 16).ptr;
    std::memcpy(out, kChunkEnd.data(), kChunkEnd.size());
    out += kChunkEnd.size() + size;
    std::memcpy(out, kChunkEnd.data(), kChunkEnd.size());
    return out + kChunkEnd.size();
}

}  // namespace webby
