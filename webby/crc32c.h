// CRC-32C (Castagnoli), as the PROXY protocol uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace webby {

// crc32c("123456789") is 0xe3069283. Cost: eight steps a byte; for headers, not for files.
constexpr std::uint32_t crc32c(std::string_view bytes) {
    std::uint32_t crc = 0xffffffff;
    for (const char c : bytes) {
        crc ^= static_cast<unsigned char>(c);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78 & (0U - (crc & 1)));
    }
    return ~crc;
}

static_assert(crc32c("123456789") == 0xe3069283);

}  // namespace webby
