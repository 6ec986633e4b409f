// Names that the application chose, maybe after what a client sent, for people to read. Internal.
#pragma once

#include <string>
#include <string_view>

namespace evcorothread {

// Control characters as "?", as cutils::log shows them: a line stays a line, and speaks to nobody's terminal.
inline std::string printable(std::string_view name) {
    std::string text(name);
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    return text;
}

}  // namespace evcorothread
