// How bytes that somebody else chose are put into a line of text. Internal to nutils.
#pragma once

#include <string>
#include <string_view>

namespace nutils::detail {

// Control characters and the backslash as \xNN: a log stays one line an event, whoever chose the bytes.
inline void append_escaped(std::string& out, std::string_view bytes) {
    static constexpr char kDigits[] = "0123456789abcdef";
    for (const char character : bytes) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte >= 0x20 && byte != 0x7f && byte != '\\') {
            out += character;
            continue;
        }
        out += "\\x";
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
}

inline std::string quoted(std::string_view bytes) {
    std::string out = "\"";
    append_escaped(out, bytes);
    return out + "\"";
}

}  // namespace nutils::detail
