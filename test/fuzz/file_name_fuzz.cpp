// Names of files, base64, parameters: small readers of what clients choose.
#include <string>

#include "test/fuzz/fuzz.h"
#include "webby/base64.h"
#include "webby/parameters.h"
#include "webby/safe_file_name.h"
#include "webby/utf8_text.h"

namespace {

using namespace webby;

void file_names(std::string_view input, std::size_t limit) {
    const std::string name = safe_file_name(input, limit);
    fuzz::must(!name.empty() && name.size() <= limit, "never empty, never too long");
    fuzz::must(is_utf8(name), "good UTF-8");
    fuzz::must(name.find_first_of("/\\:\n\r\"") == std::string::npos, "no separators");
    fuzz::must(name.front() != '.' && name.front() != '-', "neither hidden nor an option");
    fuzz::must(safe_file_name(name, limit) == name, "a safe name is safe");
}

void parameters(std::string_view rest, Quoting quoting) {
    Parameter parameter;
    for (std::size_t left = rest.size(); read_parameter(rest, parameter, quoting) == ParameterStep::one;
         left = rest.size())
        fuzz::must(rest.size() < left && parameter.value.size() < left, "each step eats");
}

}  // namespace

void fuzz::fuzz_one(std::string_view input) {
    file_names(input, 16 + input.size() % 200);
    parameters(input, Quoting::http);
    parameters(input, Quoting::form_data);
    if (const auto bytes = base64_decode(input))
        must(bytes->size() <= input.size() / 4 * 3, "three bytes of four");
}
