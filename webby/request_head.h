// RequestHead: what the request line and the fields of one request said, as the parser leaves it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "webby/headers.h"
#include "webby/http_types.h"

namespace webby {

// Plain data, filled by Http1Parser and read through Request. It keeps places in the text of the head, not
// pointers, so that the buffer may grow and move while the head is still arriving.
struct RequestHead {
    struct Place {
        std::uint32_t at = 0;
        std::uint32_t size = 0;
    };

    const char* text = nullptr;  // where the head begins in memory now
    Place method_name;
    Place target;
    Place authority;  // of an absolute-form target, else the value of Host
    Place path;       // raw; superseded by decoded_path when that is not empty
    Place query;
    std::string decoded_path;
    Headers headers;
    std::string user;            // what a filter has found its client to be
    std::string last_host_line;  // of an earlier request, and good: see plain_head.cpp

    std::uint64_t content_length = 0;
    Method method = Method::other;
    Version version = Version::http_1_1;
    bool has_length = false;
    bool chunked = false;
    bool keep_alive = false;
    bool expects_continue = false;

    [[nodiscard]] std::string_view view(Place place) const { return {text + place.at, place.size}; }
    [[nodiscard]] Place place_of(std::string_view part) const {
        return {static_cast<std::uint32_t>(part.data() - text), static_cast<std::uint32_t>(part.size())};
    }
    [[nodiscard]] bool has_body() const { return chunked || content_length > 0; }

    // The text has moved, or is about to be read.
    void set_text(const char* begin) {
        text = begin;
        headers.set_text(begin);
    }
    // Ready for the next request; keeps memory.
    void clear() {
        method_name = target = authority = path = query = {};
        decoded_path.clear();
        user.clear();
        headers.clear();
        content_length = 0;
        method = Method::other;
        version = Version::http_1_1;
        has_length = chunked = keep_alive = expects_continue = false;
    }
};

}  // namespace webby
