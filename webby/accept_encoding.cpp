#include "webby/accept_encoding.h"

#include "webby/ascii.h"

namespace webby {
namespace {

constexpr unsigned kMost = 1000;

// "1", "0.5", "0.333", "1.000": a weight in thousandths, or nothing.
std::optional<std::int16_t> parse_weight(std::string_view text) {
    if (text.empty() || (text[0] != '0' && text[0] != '1') || text.size() > 5) return {};
    if (text.size() > 1 && text[1] != '.') return {};
    int weight = (text[0] - '0') * 1000;
    int digit = 100;
    for (const char c : text.substr(text.size() > 1 ? 2 : 1)) {
        if (!ascii::is_digit(c)) return {};
        weight += (c - '0') * digit;
        digit /= 10;
    }
    return weight <= static_cast<int>(kMost) ? std::optional(static_cast<std::int16_t>(weight))
                                             : std::nullopt;
}

// What stands behind the first ";": "q=0.5", perhaps after other parameters. Without a weight: the most.
std::optional<std::int16_t> weight_of(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::size_t end = parameters.find(';');
        const std::string_view parameter = ascii::trim(parameters.substr(0, end));
        if (parameter.size() >= 2 && ascii::lower(parameter[0]) == 'q' && parameter[1] == '=')
            return parse_weight(parameter.substr(2));
        if (end == std::string_view::npos) break;
        parameters.remove_prefix(end + 1);
    }
    return static_cast<std::int16_t>(kMost);
}

}  // namespace

std::string_view to_string(ContentCoding coding) {
    switch (coding) {
        case ContentCoding::gzip: return "gzip";
        case ContentCoding::br: return "br";
        case ContentCoding::zstd: return "zstd";
        case ContentCoding::identity: break;
    }
    return "identity";
}

std::optional<ContentCoding> parse_content_coding(std::string_view token) {
    for (const ContentCoding coding :
         {ContentCoding::identity, ContentCoding::gzip, ContentCoding::br, ContentCoding::zstd})
        if (ascii::equal_ignoring_case(token, to_string(coding))) return coding;
    if (ascii::equal_ignoring_case(token, "x-gzip")) return ContentCoding::gzip;
    return {};
}

AcceptEncoding::AcceptEncoding(const Headers& headers) {
    qualities_.fill(kUnsaid);
    for (const Headers::Field field : headers)
        if (ascii::equal_ignoring_case(field.name, "Accept-Encoding")) add(field.value);
}

AcceptEncoding::AcceptEncoding(std::string_view field) {
    qualities_.fill(kUnsaid);
    add(field);
}

void AcceptEncoding::add(std::string_view field) {
    if (others_ == kNothingSaid) others_ = kUnsaid;
    while (!field.empty()) {
        const std::size_t comma = field.find(',');
        add_element(ascii::trim(field.substr(0, comma)));
        if (comma == std::string_view::npos) break;
        field.remove_prefix(comma + 1);
    }
}

// One that is malformed, or that we do not know, is as if it were not there.
void AcceptEncoding::add_element(std::string_view element) {
    const std::size_t semicolon = element.find(';');
    const std::string_view token = ascii::trim(element.substr(0, semicolon));
    const std::optional<std::int16_t> weight =
        weight_of(semicolon == std::string_view::npos ? std::string_view() : element.substr(semicolon + 1));
    if (!weight) return;
    if (token == "*")
        others_ = *weight;
    else if (const std::optional<ContentCoding> coding = parse_content_coding(token))
        qualities_[static_cast<std::size_t>(*coding)] = *weight;
}

unsigned AcceptEncoding::quality(ContentCoding coding) const {
    if (others_ == kNothingSaid) return coding == ContentCoding::identity ? kMost : 0;
    const std::int16_t said = qualities_[static_cast<std::size_t>(coding)];
    if (said != kUnsaid) return static_cast<unsigned>(said);
    if (others_ != kUnsaid) return static_cast<unsigned>(others_);
    return coding == ContentCoding::identity ? 1 : 0;
}

std::optional<ContentCoding> AcceptEncoding::choose(std::span<const ContentCoding> codings) const {
    std::optional<ContentCoding> best;
    unsigned most = 0;
    for (const ContentCoding coding : codings) {
        if (const unsigned liked = quality(coding); liked > most) {
            most = liked;
            best = coding;
        }
    }
    if (quality(ContentCoding::identity) > most) best = ContentCoding::identity;
    return best;
}

}  // namespace webby
