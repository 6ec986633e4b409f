#include "webby/utf8_text.h"

#include <algorithm>

namespace webby {
namespace {

// What may follow a first byte: how many bytes, and the bounds of the second one, which rule out overlong
// forms, surrogates and what is too large (Unicode, table 3-7).
struct Lead {
    std::size_t size;  // 0: no character begins so
    unsigned char low = 0x80, high = 0xbf;
};

constexpr Lead lead_of(unsigned char byte) {
    if (byte < 0x80) return {1};
    if (byte < 0xc2) return {0};
    if (byte < 0xe0) return {2};
    if (byte == 0xe0) return {3, 0xa0};
    if (byte == 0xed) return {3, 0x80, 0x9f};
    if (byte < 0xf0) return {3};
    if (byte == 0xf0) return {4, 0x90};
    if (byte < 0xf4) return {4};
    if (byte == 0xf4) return {4, 0x80, 0x8f};
    return {0};
}

std::size_t good_front(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        const Utf8Step step = utf8_step(text.substr(at));
        if (step.character == kUtf8Broken) break;
        at += step.size;
    }
    return at;
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const Lead lead = lead_of(byte(0));
    if (lead.size == 0) return {1, kUtf8Broken};
    if (lead.size == 1) return {1, byte(0)};
    char32_t character = byte(0) & (0x7fU >> lead.size);
    for (std::size_t i = 1; i < lead.size; ++i) {
        const unsigned char low = i == 1 ? lead.low : 0x80;
        const unsigned char high = i == 1 ? lead.high : 0xbf;
        if (i == text.size() || byte(i) < low || byte(i) > high) return {i, kUtf8Broken};
        character = character << 6 | (byte(i) & 0x3f);
    }
    return {lead.size, character};
}

bool is_utf8(std::string_view text) { return good_front(text) == text.size(); }

void replace_broken_utf8(std::string& text) {
    std::size_t at = good_front(text);
    if (at == text.size()) return;
    std::string fixed(text, 0, at);
    while (at < text.size()) {
        const Utf8Step step = utf8_step(std::string_view(text).substr(at));
        if (step.character == kUtf8Broken)
            fixed += "\xef\xbf\xbd";
        else
            fixed.append(text, at, step.size);
        at += step.size;
    }
    text = std::move(fixed);
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) {
    if (text.size() <= bytes) return text;
    std::size_t end = bytes;
    // At most three bytes of a character stand before its last one; broken text may be cut anywhere.
    while (end > 0 && bytes - end < 3 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    if ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end = bytes;
    return text.substr(0, end);
}

}  // namespace webby
