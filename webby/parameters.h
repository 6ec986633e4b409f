// Parameters: what follows a value in a field, as in `form-data; name="a b"` (RFC 9110 §5.6.6).
#pragma once

#include <string>
#include <string_view>

#include "cutils/export.h"

namespace webby {

// How a quoted string writes quotes inside.
enum class Quoting {
    http,       // a backslash makes the next character itself (RFC 9110 §5.6.4)
    form_data,  // browsers: a backslash is one, except before a quote or another; %22, %0D and %0A stand for
                // what could not stand there (WHATWG HTML, multipart/form-data encoding algorithm)
};

// One step through "; name=value; name=\"value\"".
//
//   std::string_view rest = …;                     // behind the value, at its ";" or its end
//   for (Parameter p; read_parameter(rest, p, Quoting::http) == ParameterStep::one;) …
struct Parameter {
    std::string_view name;  // a token, as it stood; compare it without regard to case
    std::string value;      // decoded
};
enum class ParameterStep { one, end, malformed };

// Reads the next parameter and moves `rest` behind it. Blanks around ";" are skipped, and so are empty
// parameters; a name that is no token, a missing "=", an open quote or an empty value without quotes are
// malformed.
[[nodiscard]] EVC_API ParameterStep read_parameter(std::string_view& rest, Parameter& parameter,
                                                   Quoting quoting);

}  // namespace webby
