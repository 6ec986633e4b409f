// Forms: the fields of a query and of an application/x-www-form-urlencoded body, as the WHATWG URL standard
// reads them (§5.1).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cutils/export.h"
#include "cutils/result.h"

namespace webby {

// How much a form may hold. Past one of them it is refused: NetError::too_long, which deserves a 413.
//
// Units: bytes of the decoded text.
struct FormLimits {
    std::size_t fields = 1000;
    std::size_t name = 1024;
    std::size_t value = 1024 * 1024;
};

struct FormField {
    std::string name;
    std::string value;
    friend bool operator==(const FormField&, const FormField&) = default;
};

// Walks through a form without storing it, one field a step.
//
//   for (FormReader form(request.query()); form.next();) use(form.name(), form.value());
//
// "a=1&b=two+words&c": pairs between "&"; "+" is a space, %XX is decoded, a broken escape stays as it stands;
// empty pairs are left out; a pair without "=" has an empty value. Always UTF-8, whatever charset the client
// named, as the standard wants it: broken bytes become U+FFFD, so names and values are good UTF-8.
//
// Lifetime: the text must outlive the reader; name() and value() are good until the next step.
class EVC_API FormReader {
  public:
    explicit FormReader(std::string_view text) : rest_(text) {}

    // The next field; false at the end.
    bool next();
    [[nodiscard]] const std::string& name() const { return name_; }
    [[nodiscard]] const std::string& value() const { return value_; }

  private:
    std::string_view rest_;
    std::string name_;
    std::string value_;
};

// All fields of a form, decoded, in the order in which they came.
//
//   cutils::Result<FormFields> form = request.form();
//   if (!form) return refuse_body(request, response, form.error());
//   for (const FormField& field : *form) …
//   for (std::string_view tag : form->all("tag")) …
class EVC_API FormFields {
  public:
    // Errors: NetError::too_long, with the limit that was passed.
    [[nodiscard]] static cutils::Result<FormFields> parse(std::string_view text,
                                                          const FormLimits& limits = {});

    [[nodiscard]] std::size_t size() const { return fields_.size(); }
    [[nodiscard]] bool empty() const { return fields_.empty(); }
    // Before: index < size().
    [[nodiscard]] const FormField& operator[](std::size_t index) const { return fields_[index]; }
    [[nodiscard]] auto begin() const { return fields_.begin(); }
    [[nodiscard]] auto end() const { return fields_.end(); }

    // The value of the first field of that name; of all of them, in order. Lifetime: of this object.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const;
    [[nodiscard]] bool has(std::string_view name) const { return find(name).has_value(); }

  private:
    std::vector<FormField> fields_;
};

// The decoded value of the first field of that name, without storing the others.
[[nodiscard]] EVC_API std::optional<std::string> form_value(std::string_view form, std::string_view name);

// Whether a Content-Type says that the body is a form; parameters do not matter.
[[nodiscard]] EVC_API bool is_form_type(std::string_view content_type);

}  // namespace webby
