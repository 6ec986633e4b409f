#include "webby/safe_file_name.h"

#include "cutils/check.h"
#include "webby/ascii.h"
#include "webby/utf8_text.h"

namespace webby {
namespace {

constexpr std::size_t kShortExtension = 12;

// Controls, and what changes how a line is read without being seen in it.
bool is_dropped(char32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x061c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

std::string_view strip(std::string_view name) {
    while (name.starts_with('.') || name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with('.') || name.ends_with(' ')) name.remove_suffix(1);
    return name;
}

std::string cleaned(std::string_view name) {
    std::string out;
    while (!name.empty()) {
        const Utf8Step step = utf8_step(name);
        const bool special = step.size == 1 && ascii::contains("<>:\"|?*", name.front());
        if (step.character == kUtf8Broken)
            out += "\xef\xbf\xbd";
        else if (special)
            out += '_';
        else if (!is_dropped(step.character))
            out.append(name.substr(0, step.size));
        name.remove_prefix(step.size);
    }
    return out;
}

// With whatever extension: "NUL.tar.gz" is the device, too.
bool is_device(std::string_view name) {
    std::string_view stem = name.substr(0, name.find('.'));
    while (stem.ends_with(' ')) stem.remove_suffix(1);
    for (const std::string_view device : {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"})
        if (ascii::equal_ignoring_case(stem, device)) return true;
    const std::string_view port = stem.substr(0, 3);
    const std::string_view number = stem.substr(port.size());
    if (!ascii::equal_ignoring_case(port, "com") && !ascii::equal_ignoring_case(port, "lpt")) return false;
    return (number.size() == 1 && ascii::is_digit(number.front())) || number == "\xc2\xb9" ||
           number == "\xc2\xb2" || number == "\xc2\xb3";
}

std::string shortened(std::string_view name, std::size_t max_bytes) {
    if (name.size() <= max_bytes) return std::string(name);
    const std::size_t dot = name.rfind('.');
    std::string_view extension = dot == std::string_view::npos ? std::string_view() : name.substr(dot);
    if (extension.size() > kShortExtension) extension = {};
    const std::string_view stem = name.substr(0, name.size() - extension.size());
    return std::string(strip(cut_utf8(stem, max_bytes - extension.size()))).append(extension);
}

}  // namespace

std::string safe_file_name(std::string_view name, std::size_t max_bytes) {
    EVC_CHECK(max_bytes >= 16, "safe_file_name() with room for less than 16 bytes");
    const std::size_t separator = name.find_last_of("/\\");
    if (separator != std::string_view::npos) name.remove_prefix(separator + 1);
    const std::string clean = cleaned(name);
    std::string safe(strip(clean));
    if (safe.starts_with('-')) safe.front() = '_';
    safe = shortened(safe, max_bytes);
    // Asked last: "nul", many blanks and more is a device once it is cut.
    if (is_device(safe)) safe = shortened(safe.insert(0, 1, '_'), max_bytes);
    return safe.empty() ? "file" : safe;
}

}  // namespace webby
