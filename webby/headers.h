// Headers: the fields of a request, in the order the client sent them, found without regard to case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"

namespace webby {

// A table of places in the text of the request: no field is copied. A request has one; servlets read it.
//
//   if (auto type = request.headers().find("content-type")) …
//   for (auto field : request.headers()) log(field.name, field.value);
//
// Lifetime: names and values are views into the request; they live until its response is finished.
// Cost:     find() compares the length of each name, then its bytes; the table keeps its memory between
//           requests.
class EVC_API Headers {
  public:
    struct Field {
        std::string_view name;
        std::string_view value;  // without blanks around it
    };

    [[nodiscard]] std::size_t size() const { return places_.size(); }
    [[nodiscard]] bool empty() const { return places_.empty(); }

    // Before: index < size().
    [[nodiscard]] Field operator[](std::size_t index) const {
        const Place& place = places_[index];
        return {{text_ + place.name_at, place.name_size}, {text_ + place.value_at, place.value_size}};
    }

    // The value of the first field of that name; nothing when there is none (an empty value is a value).
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    [[nodiscard]] bool has(std::string_view name) const { return find(name).has_value(); }

    // All values of that name joined with ", ", as RFC 9110 §5.2 combines lines; empty when there is none.
    [[nodiscard]] std::string joined(std::string_view name) const;

    class Iterator {
      public:
        Iterator(const Headers& headers, std::size_t index) : headers_(&headers), index_(index) {}
        Field operator*() const { return (*headers_)[index_]; }
        Iterator& operator++() {
            ++index_;
            return *this;
        }
        friend bool operator==(const Iterator&, const Iterator&) = default;

      private:
        const Headers* headers_;
        std::size_t index_;
    };
    [[nodiscard]] Iterator begin() const { return {*this, 0}; }
    [[nodiscard]] Iterator end() const { return {*this, size()}; }

    // For the parser, which fills the table: forgets all fields; names the text they stand in, again whenever
    // it has moved; adds one by views into that text.
    void clear() { places_.clear(); }
    void set_text(const char* text) { text_ = text; }
    void add(std::string_view name, std::string_view value) {
        places_.push_back({offset(name), static_cast<std::uint32_t>(name.size()), offset(value),
                           static_cast<std::uint32_t>(value.size())});
    }

  private:
    struct Place {
        std::uint32_t name_at, name_size, value_at, value_size;
    };
    [[nodiscard]] std::uint32_t offset(std::string_view part) const {
        return static_cast<std::uint32_t>(part.data() - text_);
    }
    const char* text_ = nullptr;
    std::vector<Place> places_;
};

// Whether a comma-separated list, as in Connection or If-None-Match, has `token`; case does not matter.
EVC_API bool list_has_token(std::string_view list, std::string_view token);

}  // namespace webby
